"""Whatever id is taken where events, items and tombstones are recorded: a build knows it by the same text."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from builder.ingest import values
from router.recording.forgetter import Forgetter
from trunkshow.errors import InvalidArgument, Unavailable
from trunkshow.eventlog import item_validation, validation
from trunkshow.eventlog.names import as_built
from trunkshow.eventlog.validation import Policy
from trunkshow.serving.deadline import Deadline, monotonic
from trunkshow.v1 import events_pb2 as pb

NOW_S = 1_700_000_000.0
POLICY = Policy(age_s_max=86_400)
BLANKS = st.text(" \t\n\u00a0\u2003", max_size=2)
NUMBERS = st.from_regex(r"-?[0-9\u0667]{1,4}(\.[0-9]{1,3}){0,2}\n?", fullmatch=True)
NAMES = st.one_of(
    st.builds("".join, st.tuples(BLANKS, NUMBERS, BLANKS)),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
)

BLANK = "".join(char for char in map(chr, range(0x3001)) if char.isspace() and char not in "\x1c\x1d\x1e\x1f")
"""To Polars, the last of them U+3000; to Python the four separators of ASCII are, too: no id that ends in one is
recorded."""


def built(name: str) -> str | None:
    """As a builder reads it."""
    result: str | None = values.ids(pl.Series([name], dtype=pl.String))[0]
    return result


@settings(max_examples=300)
@given(NAMES)
@example("7.0")
@example("-12.000")
@example("\u0667.0")
async def test_every_id_that_is_accepted_is_a_fixed_point_of_a_build(name: str) -> None:
    """By events, as user and as item; by new items; and by who is to be forgotten."""
    sent = [
        pb.Event(event_id="e", user_id=name, item_id="i", interaction=pb.INTERACTION_CLICK),
        pb.Event(event_id="e", user_id="u", item_id=name, interaction=pb.INTERACTION_CLICK),
        pb.Event(event_id="e", user_id="u", item_id=name, interaction=pb.INTERACTION_SEARCH),
    ]
    accepted = [not validation.check([one], NOW_S, POLICY).refused for one in sent]
    accepted.append(not item_validation.check([pb.NewItem(id=name)], NOW_S).refused)
    try:
        await Forgetter(None, 30).forget(name, Deadline.after(1000, monotonic()))
    except InvalidArgument:
        accepted.append(False)
    except Unavailable:  # there is no log: the id was taken
        accepted.append(True)
    assert len(set(accepted)) == 1
    if accepted[0]:
        assert built(name) == name


@settings(max_examples=300)
@given(NAMES.filter(lambda name: name.strip() == name.strip(BLANK)))
def test_an_id_of_before_is_compared_as_a_build_has_it(name: str) -> None:
    """Since an export compares ids of its own, and the log may have some that are refused now."""
    assert as_built(name) == (built(name) or "")


@pytest.mark.parametrize("name", ["7", "7.5", "007", "a.0", "7.0.0", ".0", "7.", "1e5", "-", "7.0x"])
def test_what_only_looks_alike_is_taken(name: str) -> None:
    """Nobody is refused for more than what a build would do."""
    assert as_built(name) == name == built(name)


@pytest.mark.parametrize("name", ["7.0", "-7.00", "0.0"])
def test_a_whole_number_with_a_fraction_is_refused_and_told_why(name: str) -> None:
    """With a stable word, beside the field."""
    event = pb.Event(event_id="e", user_id=name, item_id="i", interaction=pb.INTERACTION_CLICK)
    (refused,) = validation.check([event], NOW_S, POLICY).refused
    assert (refused.field, refused.reason) == ("events[0].user_id", "USER_ID_ZERO_FRACTION")
    assert "7.0 is 7 to it" in refused.message
    (item,) = item_validation.check([pb.NewItem(id=name)], NOW_S).refused
    assert (item.field, item.reason) == ("items[0].id", "ITEM_ID_ZERO_FRACTION")
