"""What models proposed, as lists: checked, narrowed to what a filter allows, several shelves' merged into one.

A model is a plug-in, and may propose anything: whether its candidates can be what it says they are, is seen here.
Repairing them is nobody's business: a model that proposes nonsense costs its carousel a rung, and the receipt names it.
Checking all of it costs 6 µs for 40 candidates, a pass in C over each list, which is 6 to 10 % of a slate of our own
models. Those return what the protocol says they do, so of them only what a bad build could put into their arrays is
checked, at about 1 %: their scores here, their rows where an item is shown (`trunkshow.slate`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from trunkshow.models.protocol import Candidates
from trunkshow.v1 import recommendation_pb2 as pb

Mask = Callable[[NDArray[np.int32]], NDArray[np.bool_]]
"""Which of some rows may be shown, (k,) to (k,)."""

SCORE_MAX = float(np.finfo(np.float32).max)
"""Beyond it a score is infinite once it is in an answer."""


class Unfit(Exception):
    """What a model proposed cannot be shown.

    Attributes:
        reason: why, as receipts have it.
    """

    reason: ClassVar[pb.Reason] = pb.REASON_MODEL_FAILED


class Nonsense(Unfit):
    """Items that do not exist, scores that are no numbers, lists that do not fit together."""

    reason = pb.REASON_MODEL_NONSENSE


class Short(Unfit):
    """Fewer than half of the items asked for, without a cause in the request."""

    reason = pb.REASON_CAROUSEL_SHORT


class Late(Unfit):
    """No answer when the model's time was up."""

    reason = pb.REASON_MODEL_LATE


class Unasked(Unfit):
    """The model takes longer than there is time."""

    reason = pb.REASON_REDUCED_EFFORT


def checked(found: Any, items: int, count: int) -> Candidates:
    """The candidates, as plain lists, the first `count` of them.

    Args:
        found: what a model returned.
        items: of the catalogue; rows are below.
        count: how many the model was asked for.

    Raises:
        Nonsense: they cannot be.
    """
    try:
        rows, scores, about, reasons = found
        proposed = len(rows)
        if not proposed:
            return Candidates((), (), -1, ("",))
        if proposed != len(scores) or len(reasons) not in (1, proposed):
            raise Nonsense(f"{proposed} items, {len(scores)} scores, {len(reasons)} reasons")
        if proposed > count:
            rows, scores, reasons = rows[:count], scores[:count], reasons[:count]
        rows, scores = _whole(rows), _real(scores)
        if min(rows) < 0 or max(rows) >= items or not -1 <= about < items:
            raise Nonsense(f"items {min(rows)} to {max(rows)}, about {about}; the catalogue has {items}")
        text = reasons[0] if len(reasons) == 1 else "".join(reasons)
        if not text.isascii():
            text.encode()  # lone surrogates cannot travel
    except Nonsense:
        raise
    except Exception as error:  # whatever it was, it is not what the protocol says
        raise Nonsense(repr(error)) from error
    return Candidates(rows, scores, about, reasons)


def finite(found: Candidates) -> Candidates:
    """The candidates of a model of ours.

    Raises:
        Nonsense: their scores are no numbers; NaN and infinity show in the sum.
    """
    if -SCORE_MAX < sum(found.scores) < SCORE_MAX:
        return found
    raise Nonsense("a score is not a finite number")


def kept(found: Candidates, mask: Mask) -> Candidates:
    """The candidates that a mask allows.

    Raises:
        Nonsense: one of them is no item of the catalogue.
    """
    try:
        allowed = mask(np.asarray(found.rows, np.int32))
    except (IndexError, OverflowError) as error:
        raise Nonsense(str(error)) from error
    if np.count_nonzero(allowed) == len(allowed):  # nearly always: most models know what is not available
        return found
    positions = allowed.nonzero()[0].tolist()
    return Candidates(
        [found.rows[position] for position in positions],
        [found.scores[position] for position in positions],
        found.about,
        found.reasons if len(found.reasons) == 1 else [found.reasons[position] for position in positions],
    )


def merge(parts: Sequence[Candidates]) -> Candidates:
    """Candidates of several shelves as one list, best first; an item that comes twice keeps its best score."""
    best: dict[int, tuple[float, str]] = {}
    for part in parts:
        for position, (row, score) in enumerate(zip(part.rows, part.scores, strict=True)):
            if row not in best or score > best[row][0]:
                best[row] = score, part.reasons[0 if len(part.reasons) == 1 else position]
    ordered = sorted(best.items(), key=lambda entry: (-entry[1][0], entry[0]))
    reasons = [reason for _, (_, reason) in ordered]
    return Candidates(
        [row for row, _ in ordered],
        [score for _, (score, _) in ordered],
        next((part.about for part in parts if part.rows), -1),
        reasons if len(set(reasons)) > 1 else reasons[:1] or [""],
    )


def _whole(rows: Any) -> Sequence[int]:
    """Rows as ints. A sum of ints alone is an int: the usual case costs one pass."""
    if isinstance(rows, np.ndarray):
        rows = rows.tolist()
    return rows if type(sum(rows)) is int else [index(row) for row in rows]


def _real(scores: Any) -> Sequence[float]:
    """Scores as finite floats. NaN and infinity show in a sum."""
    if isinstance(scores, np.ndarray):
        scores = scores.tolist()
    if type(total := sum(scores)) is not float:
        scores = [float(score) for score in scores]
        total = sum(scores)
    if not -SCORE_MAX < total < SCORE_MAX or max(scores) > SCORE_MAX or min(scores) < -SCORE_MAX:
        raise Nonsense("a score is not a finite number")
    real: Sequence[float] = scores
    return real
