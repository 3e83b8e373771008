"""What models proposed, as lists: checked, narrowed to what a filter allows, several shelves' merged into one.

A model is a plug-in, and may propose anything: whether its candidates can be what it says they are, is seen here.
Repairing them is nobody's business: a model that proposes nonsense costs its carousel a rung, and the receipt names it.
Checking costs 6 µs for 40 candidates, one pass in C over each list. Our own models are spared: they propose from arrays
whose checksums were compared, and two carousels of them take 80 µs in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from trunkshow.models.protocol import Candidates
from trunkshow.v1 import recommendation_pb2 as pb

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


def kept(found: Candidates, allowed: NDArray[np.bool_]) -> Candidates:
    """The candidates that are allowed, by their position."""
    positions = np.flatnonzero(allowed).tolist()
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
