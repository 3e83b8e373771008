"""A slate that was kept is the one that would be made: whatever was done, said and asked for meanwhile."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import datasets
import pytest
from followed_log import FollowedLog
from hypothesis import given, settings
from hypothesis import strategies as st
from online_shard import event

from shard.config import ShardConfig
from shard.kept import AGE_S_MAX, Kept
from shard.online.upkeep import Upkeep
from shard.predict import Predictor
from shard.scene import Kind, Piece
from shard.service import ShardService
from shard.uses import Uses
from trunkshow import carousels
from trunkshow.bundles import each
from trunkshow.errors import TrunkshowError
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.positions import Position
from trunkshow.online.trends import EVERYBODY, NO_TRENDS, Listed, Trends
from trunkshow.serving.deadline import Deadline
from trunkshow.snapshot.additions import Addition
from trunkshow.snapshot.likeness import Description
from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import events_pb2, log_pb2, shard_pb2
from trunkshow.v1 import recommendation_pb2 as pb

_newest_first = sorted(datasets.clustered().events, key=lambda one: -one.time_ms)
USERS = tuple(dict.fromkeys(one.user for one in _newest_first))[:3]
"""Who did something last before the snapshot: soon after it they have a present intent."""

ITEMS = tuple(map(datasets.item_id, range(12)))
HOME = carousels.resolve((), "home", impersonal=False)
BRIEF = (carousels.FOR_YOU, carousels.POPULAR)
TRENDING = (carousels.FOR_YOU, carousels.TRENDING)
REFUSED = "refused"
"""One of a batch; a batch does not say why."""

SURGES = tuple(
    Trends(1, 2, MappingProxyType({EVERYBODY: tuple(Listed(item, 4.0, 9.0, 2.0) for item in items)}))
    for items in (ITEMS, ITEMS[::-1])
)


LONG_S, SHORT_S = 200_000.0, 3_600.0
"""After the data of the snapshot ends: so long that nobody has a present intent from before, or that some have."""


class Call:
    """A caller who has all the time in the world."""

    arrived, request_id, peer = 0.0, "test", "test"

    def deadline(self, default_ms: float) -> Deadline:
        """None to speak of."""
        del default_ms
        return Deadline(1e12)


class Shop:
    """One shard that keeps slates and one that does not, which know the same; nothing happens but what a test does."""

    def __init__(self, snapshot: Snapshot, partitions: dict[int, Partition], since_data_s: float = LONG_S) -> None:
        self.snapshot = snapshot.lend()  # new items are this one's, and their kinds
        self.snapshot.__dict__.pop("kinds", None)
        self.partitions, self.warm = partitions, dict(partitions)
        self.now, self.data_until_s = 1000.0, datetime.fromisoformat(snapshot.manifest.data_until).timestamp()
        event.data_until_s = self.data_until_s  # type: ignore[attr-defined]
        self.since_data_s = since_data_s
        self.upkeep = Upkeep(
            FollowedLog(),
            events_max=1000,
            impressions_max=1000,
            within_s=0,
            clock=lambda: self.now,
            wall=lambda: self.data_until_s + self.since_data_s,
        )
        self.upkeep.prepare(self.snapshot)
        self.residents = self.upkeep.admit(self.snapshot)
        self.upkeep.want(Piece(self.snapshot.version, Kind.HOME, number) for number in partitions)
        self.residents.homes.replayed(frozenset(partitions))
        self._numbers = itertools.count(1)
        self.hear_end()
        self.keeping, self.plain = (self._service(mib) for mib in (1, 0))

    def _service(self, kept_mib: int) -> ShardService:
        predictor = Predictor(self.snapshot, self.warm, {}, self.residents, clock=lambda: self.now)
        service = ShardService(ShardConfig(store="", kept_slates_mib=kept_mib), "own:1")
        generation = SimpleNamespace(predictor=predictor, uses=Uses())
        keeper: Any = SimpleNamespace(
            generations={self.snapshot.version: generation}, recent=deque(maxlen=8), watchers=0
        )
        service._keeper = keeper
        self.upkeep.forgotten.listen(lambda tombstone: service.kept.forget(tombstone.user_id))
        return service

    def hear(self, user: str, item: str, kind: int) -> None:
        """An event was followed."""
        self.since_data_s += 60
        heard = event(user, item, kind, after_s=self.since_data_s)
        self.upkeep.hearing.hear(heard, Position("log", 0, next(self._numbers)))

    def hear_end(self) -> None:
        """The log was read to its end."""
        end = Watermark("log", {0: next(self._numbers)})
        self.upkeep.follower.progress.read(end)
        self.upkeep.follower.progress.ended(end, self.now)

    def forget(self, user: str) -> None:
        """Somebody asked to be forgotten."""
        record = log_pb2.Record(forget=log_pb2.Forget(id="t", user_id=user))
        record.forget.timestamp.FromMilliseconds(round((self.data_until_s + self.since_data_s) * 1000))
        self.upkeep.forgotten.hear(record, Watermark("gone", {0: next(self._numbers)}))

    def show(self, user: str, item: str) -> None:
        """An item was shown to somebody, often."""
        for _ in range(6):
            self.hear(user, item, events_pb2.INTERACTION_IMPRESSION)

    def let_pass(self, seconds: float) -> None:
        """Time."""
        self.now, self.since_data_s = self.now + seconds, self.since_data_s + seconds

    def trend(self, trends: Trends) -> None:
        """Something does."""
        self.upkeep.trends = lambda: trends

    def tell(self, number: int, available: bool) -> None:
        """Of a new item."""
        said = Description(f"new {number}", "taste 1", {"colour": "red"})
        self.snapshot.add([Addition(f"new-{number}", said, available)])

    def home(self, user: str) -> int:
        """The partition that a user lives in."""
        found = self.snapshot.directory.find(user)
        assert found is not None
        return found.partition

    def asked(self, user: str, wanted: tuple[str, ...] = BRIEF, **request: Any) -> bytes:
        """A prediction at home, as a router asks for it."""
        return shard_pb2.PredictRequest(
            request=pb.RecommendRequest(user_id=user, **request).SerializeToString(),
            snapshot_version=self.snapshot.version,
            partitions=[self.home(user)],
            carousels=wanted,
            rung=pb.RUNG_SNAPSHOT,
        ).SerializeToString()

    def answer(self, service: ShardService, asked: bytes) -> pb.RecommendResponse | str:
        """The slate, and what is missing of it as a slate has it; or why there is none."""
        call: Any = Call()
        try:
            answer = shard_pb2.PredictResponse.FromString(asyncio.run(service.predict(asked, call)))
        except TrunkshowError as error:
            return repr(error)
        return slate_of(answer)

    def together(self, service: ShardService, asked: Iterable[bytes]) -> list[pb.RecommendResponse | str]:
        """The same of all of these, asked for in a batch."""
        requests = [shard_pb2.PredictRequest.FromString(one) for one in asked]
        batch = shard_pb2.PredictBatchRequest(requests=requests, together=True).SerializeToString()

        async def messages() -> list[shard_pb2.PredictBatchResponse]:
            call: Any = Call()
            sent = service.predict_batch(batch, call)
            return [one async for data in sent for one in each(shard_pb2.PredictBatchResponse.FromString(data))]

        return [slate_of(one.response) if one.response.slate else REFUSED for one in asyncio.run(messages())]

    def again(self, user: str, *, wanted: tuple[str, ...] = BRIEF, **request: Any) -> bool:
        """Whether a slate is one that was kept."""
        slate = self.answer(self.keeping, self.asked(user, wanted, **request))
        assert not isinstance(slate, str)
        return slate.receipt.HasField("kept_age_ms")


def slate_of(answer: shard_pb2.PredictResponse) -> pb.RecommendResponse:
    """The slate, and what is missing of it as a slate has it."""
    slate = pb.RecommendResponse.FromString(answer.slate)
    assert answer.rung == slate.receipt.rung
    slate.receipt.reasons.extend(lost.reason for lost in answer.missing)
    return slate


@pytest.fixture(scope="module")
def whole(snapshot: Snapshot, partitions: dict[int, Partition]) -> tuple[Snapshot, dict[int, Partition]]:
    """The built snapshot, its directory and what it knows of kinds read."""
    _ = snapshot.directory, snapshot.likeness
    return snapshot, partitions


Whole = tuple[Snapshot, dict[int, Partition]]


class Step(NamedTuple):
    """Something that happens, and how."""

    what: str
    arguments: tuple[Any, ...]


def steps(what: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    """Of one kind."""
    return st.tuples(*arguments).map(lambda chosen: Step(what, chosen))


users = st.sampled_from(USERS)
kinds = st.sampled_from(
    (
        events_pb2.INTERACTION_CLICK,
        events_pb2.INTERACTION_ORDER,
        events_pb2.INTERACTION_HIDE,
        events_pb2.INTERACTION_IMPRESSION,
    )
)
requests = st.sampled_from(
    (
        {},
        {},
        {},
        {"items_per_carousel": 3},
        {"exclude_item_ids": ITEMS[:4]},
        {"exclude_item_ids": ("new-1",)},
        {"context_item_ids": ITEMS[4:6]},
        {"filters": pb.Filters(categories=["taste 1"])},
        {"include_seen": True},
        {"at_least_as_fresh": "log/0:1"},
    )
)
asks = steps("ask", users, st.sampled_from((BRIEF, BRIEF, HOME, TRENDING)), requests)
happenings = st.one_of(
    steps("hear", users, st.sampled_from(ITEMS), kinds),
    steps("show", users, st.sampled_from(ITEMS)),
    steps("pass", st.sampled_from((1.0, 4.0, 6.0, AGE_S_MAX, 90_000.0))),
    steps("end"),
    steps("tell", st.integers(1, 2), st.booleans()),
    steps("trend", st.sampled_from((NO_TRENDS, *SURGES))),
    steps("forget", users),
    steps("drop", users),
    steps("adopt", users),
)

any_step = st.booleans().flatmap(
    lambda ask: asks if ask else happenings
)  # half of each: alternatives would be levelled


def happens(shop: Shop, step: Step) -> None:
    """It does."""
    {
        "hear": shop.hear,
        "show": shop.show,
        "pass": shop.let_pass,
        "end": shop.hear_end,
        "tell": shop.tell,
        "trend": shop.trend,
        "forget": shop.forget,
        "drop": lambda user: shop.warm.pop(shop.home(user), None),
        "adopt": lambda user: shop.warm.update({shop.home(user): shop.partitions[shop.home(user)]}),
    }[step.what](*step.arguments)


def plainly(answer: pb.RecommendResponse | str) -> pb.RecommendResponse | str:
    """Without what is of the moment in which it was made."""
    if not isinstance(answer, str):
        answer.receipt.ClearField("kept_age_ms")
        answer.receipt.ClearField("stages")
    return answer


@settings(max_examples=150)
@given(st.sampled_from((LONG_S, SHORT_S)), st.lists(any_step, min_size=3, max_size=12))
def test_answers_are_the_same_with_and_without_keeping(whole: Whole, since_data_s: float, happened: list[Step]) -> None:
    """Whatever happens, everything that was asked so far is asked again, in a batch and alone; so are refusals."""
    shop = Shop(*whole, since_data_s)
    shop.trend(SURGES[0])
    asked = dict[bytes, None]()
    for step in happened:
        if step.what == "ask":
            user, wanted, request = step.arguments
            asked[shop.asked(user, wanted, **request)] = None
        else:
            happens(shop, step)
        expected = [plainly(shop.answer(shop.plain, one)) for one in asked]
        if asked:
            told = [REFUSED if isinstance(one, str) else one for one in expected]
            assert [plainly(one) for one in shop.together(shop.keeping, asked)] == told
        assert [plainly(shop.answer(shop.keeping, one)) for one in asked] == expected


def test_the_same_request_is_answered_with_what_was_kept(whole: Whole) -> None:
    """And says how old it is; a request that asks for something else has one of its own."""
    shop = Shop(*whole)
    assert [shop.again(USERS[0]) for _ in range(2)] == [False, True]
    shop.now += 2
    slate = shop.answer(shop.keeping, shop.asked(USERS[0]))
    assert not isinstance(slate, str)
    assert slate.receipt.kept_age_ms == 2000
    assert slate.receipt.effort == pb.EFFORT_FULL
    assert not shop.again(USERS[0], items_per_carousel=3)
    assert not shop.again(USERS[1])


@pytest.mark.parametrize(
    "step",
    [
        Step("hear", (USERS[0], ITEMS[0], events_pb2.INTERACTION_CLICK)),
        Step("hear", (USERS[0], ITEMS[0], events_pb2.INTERACTION_HIDE)),
        Step("show", (USERS[0], ITEMS[0])),
        Step("tell", (1, True)),
        Step("forget", (USERS[0],)),
        Step("pass", (AGE_S_MAX + 1,)),
        Step("trend", (SURGES[1],)),
        Step("pass", (6.0,)),
    ],
    ids=lambda step: f"{step.what}-{step.arguments}",
)
def test_what_changes_a_slate_ends_its_keeping(whole: Whole, step: Step) -> None:
    """The very next request is answered anew."""
    shop = Shop(*whole)
    happens(shop, Step("trend", (SURGES[0],)))
    assert [shop.again(USERS[0], wanted=TRENDING) for _ in range(2)] == [False, True]
    happens(shop, step)
    if step.arguments == (AGE_S_MAX + 1,):
        shop.hear_end()  # as fresh as before, and yet too old
    expected = plainly(shop.answer(shop.plain, shop.asked(USERS[0], TRENDING)))
    assert shop.again(USERS[0], wanted=TRENDING) is False
    assert plainly(shop.answer(shop.keeping, shop.asked(USERS[0], TRENDING))) == expected


def test_what_others_do_changes_nothing(whole: Whole) -> None:
    """Nor what was shown once; nor trends, where none are shown."""
    shop = Shop(*whole)
    assert not shop.again(USERS[0])
    shop.hear(USERS[1], ITEMS[0], events_pb2.INTERACTION_ORDER)
    shop.hear(USERS[0], ITEMS[0], events_pb2.INTERACTION_IMPRESSION)
    shop.trend(SURGES[0])
    assert shop.again(USERS[0])


def test_a_slate_of_less_than_full_effort_is_not_kept(whole: Whole) -> None:
    """Nor one that was to be as fresh as something, though it is made in the same way; nor a stranger's."""
    shop = Shop(*whole)
    predictor = Predictor(shop.snapshot, shop.warm, {}, shop.residents, clock=lambda: shop.now)
    predictor._costs.learn(pb.EFFORT_FULL, 1, 5.0)
    kept: list[Kept] = []
    asked = shard_pb2.PredictRequest.FromString(shop.asked(USERS[0]))
    hurried = asyncio.run(predictor.predict(asked, Deadline.after(11.0, shop.now), kept.append))
    assert pb.RecommendResponse.FromString(hurried.slate).receipt.effort == pb.EFFORT_REDUCED
    fresh = shard_pb2.PredictRequest.FromString(shop.asked(USERS[0], at_least_as_fresh="log/0:1"))
    asyncio.run(predictor.predict(fresh, None, kept.append))
    stranger = shard_pb2.PredictRequest()
    stranger.CopyFrom(asked)
    stranger.vector = shop.snapshot.ials.vectors[0].astype("<f4").tobytes()
    assert pb.RecommendResponse.FromString(asyncio.run(predictor.predict(stranger, None, kept.append)).slate).carousels
    assert not kept
    asyncio.run(predictor.predict(asked, None, kept.append))
    assert len(kept) == 1


