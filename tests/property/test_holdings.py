"""What shards hold and give up: for any membership and any course of it, every partition stays on somebody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shard.heard import FRESH_S, Word
from shard.holdings import (
    LINGER_S,
    MADE_WAY_MAX,
    ROOTED_S,
    SETTLE_S,
    TURN_S,
    handed_over,
    planned,
    versions_of,
    wanted_of,
)
from shard.scene import Kind, Limits, Peers, Piece, Plan, Scene, Sizes
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.states import State

PARTITIONS = 16
SIZES = Sizes((100,) * PARTITIONS, dict.fromkeys(range(PARTITIONS), 7))
LIMITS = Limits(previous_bytes_max=10_000, handover_s=60.0)
V1 = Pointer(1, {"v1": State.CURRENT})
V2 = Pointer(2, {"v2": State.CURRENT, "v1": State.PREVIOUS})

names = st.sampled_from([f"shard-{number}:7451" for number in range(8)])
memberships = st.sets(names, min_size=1)
replicas = st.integers(1, 3)


def scene(own: str, members: set[str], pointer: Pointer = V1, copies: int = 2, **changed: object) -> Scene:
    """As one shard sees things."""
    peers = Peers(own, frozenset(members), frozenset(), copies)
    usual = Scene(0.0, pointer, {"v1": SIZES, "v2": SIZES}, peers, (), (), LIMITS)
    return replace(usual, **changed)  # type: ignore[arg-type]


def homes(pieces: Sequence[Piece], version: str = "v1") -> list[int]:
    """Partitions among the pieces."""
    return [piece.number for piece in pieces if piece.kind is Kind.HOME and piece.version == version]


# --- what should be held ---


@given(members=memberships, copies=replicas)
def test_the_shares_add_up_to_every_partition_as_often_as_asked(members: set[str], copies: int) -> None:
    """And to one stand-in of each, which lies elsewhere wherever there is a choice."""
    shares = {own: wanted_of(scene(own, members, copies=copies)) for own in members}
    held = Counter(piece.number for share in shares.values() for piece in share if piece.kind is Kind.HOME)
    stand_ins = Counter(piece.number for share in shares.values() for piece in share if piece.kind is Kind.STAND_IN)
    assert held == dict.fromkeys(range(PARTITIONS), min(copies, len(members)))
    assert stand_ins == dict.fromkeys(range(PARTITIONS), 1)
    if len(members) > copies:
        assert all(
            Piece("v1", Kind.HOME, one.number) not in share for share in shares.values() for one in share if one.kind
        )


@given(members=memberships, leaver=names, copies=replicas)
def test_who_inherits_a_partition_has_its_stand_ins_already(members: set[str], leaver: str, copies: int) -> None:
    """So that a dead shard's users are answered by the one who will have them."""
    left = members - {leaver}
    for own in left:
        before, after = wanted_of(scene(own, members, copies=copies)), wanted_of(scene(own, left, copies=copies))
        for number in set(homes(after)) - set(homes(before)):
            assert Piece("v1", Kind.STAND_IN, number) in before


@given(members=memberships, joiner=names, copies=replicas)
def test_only_what_must_move_moves(members: set[str], joiner: str, copies: int) -> None:
    """Who stays gives up only what the newcomer takes, and takes nothing."""
    grown = members | {joiner}
    taken = set(homes(wanted_of(scene(joiner, grown, copies=copies))))
    for own in members - {joiner}:
        before = set(homes(wanted_of(scene(own, members, copies=copies))))
        after = set(homes(wanted_of(scene(own, grown, copies=copies))))
        assert before - after <= taken
        assert after <= before


@given(members=st.sets(names, min_size=2), data=st.data())
def test_a_shard_that_leaves_is_not_counted(members: set[str], data: st.DataObject) -> None:
    """What it held is wanted by those who stay, as if it were no member."""
    leaver = data.draw(st.sampled_from(sorted(members)))
    for own in members - {leaver}:
        told = scene(own, members)
        told = replace(told, peers=replace(told.peers, leaving=frozenset({leaver})))
        assert wanted_of(told) == wanted_of(scene(own, members - {leaver}))


