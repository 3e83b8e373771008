"""Small pictures: numbers in, text out."""

from __future__ import annotations

import pytest

from cli.pictures import bar, columns, ladder, number, ranges, size
from trunkshow.receipts import Rung


@pytest.mark.parametrize(("value", "expected"), [(0, ""), (10, "████"), (5, "██"), (0.001, "▏"), (99, "████")])
def test_a_bar_is_as_long_as_its_share(value: float, expected: str) -> None:
    """A bar's length is its share of the largest; something is never nothing, and nothing exceeds the width."""
    assert bar(value, 10, width=4) == expected


def test_columns_are_as_high_as_their_share() -> None:
    """Each value gets a column by its share of the largest; many of them stand close."""
    assert columns([8, 4, 0], width=6) == "█ ▅ ▁"
    assert columns([1] * 100) == "█" * 100
    assert columns([]) == ""


def test_the_ladder_marks_one_rung() -> None:
    """Exactly the rung reached stands out, and all six are shown."""
    shown = ladder(Rung.SEGMENT).plain
    assert (shown.count("●"), shown.count("○")) == (1, 5)
    assert "● SEGMENT" in shown


@pytest.mark.parametrize(
    ("numbers", "expected"), [([], ""), ([3], "3"), ([0, 1, 2], "0-2"), ([9, 0, 1, 7, 3, 2], "0-3, 7, 9")]
)
def test_ranges_say_the_same_in_fewer_words(numbers: list[int], expected: str) -> None:
    """Runs of numbers are written as first-last, in order."""
    assert ranges(numbers) == expected


@pytest.mark.parametrize(("count", "expected"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 40, "3.0 TiB")])
def test_sizes_have_a_unit(count: int, expected: str) -> None:
    """Bytes are written in powers of 1024 with their unit."""
    assert size(count) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0.98765, "0.988"), (12.34, "12.3"), (1891.2, "1,891"), (-250, "-250")]
)
def test_numbers_have_three_figures(value: float, expected: str) -> None:
    """Scores are short, and never in powers of ten."""
    assert number(value) == expected
