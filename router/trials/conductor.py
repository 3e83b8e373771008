"""Tries the candidate that the store's pointer names, and moves the pointer on; by itself, in every router.

    cannot be opened here               → refused, or withdrawn after a while (`router.trials.unopened`)
    not warm                            → waited for; withdrawn after `rehearsal_warm_s`
    a part of it is spoilt              → refused, rehearsing or canary (`router.trials.suspicion`)
    shards refused a part of it, but    → waited for; refused after `rehearsal_warm_s`
    others have still to look
    rehearsing, warm on enough shards   → replayed beside the current version (`router.trials.rehearsal`)
        a limit was broken              → refused
        too little could be compared    → withdrawn: it is pushed, and can be tried again
        passed                          → canary, where a share of users was asked for, else current
    canary, once it was all warm        → every answer is counted (`router.trials.canary`); that nobody holds a user's
                                          partition of it any more counts against it
        harm                            → refused, so that the current version serves everybody again
        none in enough answers          → current

Rules:

1. Several routers may conduct the same candidate. A move is made only if the pointer still has it in the phase that was
   tried, so the first verdict wins, and the others find that it has moved on.
2. A store that does not answer, or a pin, keeps a verdict waiting; it is not tried twice for that.
3. What this machine or a shard's is short of says nothing of the candidate: it is withdrawn, and can be tried again. It
   is refused, for good, for what was found in it alone.
4. Nothing here ever fails a request: what goes wrong is logged, and looked at again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from functools import partial
from typing import Never

import structlog

from router.answering.counters import Answered
from router.cluster.watch import Board
from router.served.keeper import Keeper
from router.served.moving import Patience
from router.trials.canary import CanaryLimits, Decision, Served
from router.trials.course import Course, Intent, Outcome, moved
from router.trials.looking import LOOK_EVERY_S, MOVE_WITHIN_S, RETRY_S
from router.trials.rehearser import Rehearser
from router.trials.unopened import Unopened
from trunkshow.offload import Offload
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.serving.rounds import Sleep, rounds
from trunkshow.snapshot.lifecycle import LifecycleError, Pointer, Who
from trunkshow.snapshot.states import State
from trunkshow.v1 import cluster_pb2
from trunkshow.v1 import recommendation_pb2 as pb

TRIALS = metrics.counter(
    "trunkshow_candidates_total", "Candidates that this router judged, by phase and verdict.", ("phase", "verdict")
)

Change = Callable[[Pointer], Pointer]

log = structlog.get_logger()


class Conductor:
    """Tries candidates.

    Args:
        keeper: of the views that are served.
        board: with the newest topology.
        rehearser: replays requests.
        move: the store's; blocks, and may hang.
        who: this router as a mover of the pointer, now.
        named: the candidate that the store's pointer names, open here or not; empty where there is none.
        refused: versions that this router's own checks refused, and why.
        spoilt: of these, those of which a file was spoilt that shards open, too.
        warm_s: within which a candidate must be warm on enough shards.
        canary: limits of one.
        patience: when a partition is warm on enough shards.
        clock: monotonic.
        sleep: on the same clock.
    """

    def __init__(
        self,
        keeper: Keeper,
        board: Board,
        rehearser: Rehearser,
        move: Callable[[Change], Pointer],
        who: Callable[[str], Who],
        *,
        named: Callable[[], str],
        refused: Callable[[], Mapping[str, str]],
        spoilt: Callable[[], Collection[str]] = frozenset,
        warm_s: float,
        canary: CanaryLimits,
        patience: Patience,
        clock: Clock = monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._keeper = keeper
        self._board = board
        self._rehearser = rehearser
        self._move = move
        self._who = who
        self._warm_s = warm_s
        self._canary = canary
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        self._moving = Offload[Pointer]("move")
        self._unopened = Unopened(
            keeper, board, move, who, named=named, refused=refused, spoilt=spoilt, warm_s=warm_s, clock=clock
        )
        self._course: Course | None = None

    async def run(self) -> Never:
        """Try every candidate that comes, until cancelled."""
        await rounds(self.look, LOOK_EVERY_S, failed="conductor.failed", sleep=self._sleep)

    async def look(self) -> None:
        """Do what is to be done now; a whole rehearsal, where one is due."""
        await self._unopened.look()
        course = self._course = self._followed()
        if course is None:
            return
        if course.intent is None:
            course.intent = await self._tried(course)
        if course.intent is not None and course.may_tell(self._clock(), self._keeper.now.serial):
            await self._tell(course, course.intent)

    def served(self, answered: Answered) -> None:
        """Count an answer, while there is a canary; one that was meant from neither version says nothing."""
        course = self._course
        if course is None or course.phase is not State.CANARY or not course.moves.complete:
            return
        if answered.meant not in (course.version, course.current):
            return
        below = answered.rung > pb.RUNG_SNAPSHOT or answered.made != answered.meant
        course.canary.serve(Served(answered.meant == course.version, answered.failed, below, answered.ms))

    def candidate(self) -> cluster_pb2.Candidate | None:
        """What GetClusterStatus says of the candidate; None where there is none."""
        course = self._course
        if course is None or not course.is_on(self._keeper.now):
            return None
        return cluster_pb2.Candidate(
            snapshot_version=course.version,
            phase=course.phase,
            share=course.share,
            requests=course.requests,
            partitions_covered=course.moves.count,
            verdict=course.said,
        )

    def _followed(self) -> Course | None:
        """The course of what is tried now: the one there was, or a new one."""
        views = self._keeper.now
        if self._course is not None and self._course.is_on(views) and not self._course.is_over(views.serial):
            return self._course
        if views.candidate is None:
            return None
        course = Course(views.candidate, views.current.version, self._clock(), self._canary)
        log.info(f"{course.kind}.began", snapshot=course.version, share=course.share)
        return course

    async def _tried(self, course: Course) -> Intent | None:
        """What has become of the candidate; None as long as that is not known."""
        now, topology = self._clock(), self._board.topology
        course.moves = course.moves.advanced(topology, self._patience, now)
        if (spoilt := course.spoilt(topology, now)) is not None:
            return spoilt
        if course.doubt or not course.moves.complete:
            return course.cold(now, self._warm_s)
        return self._of_canary(course) if course.phase is State.CANARY else await self._of_rehearsal(course)

    def _of_canary(self, course: Course) -> Intent | None:
        decision, course.said = course.canary.judged(self._clock() - course.since)
        if decision is Decision.WAIT:
            return None
        return Intent(Outcome.FAILED if decision is Decision.ROLL_BACK else Outcome.PASSED, course.said)

    async def _of_rehearsal(self, course: Course) -> Intent | None:
        verdict = await self._rehearser.rehearsed(course)
        if verdict is not None:
            came_to = Outcome.PASSED if verdict.passed else Outcome.FAILED
            return Intent(came_to, str(verdict), asdict(verdict.measures))
        if not course.is_on(self._keeper.now):
            log.info("rehearsal.abandoned", snapshot=course.version)
            return None
        return Intent(Outcome.WITHDRAWN, f"rehearsal came to nothing: {course.compared} requests compared in time")

    async def _tell(self, course: Course, intent: Intent) -> None:
        """Move the pointer as intended; the course remembers what came of it."""
        serial = self._keeper.now.serial
        who = self._who(intent.why)
        change = partial(moved, version=course.version, phase=course.phase, intent=intent, who=who)
        try:
            pointer = await self._moving.run(partial(self._move, change), MOVE_WITHIN_S)
        except LifecycleError as error:  # pinned, or another router was faster
            course.overruled(serial)
            log.info("conductor.overruled", snapshot=course.version, error=str(error))
        except Exception as error:  # whatever a store raises, the verdict stands
            course.unheard(self._clock() + RETRY_S)
            log.warning("conductor.unheard", snapshot=course.version, error=str(error) or repr(error))
        else:
            course.told(pointer.serial)
            TRIALS.labels(course.phase, intent.outcome.value).inc()
            say = log.info if intent.outcome is Outcome.PASSED else log.warning
            say(intent.event(course.phase), snapshot=course.version, why=intent.why, **intent.measures)