def test_the_current_version_comes_first() -> None:
    """Its partitions, its stand-ins; the candidate's; then the previous version's."""
    pointer = Pointer(3, {"v2": State.CURRENT, "v1": State.PREVIOUS, "v3": State.CANARY})
    told = scene("a", {"a", "b", "c"}, pointer, sizes={"v1": SIZES, "v2": SIZES, "v3": SIZES})
    order = [(piece.version, piece.kind) for piece in wanted_of(told)]
    assert list(dict.fromkeys(order)) == [
        ("v2", Kind.HOME),
        ("v2", Kind.STAND_IN),
        ("v3", Kind.HOME),
        ("v3", Kind.STAND_IN),
        ("v1", Kind.HOME),
        ("v1", Kind.STAND_IN),
    ]


@given(room=st.integers(0, 20))
def test_the_previous_version_is_kept_within_its_limit(room: int) -> None:
    """As many partitions as fit, the lowest first."""
    told = scene("a", {"a"}, V2, limits=Limits(room * 100 + 50, 60.0))
    assert homes(wanted_of(told), "v1") == list(range(min(room, PARTITIONS)))


@given(room=st.integers(-4, 20))
def test_what_the_previous_versions_partitions_share_counts_too(room: int) -> None:
    """It is mapped with the first of them."""
    sizes = replace(SIZES, shared=400)
    told = scene("a", {"a"}, V2, limits=Limits(400 + room * 100 + 50, 60.0), sizes={"v1": sizes, "v2": sizes})
    assert homes(wanted_of(told), "v1") == list(range(min(max(room, 0), PARTITIONS)))


@given(held=st.sets(st.integers(0, PARTITIONS - 1)), room=st.integers(0, 40))
def test_what_is_kept_of_a_version_that_made_way_takes_room_from_the_previous_one(held: set[int], room: int) -> None:
    """With what it shares; the current one is whole whatever there is room for."""
    pointer = Pointer(9, {"v1": State.RETIRED, "v2": State.PREVIOUS, "v3": State.CURRENT})
    sizes = dict.fromkeys(("v1", "v2", "v3"), replace(SIZES, shared=200))
    kept = [Piece("v1", Kind.HOME, number) for number in held]
    limits = Limits(room * 100 + 50, 60.0)
    wanted = wanted_of(scene("a", {"a"}, pointer, limits=limits, sizes=sizes, open=kept))
    left = room - 2 - (len(held) + 2 if held else 0)
    assert homes(wanted, "v2") == list(range(min(max(left, 0), PARTITIONS)))
    assert homes(wanted, "v3") == list(range(PARTITIONS))


@pytest.mark.parametrize(("room", "versions"), [(99, ["v2"]), (100, ["v2", "v1"])])
def test_a_previous_version_for_which_there_is_no_room_is_not_opened(room: int, versions: list[str]) -> None:
    """Once that is known: before, its manifest has to be read."""
    told = scene("a", {"a"}, V2, limits=Limits(room, 60.0))
    plan = planned(told, Plan())
    assert versions_of(V2, plan, told.sizes) == versions
    assert versions_of(V2, Plan(), {"v2"}) == ["v2", "v1"]


# --- what may be given up ---

WORD = Word(at=100.0, others={("v1", number): 2 for number in range(PARTITIONS)})


def surplus_scene(now: float = 100.0, word: Word | None = WORD, **changed: object) -> Scene:
    """A shard that was taken out of the membership, and holds everything."""
    held = [Piece("v1", Kind.HOME, number) for number in range(PARTITIONS)]
    return scene("a", {"b", "c"}, now=now, open=held, words=(word,) if word else (), **changed)


def long_idle(told: Scene, since: float) -> Plan:
    """The plan before, where everything was surplus since then, and not needed as far as time goes."""
    return Plan(surplus=dict.fromkeys(told.open, since), idle=dict.fromkeys(told.open, since))


