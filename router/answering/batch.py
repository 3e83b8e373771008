"""Many slates in one call, each sent as soon as it is ready, each exactly once.

    known users → by the replica of their home → chunks → PredictBatch ─┐
    leftovers of chunks that failed or were late ───────────────────────┤→ one by one, as single requests → sent
    strangers, and users whose home nobody holds ───────────────────────┘

Chunks wait in line per shard, so that single requests get in between; answers wait for the caller in a bounded queue.
Who is asked together is left to `router.answering.chunks`; until when, to `router.answering.batch_time`; what becomes
of one user, to `router.answering.recommend`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from router.answering import last_resort
from router.answering.batch_time import RESIDENT_MS_AT_FIRST, BatchTime
from router.answering.chunks import Chunk, Member, divided
from router.answering.recommend import Plan, Recommender
from router.asking.attempts import Attempt
from router.asking.fanout import Fanout
from router.served.views import Views
from router.slates.receipt import Asking, Reach, aborted, batch_answer
from trunkshow.errors import PartialAborted
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

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


class _Run:
    """One batch on its way.

    Attributes:
        ready: answers for the caller; an exception is a bug of ours, and the last thing to come.
    """

    def __init__(self, batcher: Batcher, asking: Asking, users: int, views: Views) -> None:
        self.ready: asyncio.Queue[bytes | Exception] = asyncio.Queue(READY_ANSWERS_MAX)
        self._batcher = batcher
        self._views = views
        self._time = BatchTime(asking, users, batcher.resident_ms, batcher.clock)
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
            # The next batch knows better what a resident slate takes.
            self._batcher.resident_ms = self._time.measured_ms() or self._batcher.resident_ms
        except* Exception as failed:
            await self.ready.put(failed)

    async def _planned(self, requests: Sequence[pb.RecommendRequest]) -> dict[str, deque[Chunk]]:
        """Chunks by shard; everybody else is queued as a single."""
        planned: list[tuple[Member, Plan]] = []
        for index, request in enumerate(requests):
            member = Member(index, request.SerializeToString(), request)
            plan = self._plan(member)
            if plan is None:
                self._singles.append(member)
            else:
                planned.append((member, plan))
            if index % PLANNED_AT_ONCE == PLANNED_AT_ONCE - 1:
                await asyncio.sleep(0)
        by_address, homeless = divided(planned, self._batcher.fanout.choose, self._batcher.chunk_users)
        self._singles.extend(homeless)
        return by_address

    def _plan(self, member: Member) -> Plan | None:
        """As the recommender's; one that breaks will do so again where it is asked for alone, and be seen to there."""
        try:
            return self._batcher.recommender.plan(member.data, member.request, self._views)
        except Exception as error:
            last_resort.report(error, self._time.asking.request_id)
            return None

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
        asking = self._time.now()
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
                slate = self._batcher.recommender.answered(plan, self._time.now(), answer.response, (), reach)
                await self._give(member, slate)
        self._singles.extend(member for member, _ in left.values())

    async def _empty_singles(self) -> None:
        batcher = self._batcher
        while self._singles:
            asking = self._time.now()
            if not self._time.is_up and not batcher.has_room:  # without it there is no time left to give way
                await asyncio.sleep(GIVE_WAY_S)
                continue
            member = self._singles.popleft()
            slate = batcher.recommender.slate(member.data, member.request, asking, self._views)
            await self._give(member, batcher.counted(slate))
            await asyncio.sleep(0)  # resident slates wait for nobody; others' requests must get their turn

    async def _give(self, member: Member, slate: Awaitable[bytes]) -> None:
        try:
            made = await self._made(member, slate)
        except PartialAborted:  # this member's choice; the others' slates come
            made = aborted(self._time.asking, self._batcher.clock())
        self._time.answered()
        await self.ready.put(batch_answer(member.position, made))

    async def _made(self, member: Member, slate: Awaitable[bytes]) -> bytes:
        try:
            return await slate
        except PartialAborted:
            raise
        except Exception as error:  # nor do the others suffer from a bug
            asking = self._time.asking
            last_resort.report(error, asking.request_id)
            return self._batcher.recommender.at_once(member.request, asking, self._views, last_resort.REASONS)


def _failed(response: shard_pb2.PredictResponse) -> bool:
    """Whether the shard could make nothing of a request; another replica may."""
    return not response.slate
