"""What of a batch has no answer yet, which streams are asked for it, and when others are: decided here, done elsewhere.

A batch goes to one router over one stream. Where the target names several, the rules of `trunkshow.rival_rules` hold
for it, with these beside them:

1. Its patience is a silence: no message for `SILENCE_S`, or for a quarter of the deadline where that is less, while
   answers are missing and the caller waits for them. Slates come as they are made, so that what is long says nothing.
2. Others are asked for what is missing alone, and no more often than `AGAIN_MAX` in one batch. Batches have a budget of
   their own (`Hedge.batches`): a token that a page has earned is not to buy a thousand slates. Who gets none asks
   again after another silence.
3. A stream that broke off in its midst (UNAVAILABLE), with nobody else under way, is asked again of one: gRPC does so
   only until a message has come. Nothing is made twice by that, and it costs no token.
4. Nobody is asked since it is silent about what waits by its caller's wish (`at_least_as_fresh` in any of them).
5. Of each request the first answer counts. Errors count once all streams are over, and the oldest stream's is told.
6. A batch whose answers have all come is over: at once where others were asked, else with its stream, which has
   `SPARED_S` to end. What is under way then is left to `trunkshow.rival_batches`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import grpc

from trunkshow.bundles import each
from trunkshow.rival_rules import RIVALS, SPARED_S, Budget
from trunkshow.v1 import recommendation_pb2 as pb

SILENCE_S = 0.4
"""More than a router lets a batch wait between two slates, unless there is too much to do; and far less than batches'
own deadline."""

SILENCE_SHARE_MAX = 0.25
"""Of the deadline."""

AGAIN_MAX = 2
"""Times that others are asked in one batch: with two calls each, and one that was asked first, five streams."""


class Part:
    """What one stream is asked for, and what is known of it.

    Attributes:
        request: for the stream.
        live: it is not over.
        heard: a message has come.
        silent: nothing has come since others were last asked.
        error: that it ended with.
    """

    def __init__(self, request: pb.RecommendBatchRequest, places: Sequence[int]) -> None:
        self.request = request
        self.live, self.heard, self.silent = True, False, False
        self.error: BaseException | None = None
        self._places = places
        self._open = set(range(len(places)))

    def place_of(self, index: int) -> int | None:
        """Where in the batch that is which the stream has at an index; None the second time, and where nothing is."""
        if index not in self._open:
            return None
        self._open.remove(index)
        return self._places[index]


class Batch:
    """A batch on its way.

    Args:
        request: for all of it.
        timeout_s: for all of it.
        now: on the clock that all other times are of.
        budget: for asking others; None where there are none.
        stray: hears of an index that one stream answered twice, or was not asked for; nobody else does.

    Attributes:
        parts: all that were asked for, oldest first.
    """

    def __init__(
        self,
        request: pb.RecommendBatchRequest,
        timeout_s: float,
        now: float,
        budget: Budget | None,
        stray: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._requests = request.requests
        self._together = request.together
        self._missing = set(range(len(self._requests)))
        self._until = now + timeout_s
        waits = any(one.at_least_as_fresh for one in self._requests)
        self._silence_s = None if waits else min(SILENCE_S, SILENCE_SHARE_MAX * timeout_s)
        self._budget = budget
        self._stray = stray
        self._again = self._spent = 0
        self._given_up = False
        self.parts = [Part(request, range(len(self._requests)))]

    @property
    def whole(self) -> bool:
        """All answers have come. A batch without requests is never whole: its router has to refuse it."""
        return bool(self._requests) and not self._missing

    @property
    def over(self) -> bool:
        """There is nothing to wait for."""
        return self._given_up or (self.whole and len(self.parts) > 1) or not any(part.live for part in self.parts)

    @property
    def patience_s(self) -> float | None:
        """How long a message, or a stream's end, is waited for before it is called a silence; None for ever."""
        if self.whole:
            return SPARED_S
        return self._silence_s if self._budget is not None and self._again < AGAIN_MAX else None

    @property
    def error(self) -> BaseException | None:
        """What a batch that is over failed with."""
        return None if self.whole else next((part.error for part in self.parts if part.error is not None), None)

    def left_s(self, now: float) -> float:
        """Of the time for all of it."""
        return self._until - now

    def take(self, part: Part, message: pb.RecommendBatchResponse) -> Iterator[pb.RecommendBatchResponse]:
        """A stream's message: those of its answers that are new, with their index in the whole batch."""
        part.heard, part.silent = True, False
        for answer in each(message):
            place = part.place_of(answer.index)
            if place is None:
                self._stray(answer.index)
            elif place in self._missing:
                self._missing.remove(place)
                answer.index = place
                yield answer

    def silence(self, now: float) -> list[Part]:
        """Nothing came for as long as there is patience: what is to be asked now, all at once."""
        if self.whole:
            self._given_up = True
            return []
        if self._budget is None or self.left_s(now) <= 0 or not self._budget.spend():
            return []
        self._spent += 1
        for part in self.parts:
            part.silent = part.live
        return self._rest(RIVALS)

    def ended(self, part: Part, error: BaseException | None, now: float) -> list[Part]:
        """A stream is over: what is to be asked now."""
        part.live, part.silent, part.error = False, False, error
        if self.whole or any(one.live for one in self.parts) or not part.heard or not _broke_off(error):
            return []
        again = self._budget is not None and self._again < AGAIN_MAX and self.left_s(now) > 0
        return self._rest(1) if again else []

    def settle(self) -> None:
        """Whoever was outrun had its while: where the first router said nothing, asking others cost nobody anything."""
        while self._budget is not None and self._spent and self.parts[0].silent:
            self._spent -= 1
            self._budget.give_back()

    def _rest(self, times: int) -> list[Part]:
        """Parts for what is missing, the same for each."""
        self._again += 1
        places = sorted(self._missing)
        wanted = [self._requests[place] for place in places]
        request = pb.RecommendBatchRequest(requests=wanted, together=self._together)
        parts = [Part(request, places) for _ in range(times)]
        self.parts += parts
        return parts


def _broke_off(error: BaseException | None) -> bool:
    code = getattr(error, "code", None)
    return isinstance(error, grpc.RpcError) and code is not None and code() is grpc.StatusCode.UNAVAILABLE