def closed(told: Scene, since: float) -> int:
    """How many pieces may be closed, all surplus since then."""
    return len(planned(told, long_idle(told, since)).close)


def test_what_others_have_is_given_up() -> None:
    """As soon as as many have it as should."""
    assert closed(surplus_scene(), since=90.0) == PARTITIONS


def test_what_is_given_up_is_served_a_little_longer() -> None:
    """Answers under way ask for it yet; where others lose it again meanwhile, it is kept, and the time begins anew."""
    told = surplus_scene()
    first = planned(told, Plan(surplus=dict.fromkeys(told.open, 90.0)))
    soon = planned(replace(told, now=100.0 + LINGER_S / 2), first)
    lost = planned(replace(told, now=100.0 + LINGER_S, words=(Word(at=101.0),)), soon)
    again = planned(replace(told, now=101.0 + LINGER_S), lost)
    assert [len(plan.close) for plan in (first, soon, lost, again)] == [0, 0, 0, 0]
    assert len(planned(replace(told, now=100.0 + LINGER_S), soon).close) == PARTITIONS


@given(members=st.sets(names, min_size=2))
def test_no_two_shards_close_what_nobody_needs_at_one_moment(members: set[str]) -> None:
    """They hear of it together, and who has closed it answers again before the next one does."""
    pointer = Pointer(3, {"v2": State.CURRENT, "v1": State.POISONED})
    held = [Piece("v1", Kind.HOME, 0)]

    def closes_at(own: str) -> float:
        told = scene(own, members, pointer, open=held)
        plan = long_idle(told, 0.0)
        moments = (now / 4 for now in range(200))
        return next(now for now in moments if planned(replace(told, now=now), plan).close)

    moments = sorted(map(closes_at, members))
    assert moments[0] == LINGER_S
    assert all(later - earlier == TURN_S for earlier, later in pairwise(moments))


def test_what_fewer_have_than_should_is_kept_for_a_time() -> None:
    """And then given up, since somebody has it."""
    word = replace(WORD, others=dict.fromkeys(WORD.others, 1))
    kept = closed(surplus_scene(word=word), since=90.0)
    late = closed(surplus_scene(now=160.0, word=replace(word, at=160.0)), since=90.0)
    assert (kept, late) == (0, PARTITIONS)


@given(since=st.floats(0, 99), now=st.floats(100, 1e6))
def test_the_last_copy_that_is_known_is_never_given_up(since: float, now: float) -> None:
    """However long it is surplus: nobody else has it, or nobody says so."""
    nobody = Word(at=now, others={})
    assert closed(surplus_scene(now=now, word=nobody), since) == closed(surplus_scene(now=now, word=None), since) == 0


def test_all_routers_must_agree() -> None:
    """One that sees nobody else may be the one that is asked."""
    told = surplus_scene()
    assert closed(replace(told, words=(WORD, Word(at=100.0))), since=90.0) == 0


def test_a_word_that_was_said_before_counts_for_nothing() -> None:
    """It may count somebody who gives up the same at the same moment."""
    assert closed(surplus_scene(), since=100.0 - SETTLE_S / 2) == 0


def test_a_poisoned_version_is_closed_soon() -> None:
    """Whatever anybody says; nobody may be served from it."""
    pointer = Pointer(3, {"v2": State.CURRENT, "v1": State.POISONED})
    told = surplus_scene(word=None, pointer=pointer)
    assert (closed(told, since=100.0 - LINGER_S / 2), closed(told, since=100.0 - LINGER_S)) == (0, PARTITIONS)


@given(now=st.floats(100, 1e6), held=st.sets(st.integers(0, PARTITIONS - 1), max_size=PARTITIONS - 1))
def test_what_was_serving_stays_until_the_current_version_is_everywhere(now: float, held: set[int]) -> None:
    """A retired version is all there is, where its successors were refused."""
    pointer = Pointer(9, {"v3": State.CURRENT, "v2": State.PREVIOUS, "v1": State.RETIRED})
    word = Word(at=now, others={("v3", number): 2 for number in held})
    told = surplus_scene(now=now, word=word, pointer=pointer, sizes={"v1": SIZES, "v3": SIZES})
    assert closed(told, since=0.0) == 0


