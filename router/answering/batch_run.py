"""One batch on its way: planned, asked for in chunks and alone, and handed to its caller as it becomes ready.

Chunks wait in line per shard, so that single requests get in between, and nobody is asked for without room beside pages
(`router.admission.line`); where there is none, they get resident slates. Once enough answers wait for a slow caller,
nobody more is asked for: what is on its way is heard to its end all the same, and holds no room from others.
Where a version was taken back meanwhile (`router.answering.batch_views`), whoever was to be answered from it is planned
anew. Who is asked together is left to `router.answering.chunks`; until when, to `router.answering.batch_time`; what
becomes of one user, to `router.answering.batch_slates`; what batches have in common, to `router.answering.batch`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Iterable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from router.answering import last_resort
from router.answering.batch_slates import TAKEN_BACK, BatchSlates
from router.answering.batch_time import BatchTime
from router.answering.batch_views import BatchViews
from router.answering.chunks import Chunk, Member, divided
from router.answering.recommend import Plan
from router.asking.attempts import Attempt
from router.slates.receipt import Asking, Reach
from trunkshow.bundles import Bundle, each, numbered
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

if TYPE_CHECKING:
    from router.answering.batch import Batcher

SINGLES_AT_A_TIME = 4
"""Of one batch, users who wait to be asked for alone; how many of all batches are, is `router.admission.line`'s."""

READY_ANSWERS_MAX = 64
"""Answers that wait for a slow caller, beside those to come of what is on its way; beyond them the batch pauses."""

PLANNED_AT_ONCE = 50
"""Users planned before other requests get a turn: about a millisecond."""


