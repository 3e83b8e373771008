"""What is expected of an item in a log too young to know what a day is like: its share of everything that happens now.

    expected(item) = share(item) · (K + n) / (K + share(item) · N) · everything that happens now

The share is the one that the item had before, as somebody knows it (the builder's counts of a month, say); N and n are
what the log has seen so far, of everything and of the item. As a share of what happens now it needs no forecast of the
hour. What was bought for a month is not what is looked at this hour, though: shares are off by a factor of two here and
there. The log corrects that with its own events, by a Gamma prior with mean 1 and shape K around the share (conjugate
to counts), so that an item of many events needs an hour for it and one of few keeps its share; and until the log is
known well, more is asked of a surge (`TrendingRules.young_surge_min`).
"""

from __future__ import annotations

from trunkshow.stream.surges import Numbers

SHAPE = 1.5
"""K: of the ratio between an item's share in the log and the one before; a standard deviation of 0.8."""


def shares_now(shares: Numbers, counts: Numbers, everything: float) -> Numbers:
    """(k,) shares of k items, by those before and by what was counted since.

    Args:
        shares: (k,) before; NaN where nobody knows.
        counts: (k,) since.
        everything: counted since, of all items.
    """
    corrected: Numbers = shares * (SHAPE + counts) / (SHAPE + shares * everything)
    return corrected