def test_a_version_that_made_way_is_closed_once_the_current_one_is_everywhere() -> None:
    """On as many shards as should have it."""
    pointer = Pointer(9, {"v3": State.CURRENT, "v2": State.PREVIOUS, "v1": State.RETIRED})
    word = Word(at=100.0, others={("v3", number): 2 for number in range(PARTITIONS)})
    assert closed(surplus_scene(word=word, pointer=pointer, sizes={"v1": SIZES, "v3": SIZES}), 90.0) == PARTITIONS


@given(promotions=st.integers(2, 9), now=st.floats(100, 1e6))
def test_however_many_promotions_overtake_one_another_the_whole_version_stays(promotions: int, now: float) -> None:
    """Those in between have one partition each, and are kept only as far as there is room for them."""
    versions = [f"v{number}" for number in range(promotions + 1)]
    states = dict.fromkeys(versions[:-2], State.RETIRED)
    pointer = Pointer(9, {**states, versions[-2]: State.PREVIOUS, versions[-1]: State.CURRENT})
    whole = [Piece("v0", Kind.HOME, number) for number in range(PARTITIONS)]
    parts = [Piece(version, Kind.HOME, 0) for version in versions[1:-1]]
    told = scene(
        "a", {"a"}, pointer, now=now, open=[*whole, *parts], words=(Word(now),), sizes=dict.fromkeys(versions, SIZES)
    )
    left = set(told.open) - set(planned(told, long_idle(told, 0.0)).close)
    assert set(whole) <= left
    retired = sorted({piece.version for piece in left} & set(states))
    kept = min(len(states), MADE_WAY_MAX)
    assert retired == sorted(["v0", *versions[1:-2][len(states) - kept :]])


def test_of_whole_versions_that_made_way_the_newest_are_kept() -> None:
    """Beyond the limit the oldest goes, even though the current one is nowhere."""
    versions = [f"v{number}" for number in range(MADE_WAY_MAX + 2)]
    pointer = Pointer(9, {**dict.fromkeys(versions[:-1], State.RETIRED), versions[-1]: State.CURRENT})
    held = [Piece(version, Kind.HOME, number) for version in versions[:-1] for number in range(PARTITIONS)]
    told = scene("a", {"a"}, pointer, now=100.0, open=held, words=(), sizes=dict.fromkeys(versions, SIZES))
    assert {piece.version for piece in planned(told, long_idle(told, 0.0)).close} == {"v0"}
    assert not planned(told, long_idle(told, 100.0 - LINGER_S / 2)).close


