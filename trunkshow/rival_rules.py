"""When a client asks other routers as well, because the one that it asked takes long: decided here, done elsewhere.

A router that stands still (its machine paused, its disk or its network gone) keeps its connections, and gRPC finds out
in seconds only; until then a call to it is to cost a hedge, not an answer. Rules:

1. Only where it does no harm to ask twice (`hedges`): what asks, and events, which count once by their ids. New items
   and tombstones are not sent twice: neither has an id by which it would count once, and one that a router wakes up
   with later would undo what came after it. Nor can a stream be, of which a part is sent. And only where the target
   names several routers (`targets`). What takes long by its caller's wish, or because a log does, is waited for
   nearly as long as a router may make it wait. Batches have rules of their own beside these:
   `trunkshow.batch_parts`.
2. Patience and budget are those of `trunkshow.hedging`: the p99 of what callers waited of late, within bounds, and a
   token. With the p95 one call in twenty would be hedged on tokens for one in fifty, and none be left for a router that
   stands still, where answers take as long as the bounds. The token comes back where the router first asked gave no
   answer at all, and one of the reserve with it: where slow answers have spent the budget, a router that stands still
   has it back in seconds. Routers that are merely slow, since there is too much to do, are soon asked no more than
   once each. Who got no token then has another chance later, and again and again as long as there is time, on a
   reserve: what is silent for so long may stand still, and slow answers before it are not to have spent what that
   needs. Where they have spent both, there is a last one for a router of which receipts tell nothing for a while, and
   of others several answers (`trunkshow.rival_flow`). None is spent where hardly anybody who asked later has been
   answered: what everybody waits for is not one router, and another one would not help; what everybody waited for once
   may be one router a moment later. Nor is it where each of the routers, which receipts tell, has answered somebody
   who asked later: none of them stands still, and to ask all of them for what one is busy with would only make them
   slower.
3. Two calls go out at once. gRPC's round robin does not say which router a call went to, nor takes one back; but calls
   that are begun one right after the other go to different ones, so that one of the two goes past whichever is slow.
4. The first answer counts. An error counts once all have failed, and then it is that of the first.
5. gRPC takes a call that is called off for a failure of its router, and ejects one that fails half of its calls. So the
   others get a while to be answered after all: only a router that stands still is to be ejected, not one that is slow.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping

from trunkshow.channel import (
    DEADLINE_MS,
    GET_CLUSTER_STATUS,
    GET_FEATURES,
    RECOMMEND,
    RECORD_EVENTS,
    SIMILAR_ITEMS,
)
from trunkshow.hedging import Patience, Tokens
from trunkshow.latencies import Latencies
from trunkshow.rival_flow import Flow
from trunkshow.serving.deadline import Clock, monotonic

RIVALS = 2
"""Calls of one hedge; see rule 3."""

PATIENCE = Patience(default_ms=60.0, floor_ms=40.0, ceiling_ms=80.0)
"""A router hedges among its shards long before; who is still silent then is slow itself."""

TAIL = 0.99
"""The quantile of rule 2."""

SHARE = 0.02
"""Of requests that may be hedged in the long run; with two calls each, a twenty-fifth more of them. With 0.05, and a
burst of 256, and no token given back, a flood of five times what a cluster sustains left half of the good answers
(`trunkshow chaos --fault overload --seed 1`); with this, about four fifths are left (bench/RELIABILITY.md)."""

BURST = 64
"""Hedges whose first call is not seen to be silent yet: of a caller who asks some 250 times a second."""

LAST_SHARE = 0.6
"""Of a call's time, or of what a router promises where that is less, after each of which it may be hedged on the
reserve."""

RESERVE_SHARE = 0.005
"""As `SHARE`, of the reserve, which holds as many tokens."""

BATCH_BURST = 16
"""The same for batches, which have a budget of their own; see `trunkshow.batch_parts`."""

WAITED_SHARE = 0.8
"""Of its time, for what waits by its caller's wish: a router waits for events for seven tenths of it at most."""

PROMISED_S = DEADLINE_MS / 1e3
RECORDED_S = 2.0
"""That a router gives its log at most."""

TOLD_S = 0.5
"""For a status, of which others are asked after four fifths: a call that asks for nothing took 0.39 s at most where a
router had far too much to do (docs/faults.md)."""

SPARED_S = 0.4
"""For a call that was outrun: who is silent for so long stands still. Threads leave it to its own deadline."""


class Budget:
    """Tokens that may be shared between threads; see `trunkshow.hedging`."""

    def __init__(self, share: float, burst: float) -> None:
        self._tokens = Tokens(share, burst)
        self._lock = threading.Lock()

    def earn(self) -> None:
        """A request came."""
        with self._lock:
            self._tokens.earn()

    def spend(self) -> bool:
        """Whether others may be asked now."""
        with self._lock:
            return self._tokens.spend()

    def give_back(self) -> None:
        """Whoever was asked first never answered: the hedge cost nobody anything who could have done more."""
        with self._lock:
            self._tokens.give_back()