class Run:
    """One batch on its way.

    Attributes:
        views: that it goes by.
    """

    def __init__(self, batcher: Batcher, asking: Asking, users: int, views: BatchViews) -> None:
        self.views = views
        # Slates for the caller; an exception is a bug of ours, and the last thing to come.
        self._ready: asyncio.Queue[tuple[Member, bytes] | Exception] = asyncio.Queue()
        self._taken = asyncio.Event()
        self._batcher = batcher
        self._group = asyncio.TaskGroup()
        self._queues: list[deque[Chunk]] = []
        self._time = BatchTime(asking, users, batcher.resident_ms, batcher.clock)
        self._slates = BatchSlates(batcher.recommender, batcher.shed, views, self._time, batcher.clock)
        self._singles: deque[Member] = deque()

    async def work(self, requests: Sequence[pb.RecommendRequest]) -> None:
        """Answer everything."""
        try:
            async with self._group:
                await self._begin(Member(index, one.SerializeToString(), one) for index, one in enumerate(requests))
            # The next batch knows better what a resident slate takes.
            self._batcher.resident_ms = self._time.measured_ms() or self._batcher.resident_ms
        except* Exception as failed:
            self._ready.put_nowait(failed)

    async def next(self, *, together: bool) -> Bundle:
        """The next answer for the caller, and with it, where they may come together, all that are ready.

        Raises:
            Exception: a bug of ours.
        """
        bundle = Bundle(together=together)
        ready = await self._ready.get()
        self._taken.set()
        bundle.add(await self._sound(ready))
        # Of nothing that is added here was anything taken back, nor can be until it is sent: nothing is waited for.
        while not (bundle.is_full or self._ready.empty() or self.views.gone):
            bundle.add(await self._sound(self._ready.get_nowait()))
        self._taken.set()
        return bundle

    async def _sound(self, ready: tuple[Member, bytes] | Exception) -> bytes:
        """An answer, numbered; made anew where what it is of was taken back while it waited."""
        if isinstance(ready, Exception):
            raise ready
        member, made = ready
        if self.views.took_back(made):
            made = await self._slates.settled(member, self._slates.alone(member))
        if self.views.took_back(made):
            made = await self._slates.settled(member, self._slates.at_once(member, TAKEN_BACK))
        return numbered(member.position, made)

    async def _begin(self, members: Iterable[Member]) -> None:
        """Plan these, and begin to ask for them."""
        by_address = await self._planned(members)
        self._queues += by_address.values()
        for queue in by_address.values():
            for _ in range(min(self._batcher.chunks_in_flight, len(queue))):
                self._group.create_task(self._empty(queue))
        for _ in range(min(SINGLES_AT_A_TIME, len(self._singles))):
            self._group.create_task(self._empty_singles())

    async def _planned(self, members: Iterable[Member]) -> dict[str, deque[Chunk]]:
        """Chunks by shard; everybody else is queued as a single."""
        planned: list[tuple[Member, Plan]] = []
        for index, member in enumerate(members):
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
            if not self.views.admit(member.request):
                return None
            return self._batcher.recommender.plan(member.data, member.request, self.views.now)
        except Exception as error:
            last_resort.report(error, self._time.asking.request_id)
            return None

    async def _empty(self, queue: deque[Chunk]) -> None:
        """Ask for chunks until there are none, then for what they left over."""
        while queue:
            await self._paused()
            if not queue:  # called back meanwhile
                break
            chunk = queue.popleft()
            left_s = self._left_s()
            if self._time.is_up:
                self._singles.extend(member for member, _ in chunk.members)
            elif await self._batcher.together.to(chunk.address).room(len(chunk.members), left_s):
                await self._ask(chunk)
            else:
                await self._turn_away(member for member, _ in chunk.members)
        await self._empty_singles()

    async def _ask(self, chunk: Chunk) -> None:
        """One chunk; users for whom the shard had nothing become singles, unless what it is of was taken back."""
        left = dict(enumerate(chunk.members))
        try:
            if chunk.version not in self.views.gone:
                await self._hear(chunk, left)
        finally:
            self._batcher.together.to(chunk.address).leave()
        rest = [member for member, _ in left.values()]
        if chunk.version in self.views.gone:
            await self._begin([*rest, *self._called_back()])
        else:
            self._singles.extend(rest)

    def _called_back(self) -> list[Member]:
        """Whoever waits in line for a version that was taken back, and does so no more."""
        gone, members = self.views.gone, []
        for queue in self._queues:
            members += [member for chunk in queue if chunk.version in gone for member, _ in chunk.members]
            staying = [chunk for chunk in queue if chunk.version not in gone]
            queue.clear()
            queue.extend(staying)
        return members

    async def _hear(self, chunk: Chunk, left: dict[int, tuple[Member, Plan]]) -> None:
        """What the shard answers; `left` are those without an answer, as they become fewer."""
        request = shard_pb2.PredictBatchRequest(requests=[plan.predict for _, plan in chunk.members], together=True)
        began = self._batcher.clock()
        asking = self._time.now()
        answers = self._batcher.fanout.ask_batch(
            chunk.version, chunk.address, request.SerializeToString(), len(left), asking.shards_by, asking.request_id
        )
        async with aclosing(answers):
            async for message in answers:
                shard_ms = (self._batcher.clock() - began) * 1000
                attempt = Attempt(chunk.address, pb.OUTCOME_ANSWERED, ms=shard_ms)
                reach = Reach.of(chunk.rung, 1, (attempt,), shard_ms, asking.shards_by.remaining_ms(began))
                now = self._time.now()  # one value for all that came at the same moment: their receipts say the same
                for answer in each(message):
                    if chunk.version in self.views.gone:
                        return
                    if answer.index not in left or _failed(answer.response):
                        continue
                    member, plan = left.pop(answer.index)
                    await self._give(member, self._batcher.recommender.answered(plan, now, answer.response, (), reach))

    async def _empty_singles(self) -> None:
        while self._singles:
            await self._paused()
            if self._singles:
                await self._single(self._singles.popleft())

    async def _single(self, member: Member) -> None:
        line, left_s = self._batcher.alone, self._left_s()
        if self._time.is_up:  # what is made now is a resident slate
            await self._give(member, self._slates.alone(member))
        elif await line.room(1, left_s):
            try:
                await self._give(member, self._slates.alone(member))
            finally:
                line.leave()
        else:
            await self._turn_away((member,))
        await asyncio.sleep(0)  # resident slates wait for nobody; others' requests must get their turn

    async def _turn_away(self, members: Iterable[Member]) -> None:
        """Resident slates for those there is no room for."""
        for member in members:
            await self._paused()
            await self._give(member, self._slates.turned_away(member))
            await asyncio.sleep(0)

    def _left_s(self) -> float:
        """Seconds that shards have, as of now."""
        return self._time.now().shards_by.remaining_s(self._batcher.clock())

    async def _paused(self) -> None:
        """Wait while the caller has enough to take."""
        while self._ready.qsize() >= READY_ANSWERS_MAX:
            self._taken.clear()
            await self._taken.wait()

    async def _give(self, member: Member, slate: Awaitable[bytes]) -> None:
        made = await self._slates.settled(member, slate)
        self._time.answered()
        self._ready.put_nowait((member, made))


def _failed(response: shard_pb2.PredictResponse) -> bool:
    """Whether the shard could make nothing of a request; another replica may."""
    return not response.slate
