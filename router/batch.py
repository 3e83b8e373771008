"""Many slates in one call, each sent as soon as it is ready, each exactly once.

    known users → by the replica of their home → chunks → PredictBatch ─┐
    leftovers of chunks that failed or were late ───────────────────────┤→ one by one, as single requests → sent
    strangers, and users whose home nobody holds ───────────────────────┘

Chunks wait in line per shard, so that single requests get in between; answers wait for the caller in a bounded
queue. What becomes of one user is left to `router.recommend`.

Should every shard fail, everybody must still get a resident slate in time. So whoever is asked is asked until
`deadline - what a resident slate takes * users that have no answer yet`: the fewer are left, the longer the last ones
are waited for. Once there is no time for asking, nobody is asked any more, and what a resident slate then takes, all
told, is measured for the next batch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import NamedTuple

from router.attempts import Attempt
from router.fanout import Fanout
from router.receipt import Asking, Reach, aborted, batch_answer
from router.recommend import Plan, Recommender
from router.views import Views
from trunkshow.errors import PartialAborted
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

RESIDENT_MS_AT_FIRST = 1.0
"""Kept for a user's resident slate until it was measured; half of the deadline where all users' come to more."""

RESIDENT_SAFETY = 1.5
"""Times what was measured."""

WORTH_ASKING_MS = 20
"""With less time left, a busy shard is not asked: it would work for nobody."""

SINGLES_IN_FLIGHT = 4
"""Of all batches together, users who are asked for alone."""

SINGLES_BESIDE_OTHERS = 1
"""The same while somebody waits for a single slate: a batch has seconds, a page has not."""

GIVE_WAY_S = 0.002
"""Between two looks at whether there is room again."""

READY_ANSWERS_MAX = 64
"""Answers that wait for a slow caller; beyond them the batch pauses."""

PLANNED_AT_ONCE = 50
"""Users planned before other requests get a turn: about a millisecond."""


class Member(NamedTuple):
    """A request of the batch.

    Attributes:
        position: in the batch.
        data: serialised.
        request: parsed.
    """

    position: int
    data: bytes
    request: pb.RecommendRequest


class Chunk(NamedTuple):
    """Known users whose homes, in one snapshot, one shard holds."""

    address: str
    version: str
    members: list[tuple[Member, Plan]]


class Batcher:
    """Makes batches of slates.

    Args:
        recommender: for one user at a time.
        fanout: to the shards.
        chunk_users: users per call to a shard.
        chunks_in_flight: calls of one batch that wait on the same shard at a time.
        beside_others: whether single slates are being made.
        clock: monotonic.
    """

    def __init__(
        self,
        recommender: Recommender,
        fanout: Fanout,
        *,
        chunk_users: int,
        chunks_in_flight: int,
        beside_others: Callable[[], bool] = lambda: False,
        clock: Clock = monotonic,
    ) -> None:
        self.recommender = recommender
        self.fanout = fanout
        self.chunk_users = chunk_users
        self.chunks_in_flight = chunks_in_flight
        self.clock = clock
        self.resident_ms = RESIDENT_MS_AT_FIRST
        self.singles_in_flight = 0
        self._beside_others = beside_others

    @property
    def has_room(self) -> bool:
        """Whether one more user may be asked for alone."""
        return self.singles_in_flight < (SINGLES_BESIDE_OTHERS if self._beside_others() else SINGLES_IN_FLIGHT)

    async def counted(self, slate: Awaitable[bytes]) -> bytes:
        """The slate, in flight until it is made; a caller who is slow to take it holds nobody else up."""
        self.singles_in_flight += 1
        try:
            return await slate
        finally:
            self.singles_in_flight -= 1

    async def slates(
        self, requests: Sequence[pb.RecommendRequest], asking: Asking, views: Views
    ) -> AsyncGenerator[bytes]:
        """Serialised RecommendBatchResponses for valid requests, in the order in which they are ready.

        Args:
            requests: at least one.
            asking: until when shards may be waited for, but for what this keeps per user.
            views: leased by the caller until the last answer was taken.
        """
        run = _Run(self, asking, len(requests), views)
        working = asyncio.ensure_future(run.work(requests))
        try:
            for _ in requests:
                answer = await run.ready.get()
                if isinstance(answer, Exception):
                    raise answer
                yield answer
        finally:
            working.cancel()

    def chunks(self, planned: Iterable[tuple[Member, Plan]]) -> tuple[list[Chunk], list[Member]]:
        """Users by the shard that is asked for them, and those whose home nobody holds."""
        chosen: dict[tuple[str, int], str | None] = {}
        by_line: dict[tuple[str, str], list[tuple[Member, Plan]]] = {}
        homeless = []
        for member, plan in planned:
            version, home = plan.place.view.version, plan.place.home.partition
            if (version, home) not in chosen:
                chosen[version, home] = self.fanout.choose(version, home)
            address = chosen[version, home]
            if address is None:
                homeless.append(member)
            else:
                by_line.setdefault((address, version), []).append((member, plan))
        size = self.chunk_users
        chunks = [
            Chunk(address, version, members[at : at + size])
            for (address, version), members in by_line.items()
            for at in range(0, len(members), size)
        ]
        return chunks, homeless


class _Run:
    """One batch on its way.

    Attributes:
        ready: answers for the caller; an exception is a bug of ours, and the last thing to come.
    """

    def __init__(self, batcher: Batcher, asking: Asking, users: int, views: Views) -> None:
        self._views = views
        self.ready: asyncio.Queue[bytes | Exception] = asyncio.Queue(READY_ANSWERS_MAX)
        self._batcher = batcher
        self._asking = asking
        self._unanswered = users
        # Fixed here: halving what is left at every step would leave nothing for the last step.
        self._resident_ms = min(batcher.resident_ms, asking.shards_by.remaining_ms(batcher.clock()) / 2 / users)
        self._resident_since: tuple[float, int] | None = None
        self._singles: deque[Member] = deque()

    async def work(self, requests: Sequence[pb.RecommendRequest]) -> None:
        """Answer everything."""
        try:
            by_address = await self._planned(requests)
            async with asyncio.TaskGroup() as group:
                for queue in by_address.values():
                    for _ in range(min(self._batcher.chunks_in_flight, len(queue))):
                        group.create_task(self._empty(queue))
                for _ in range(min(SINGLES_IN_FLIGHT, len(self._singles))):
                    group.create_task(self._empty_singles())
            self._learn()
        except* Exception as failed:
            await self.ready.put(failed)

    def _learn(self) -> None:
        """Tell the next batch what a resident slate took in this one, where that was long enough to be measured."""
        if self._resident_since is None:
            return
        since, users = self._resident_since
        if users >= PLANNED_AT_ONCE:
            self._batcher.resident_ms = RESIDENT_SAFETY * (self._batcher.clock() - since) * 1000 / users

    async def _planned(self, requests: Sequence[pb.RecommendRequest]) -> dict[str, deque[Chunk]]:
        """Chunks by shard; everybody else is queued as a single."""
        planned: list[tuple[Member, Plan]] = []
        for index, request in enumerate(requests):
            member = Member(index, request.SerializeToString(), request)
            plan = self._batcher.recommender.plan(member.data, request, self._views)
            if plan is None:
                self._singles.append(member)
            else:
                planned.append((member, plan))
            if index % PLANNED_AT_ONCE == PLANNED_AT_ONCE - 1:
                await asyncio.sleep(0)
        chunks, homeless = self._batcher.chunks(planned)
        self._singles.extend(homeless)
        by_address: dict[str, deque[Chunk]] = {}
        for chunk in chunks:
            by_address.setdefault(chunk.address, deque()).append(chunk)
        return by_address

    async def _empty(self, queue: deque[Chunk]) -> None:
        """Ask for chunks until there are none, then for what they left over."""
        while queue:
            await self._ask(queue.popleft())
        await self._empty_singles()

    async def _ask(self, chunk: Chunk) -> None:
        """One chunk; users for whom the shard had nothing become singles."""
        left = dict(enumerate(chunk.members))
        request = shard_pb2.PredictBatchRequest(requests=[plan.predict for _, plan in chunk.members])
        began = self._batcher.clock()
        asking = self._asking_now()
        answers = self._batcher.fanout.ask_batch(
            chunk.version, chunk.address, request.SerializeToString(), len(left), asking.shards_by, asking.request_id
        )
        async with aclosing(answers):
            async for answer in answers:
                if answer.index not in left or _failed(answer.response):
                    continue
                member, plan = left.pop(answer.index)
                shard_ms = (self._batcher.clock() - began) * 1000
                attempt = Attempt(chunk.address, pb.OUTCOME_ANSWERED, ms=shard_ms)
                reach = Reach.of(plan.place.rung, 1, (attempt,), shard_ms, asking.shards_by.remaining_ms(began))
                slate = self._batcher.recommender.answered(plan, self._asking_now(), answer.response, (), reach)
                await self._give(member, slate)
        self._singles.extend(member for member, _ in left.values())

    async def _empty_singles(self) -> None:
        batcher = self._batcher
        while self._singles:
            asking = self._asking_now()
            if self._resident_ms and not batcher.has_room:  # without it there is no time left to give way
                await asyncio.sleep(GIVE_WAY_S)
                continue
            member = self._singles.popleft()
            slate = batcher.recommender.slate(member.data, member.request, asking, self._views)
            await self._give(member, batcher.counted(slate))
            await asyncio.sleep(0)  # resident slates wait for nobody; others' requests must get their turn

    async def _give(self, member: Member, slate: Awaitable[bytes]) -> None:
        try:
            made = await slate
        except PartialAborted:  # this member's choice; the others' slates come
            made = aborted(self._asking, self._batcher.clock())
        self._unanswered -= 1
        await self.ready.put(batch_answer(member.position, made))

    def _asking_now(self) -> Asking:
        """The call, with the time that shards have as of now."""
        until = self._asking.shards_by.shortened(self._resident_ms * self._unanswered)
        asking = self._asking._replace(shards_by=until)
        if until.remaining_ms(self._batcher.clock()) < WORTH_ASKING_MS:
            self._asking, self._resident_ms = asking, 0.0  # for good
            self._resident_since = self._resident_since or (self._batcher.clock(), self._unanswered)
        return asking


def _failed(response: shard_pb2.PredictResponse) -> bool:
    """Whether the shard could make nothing of a request; another replica may."""
    return not response.slate