def test_of_who_is_forgotten_nothing_is_kept(whole: Whole) -> None:
    """Not even in memory."""
    shop = Shop(*whole)
    shop.again(USERS[0])
    shop.again(USERS[1])
    shop.forget(USERS[0])
    assert len(shop.keeping.kept) == 1
    assert not shop.plain.kept.bytes


def test_a_batch_keeps_nothing(whole: Whole) -> None:
    """It asks for everybody once."""
    shop = Shop(*whole)
    assert shop.together(shop.keeping, [shop.asked(USERS[0])]) != [REFUSED]
    assert not len(shop.keeping.kept)


def test_a_batch_gets_what_was_kept_for_pages(whole: Whole) -> None:
    """Whose slate was kept; the others' are made."""
    shop = Shop(*whole)
    shop.again(USERS[0])
    slates = shop.together(shop.keeping, [shop.asked(user) for user in USERS[:2]])
    assert [not isinstance(one, str) and one.receipt.HasField("kept_age_ms") for one in slates] == [True, False]


def test_a_batch_makes_nothing_stay_longer(whole: Whole) -> None:
    """Whom no shopper's request asked for longest goes first, whatever batches ask for."""
    shop = Shop(*whole)
    first, second = shop.asked(USERS[0]), shop.asked(USERS[1])
    shop.answer(shop.keeping, first)
    shop.answer(shop.keeping, second)
    shop.together(shop.keeping, [first])
    kept = shop.keeping.kept
    assert list(kept._of) == [first, second]
