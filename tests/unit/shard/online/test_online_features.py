"""Feature windows of a shard: of everybody that the log tells of, and honest about what they may lack."""

from __future__ import annotations

import pytest

from shard.online.features import KEYS_MAX, FeatureCounters, FeatureReader
from shard.online.statistics import Heard, Statistics
from trunkshow.errors import InvalidArgument, SnapshotMismatch
from trunkshow.online.forgotten import Forgotten
from trunkshow.online.positions import Position
from trunkshow.online.progress import Progress
from trunkshow.v1 import events_pb2, features_pb2, shard_pb2

NOW_MS = 1_700_000_000_000
DAY_MS = 86_400_000
CLICK, CART = events_pb2.INTERACTION_CLICK, events_pb2.INTERACTION_CART
AT = Position("log", 0, 1)


class Shard:
    """Counters and a reader of them, on a clock that is driven."""

    def __init__(self, users_max: int = 10, known_from_ms: int | None = NOW_MS - 2 * DAY_MS) -> None:
        self.now_ms = NOW_MS
        self.statistics = Statistics((), Forgotten())
        self.statistics.known_from_ms = known_from_ms
        self.counters = FeatureCounters(users_max, 10, wall=lambda: self.now_ms / 1000)
        self.reader = FeatureReader(self.counters, self.statistics, Progress())

    def hear(self, user: str, item: str, kind: int = CLICK, *, ago_ms: int = 5000, value: float | None = None) -> None:
        """An event, just recorded."""
        event = events_pb2.Event(user_id=user, item_id=item, value=value)
        event.interaction = kind  # type: ignore[assignment]
        self.counters.hear(Heard(event, AT, self.now_ms - ago_ms, self.now_ms))

    async def user(self, user: str) -> features_pb2.Features:
        """What is told of one."""
        return (await self.reader.read(shard_pb2.ReadFeaturesRequest(user_ids=[user]))).users[0]

    async def item(self, item: str) -> features_pb2.Features:
        """What is told of one."""
        return (await self.reader.read(shard_pb2.ReadFeaturesRequest(item_ids=[item]))).items[0]


def counts(told: features_pb2.Features) -> list[dict[int, int]]:
    """By window and interaction."""
    return [{one.interaction: one.count for one in window.counts} for window in told.windows]


async def test_an_event_is_its_users_and_its_items() -> None:
    """With its price, and the category of its item."""
    shard = Shard()
    shard.counters.category_of = {"hat": "hats"}.get  # type: ignore[assignment]
    shard.hear("ann", "hat", CART, value=19.5)
    for told in (await shard.user("ann"), await shard.item("hat")):
        assert counts(told) == [{CART: 1}] * 5
        assert (told.known, told.last_price, told.last_category) == (True, 19.5, "hats")


async def test_of_somebody_who_is_not_known_everything_is_zero() -> None:
    """And they are told of, rather than missing."""
    told = await Shard().user("nobody")
    assert (told.id, told.known, counts(told)) == ("nobody", False, [{}] * 5)
    assert not told.HasField("last_price")


async def test_a_search_without_an_item_is_its_users_alone() -> None:
    """There is no item of no name."""
    shard = Shard()
    shard.hear("ann", "", events_pb2.INTERACTION_SEARCH)
    assert (await shard.user("ann")).known
    assert not (await shard.item("")).known


@pytest.mark.parametrize("kind", [12, 77, -1])
async def test_an_interaction_of_a_later_release_counts_as_another(kind: int) -> None:
    """It is not lost, and breaks nothing."""
    shard = Shard()
    shard.hear("ann", "hat", kind)
    assert counts(await shard.user("ann"))[0] == {events_pb2.INTERACTION_UNSPECIFIED: 1}


async def test_windows_that_begin_before_anything_is_known_are_not_complete() -> None:
    """The log began two days ago."""
    told = await Shard().user("ann")
    assert [(one.window, one.complete) for one in told.windows] == [
        ("5m", True),
        ("1h", True),
        ("1d", True),
        ("7d", False),
        ("30d", False),
    ]
    assert told.known_from.ToMilliseconds() == NOW_MS - 2 * DAY_MS


async def test_who_comes_again_after_they_had_to_go_is_known_since_then() -> None:
    """What they did before may be missing, and what is said of them says so."""
    shard = Shard(users_max=1)
    shard.hear("ann", "hat", ago_ms=60_000)
    shard.hear("bob", "hat", ago_ms=50_000)
    shard.hear("ann", "hat", ago_ms=1000)
    told = await shard.user("ann")
    assert told.known_from.ToMilliseconds() == NOW_MS - 49_999
    assert [one.complete for one in told.windows] == [False] * 5


async def test_who_lives_here_goes_last() -> None:
    """So that a cluster has room for as many users as its shards have together."""
    shard = Shard(users_max=1)
    shard.counters.lives_here = "ann".__eq__
    shard.hear("ann", "hat")
    for user in ("bob", "ann"):
        shard.hear(user, "hat")
    assert (await shard.user("ann")).known


async def test_the_moment_is_a_whole_second_and_never_goes_back() -> None:
    """The events of that second do not count yet; a clock that is set back changes no answer."""
    shard = Shard()
    shard.now_ms = NOW_MS + 700
    shard.hear("ann", "hat", ago_ms=600)
    first = await shard.user("ann")
    shard.now_ms = NOW_MS - 9000
    assert (first.moment.ToMilliseconds(), first.known) == (NOW_MS, False)
    assert (await shard.user("ann")).moment == first.moment
    shard.now_ms = NOW_MS + 1000
    assert (await shard.user("ann")).known


async def test_a_clock_that_jumped_and_was_set_right_blinds_nobody() -> None:
    """Whoever was asked for meanwhile, or did something, is told of as before; so is who comes afterwards."""
    shard = Shard()
    shard.hear("ann", "hat")
    shard.now_ms += 20 * 3_600_000
    assert counts(await shard.user("ann"))[:2] == [{}, {}]
    shard.now_ms = NOW_MS + 5000
    shard.hear("ann", "hat")
    shard.hear("bob", "hat")
    shard.now_ms += 10_000
    for user, count in (("ann", 2), ("bob", 1)):
        told = await shard.user(user)
        assert (counts(told)[0], told.moment.ToMilliseconds()) == ({CLICK: count}, NOW_MS + 15_000)


async def test_who_is_forgotten_has_done_nothing() -> None:
    """Of an item it is known that somebody did something with it, and not who."""
    shard = Shard()
    shard.hear("ann", "hat", value=3.0)
    shard.counters.forget("ann")
    told = await shard.user("ann")
    assert (told.known, told.HasField("last_price")) == (False, False)
    assert (await shard.item("hat")).known


async def test_before_the_logs_past_was_heard_nothing_is_told() -> None:
    """Another shard may know it; counts that grow while a log is read help nobody."""
    with pytest.raises(SnapshotMismatch):
        await Shard(known_from_ms=None).user("ann")


@pytest.mark.parametrize("field", ["user_ids", "item_ids"])
async def test_too_many_are_refused(field: str) -> None:
    """And the field is named."""
    asked = shard_pb2.ReadFeaturesRequest(**{field: ["x"] * (KEYS_MAX + 1)})
    with pytest.raises(InvalidArgument) as refused:
        await Shard().reader.read(asked)
    assert refused.value.field == field