class Alone:
    """The only shard, a router that says so, and time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.open: set[Piece] = set()
        self.plan = Plan()
        self.states: dict[str, State] = {}

    def swap(self, rest_s: float) -> list[str]:
        """Promote a version, open it after a while, and let it rest; what was open beside it just before that."""
        way = {State.CURRENT: State.PREVIOUS, State.PREVIOUS: State.RETIRED, State.RETIRED: State.RETIRED}
        self.states = {version: way[state] for version, state in self.states.items()}
        version = f"v{len(self.states)}"
        self.states[version] = State.CURRENT
        self._pass(SETTLE_S + LINGER_S)
        kept = sorted({piece.version for piece in self.open})
        self.open |= {Piece(version, Kind.HOME, number) for number in range(PARTITIONS)}
        self._pass(rest_s)
        return kept

    def _pass(self, seconds: float) -> None:
        pointer, sizes = Pointer(len(self.states), self.states), dict.fromkeys(self.states, SIZES)
        for _ in range(round(4 * seconds)):
            self.now += 0.25
            held, words = tuple(self.open), (Word(self.now),)
            told = scene("a", {"a"}, pointer, 1, now=self.now, open=held, words=words, sizes=sizes)
            self.plan = planned(told, self.plan)
            self.open -= set(self.plan.close)


def test_beside_a_version_that_comes_only_what_served_is_kept() -> None:
    """The one before that went by when what served took root."""
    shard = Alone()
    assert [shard.swap(ROOTED_S + 1) for _ in range(4)] == [[], ["v0"], ["v1"], ["v2"]]


def test_a_version_that_had_no_time_to_take_root_outlives_none() -> None:
    """Some router may still serve from the one before it."""
    shard = Alone()
    assert [shard.swap(rest_s) for rest_s in (ROOTED_S + 1, ROOTED_S / 2, 0)] == [[], ["v0"], ["v0", "v1"]]


# --- leaving ---


def test_a_leaving_shard_goes_once_others_have_everything() -> None:
    """And not before."""
    told = surplus_scene()
    short = replace(WORD, others={**WORD.others, ("v1", 7): 1})
    assert handed_over(told, 90.0)
    assert not handed_over(replace(told, words=(short,)), 90.0)
    assert not handed_over(replace(told, words=()), 90.0)


def test_the_last_shard_has_nobody_to_wait_for() -> None:
    """Everybody leaves."""
    told = surplus_scene(word=None)
    assert handed_over(replace(told, peers=Peers("a", frozenset({"a", "b"}), frozenset({"a", "b"}))), 90.0)


# --- all of them together ---


@dataclass
class Shard:
    """One of a cluster, holding what its plans say."""

    name: str
    open: set[Piece] = field(default_factory=set)
    plan: Plan = field(default_factory=Plan)


class Cluster:
    """Shards that plan for themselves, and a router that tells them of one another, a second late."""

    def __init__(self) -> None:
        self.now = 0.0
        self.shards: dict[str, Shard] = {}
        self.reported: dict[str, set[int]] = {}

    def step(self, members: set[str], busy: set[str]) -> None:
        """A second: who is not busy opens what is wanted; everybody plans, and closes what may be closed."""
        self.now += 1
        for name in members | set(self.shards):
            shard = self.shards.setdefault(name, Shard(name))
            others = Counter(number for one, held in self.reported.items() if one != name for number in held)
            word = Word(self.now, {("v1", number): count for number, count in others.items()})
            told = scene(name, members, now=self.now, open=tuple(shard.open), words=(word,))
            shard.plan = plan = planned(told, shard.plan)
            shard.open -= set(plan.close)
            if name not in busy:
                shard.open |= set(plan.wanted)
        self.reported = {
            name: set(homes(tuple(shard.open - set(shard.plan.surplus))))
            for name, shard in self.shards.items()
            if name in members
        }

    def copies(self) -> Counter[int]:
        """Of each partition."""
        return Counter(number for shard in self.shards.values() for number in homes(tuple(shard.open)))


@settings(max_examples=60, deadline=None)
@given(course=st.lists(st.tuples(memberships, st.sets(names), st.integers(1, 90)), min_size=1, max_size=4))
def test_no_partition_is_ever_lost_while_shards_come_and_go(course: list[tuple[set[str], set[str], int]]) -> None:
    """Whatever the membership does, and whoever is slow to open, somebody has every partition warm."""
    cluster = Cluster()
    first = course[0][0]
    cluster.step(first, set())
    for members, busy, seconds in course:
        for _ in range(seconds):
            cluster.step(members, busy - first if members == first else busy)
            assert set(cluster.copies()) == set(range(PARTITIONS))


def test_from_three_to_five_to_two() -> None:
    """At every second two copies of everything; in the end no shard holds more than its share."""
    cluster = Cluster()
    five = [f"shard-{number}:7451" for number in range(5)]
    for count in (3, 5, 2):
        members = set(five[:count])
        for _ in range(round(FRESH_S + 70)):
            cluster.step(members, set())
            assert min(cluster.copies().values()) >= 2
        for name, shard in cluster.shards.items():
            wanted = wanted_of(scene(name, members)) if name in members else ()
            assert set(shard.open) == set(wanted)
