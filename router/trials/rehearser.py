"""Replays recent requests on two snapshots: which ones, how many at a time, and for how long.

Shoppers come first: few are replayed at a time, and none while the router is at its limit. Each request is asked of
both snapshots in a row, every other one of the candidate first, so that neither always finds warm caches. What the
answers say is `router.trials.measures`' and `router.trials.rehearsal`'s business; what follows,
`router.trials.conductor`'s.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from router.served.keeper import Keeper
from router.trials import replay
from router.trials.course import Course
from router.trials.measures import Pair, measured
from router.trials.rehearsal import RehearsalLimits, Verdict, judged
from router.trials.replay import Replay
from router.trials.sample import Chance, Sample
from trunkshow.serving.deadline import Clock
from trunkshow.v1 import recommendation_pb2 as pb

PAUSE_S = 0.1
"""Between two looks at what is waited for: more requests, or a router below its limit."""

log = structlog.get_logger()


class Rehearser:
    """Compares a candidate with the current version.

    Args:
        keeper: of the views that are served.
        replaying: asks shards again.
        sample: of recent requests.
        limits: of a rehearsal.
        busy: whether the router is at its limit.
        chance: random numbers.
        clock: monotonic.
        sleep: on the same clock.
    """

    def __init__(
        self,
        keeper: Keeper,
        replaying: Replay,
        sample: Sample,
        limits: RehearsalLimits,
        *,
        busy: Callable[[], bool],
        chance: Chance,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._keeper = keeper
        self._replay = replaying
        self._sample = sample
        self._limits = limits
        self._busy = busy
        self._chance = chance
        self._clock = clock
        self._sleep = sleep

    async def rehearsed(self, course: Course) -> Verdict | None:
        """The verdict; None where too little could be compared, or the candidate is none any more.

        A pair without the current version's answer compares nothing: of the least number, half must have one.
        """
        pairs = await self._pairs(course, deque(enumerate(await self._requests(course))))
        least = self._limits.rehearsal_requests_min
        comparable = sum(not pair.current.failed for pair in pairs)
        with self._keeper.lease() as views:
            if not course.is_on(views) or len(pairs) < least or 2 * comparable < least:
                return None
            return judged(measured(pairs, replay.ranks(views.current)), self._limits)

    async def _requests(self, course: Course) -> list[bytes]:
        """Recent requests to which something personal can be answered; made up, where there are still too few."""
        limits = self._limits
        until = self._clock() + limits.rehearsal_wait_s
        while True:
            with self._keeper.lease() as views:
                recent = [
                    data
                    for data in self._sample.recent(limits.rehearsal_requests, self._clock())
                    if replay.personal(views.current, pb.RecommendRequest.FromString(data))
                ]
                lacking = limits.rehearsal_requests_min - len(recent)
                if lacking <= 0 or not course.is_on(views):
                    return recent
                if self._clock() >= until:
                    log.info("rehearsal.made_up", snapshot=course.version, requests=lacking, recent=len(recent))
                    return [*recent, *replay.made_up(views.current, lacking, self._chance)]
            course.said = f"waits for requests to replay: {len(recent)} of {limits.rehearsal_requests_min}"
            await self._sleep(PAUSE_S)

    async def _pairs(self, course: Course, requests: deque[tuple[int, bytes]]) -> list[Pair]:
        """Both versions' answers to as many as time allows."""
        until = self._clock() + self._limits.rehearsal_time_s
        pairs: list[Pair] = []

        async def work() -> None:
            while requests and self._clock() < until and course.is_on(self._keeper.now):
                if self._busy():
                    await self._sleep(PAUSE_S)
                    continue
                number, data = requests.popleft()
                if (pair := await self._pair(course, data, candidate_first=number % 2 == 1)) is not None:
                    pairs.append(pair)
                course.compared = len(pairs)
                course.said = f"{len(pairs)} requests compared, {len(requests)} to go"

        async with asyncio.TaskGroup() as group:
            for _ in range(self._limits.rehearsal_in_flight):
                group.create_task(work())
        return pairs

    async def _pair(self, course: Course, data: bytes, *, candidate_first: bool) -> Pair | None:
        """One request's answers of both, one after the other; None where the candidate is none any more."""
        request = pb.RecommendRequest.FromString(data)
        with self._keeper.lease() as views:
            if views.candidate is None or not course.is_on(views):
                return None
            if candidate_first:
                candidate = await self._replay.answer(views.candidate.view, request)
                return Pair(await self._replay.answer(views.current, request), candidate)
            current = await self._replay.answer(views.current, request)
            return Pair(current, await self._replay.answer(views.candidate.view, request))
