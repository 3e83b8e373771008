"""Whether a model's candidates can be what it says they are: a model is a plug-in, and may propose anything.

Repairing candidates is nobody's business: a model that proposes nonsense costs its carousel a rung, and the receipt
names it. Checking costs 6 µs for 40 candidates, one pass in C over each list. Our own models are spared: they propose
from arrays whose checksums were compared, and two carousels of them take 80 µs in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any, ClassVar

import numpy as np

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