class Hedge:
    """Whether a client's calls are hedged, and when; may be shared between threads.

    Args:
        routers: tells how many there are, as far as is known.
        waits_s: all of these calls may take so long at a router that is well; as it promises itself where None.
        clock: a port: monotonic seconds.

    Attributes:
        batches: the budget of batches.
        beginning: held by a thread that begins calls, so that nobody's comes between the two of a hedge (rule 3).
    """

    def __init__(self, routers: Callable[[], int], *, waits_s: float | None = None, clock: Clock = monotonic) -> None:
        self.beginning = threading.Lock()
        self._routers = routers
        self._waits = waits_s is not None
        self._promised_s = PROMISED_S if waits_s is None else waits_s
        self.batches = Budget(SHARE, BATCH_BURST)
        self._budget = Budget(SHARE, BURST)
        self._reserve = Budget(RESERVE_SHARE, BURST)
        self._last_reserve = Budget(RESERVE_SHARE, BURST)
        self._latencies = Latencies(TAIL)
        self._flow = Flow(clock)
        self._lock = threading.Lock()

    @property
    def several(self) -> bool:
        """Whether there are several routers, as far as is known."""
        return self._routers() > 1

    @property
    def begun(self) -> int:
        """The number of the call that was begun last."""
        return self._flow.begun

    def patience_s(self, timeout_s: float, *, waits: bool = False) -> float | None:
        """How long a call is waited for before others are asked; None where none are.

        Args:
            timeout_s: of the call.
            waits: it takes long by its caller's wish.
        """
        if not self.several:
            return None
        self._budget.earn()
        self._reserve.earn()
        self._last_reserve.earn()
        if waits or self._waits:
            return WAITED_SHARE * min(timeout_s, self._promised_s)
        with self._lock:
            patience_s = PATIENCE.of(self._latencies.tail_ms) / 1e3
        return patience_s if patience_s < timeout_s else None

    def begin(self) -> int:
        """A call is begun; its number, to be told again once it is over."""
        with self._lock:
            return self._flow.begin()

    def end(self, number: int) -> None:
        """The call is over, whatever became of it."""
        with self._lock:
            self._flow.end(number)

    def looks(self, patience_s: float, timeout_s: float) -> Iterator[tuple[float, Callable[[int], bool]]]:
        """When a call of so many seconds is looked at, in seconds after its beginning, and who is asked then.

        That says of the call's number whether others may be asked now. The first look is once its patience is over, on
        the budget; the others, as long as there is time, are on the reserve.
        """
        yield patience_s, self.spend
        every_s = LAST_SHARE * min(timeout_s, self._promised_s)
        at_s = max(every_s, patience_s)
        while at_s < timeout_s:
            yield at_s, self.spend_last
            at_s += every_s

    def spend(self, number: int) -> bool:
        """Whether others may be asked now for a call."""
        return self._passes(number) and (self._budget.spend() or self._spend_on_the_silent())

    def spend_last(self, number: int) -> bool:
        """The same of who was refused before."""
        return self._passes(number) and (self._reserve.spend() or self._spend_on_the_silent())

    def _spend_on_the_silent(self) -> bool:
        with self._lock:
            silent = self._flow.is_one_silent(self._routers())
        return silent and self._last_reserve.spend()

    def _passes(self, number: int) -> bool:
        with self._lock:
            return self._flow.passes(number, self._routers())

    def was_right(self) -> None:
        """Whoever was asked first never answered: the token comes back, and, off the reserve, another one."""
        self._budget.give_back()
        if self._reserve.spend():
            self._budget.give_back()

    def answered(self, seconds: float) -> None:
        """A caller waited so long, whichever call was answered: else what is hedged would make patience shorter."""
        with self._lock:
            self._latencies.add(seconds * 1e3)

    def answered_by(self, router: str, number: int) -> None:
        """A router answered a call that was begun as this one was, or is not known by its answer."""
        if router:
            with self._lock:
                self._flow.answered(router, number)


def hedges(routers: Callable[[], int]) -> Mapping[str, Hedge]:
    """A client's, by the path of the method: what asks for shoppers has one budget, events and statuses one each."""
    asking, recording, telling = Hedge(routers), Hedge(routers, waits_s=RECORDED_S), Hedge(routers, waits_s=TOLD_S)
    return {method.path: asking for method in (RECOMMEND, SIMILAR_ITEMS, GET_FEATURES)} | {
        RECORD_EVENTS.path: recording,
        GET_CLUSTER_STATUS.path: telling,
    }
