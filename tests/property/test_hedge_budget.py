"""Hedges stay within their budget, whatever comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkshow.hedging import Tokens

SHARE, BURST = 0.1, 5


@given(st.lists(st.booleans(), max_size=400))
def test_hedges_never_exceed_the_burst_and_the_share(wishes: list[bool]) -> None:
    """In every stretch of requests, not only from the start: quiet times save up a burst and no more."""
    tokens, hedges = Tokens(SHARE, BURST), [0]
    for wish in wishes:
        tokens.earn()
        hedges.append(hedges[-1] + (wish and tokens.spend()))
    for begin in range(0, len(hedges), 7):
        for end in range(begin, len(hedges), 11):
            assert hedges[end] - hedges[begin] <= BURST + SHARE * (end - begin) + 1e-6
