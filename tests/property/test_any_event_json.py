"""Whatever a browser sends, each of its events is read or refused, by its place."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router.tracking.pixel import read_query
from router.tracking.reading import FIELDS, read_body
from trunkshow.errors import InvalidArgument
from trunkshow.eventlog import validation
from trunkshow.eventlog.validation import Policy

NOW_S = 1_790_000_000.0
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
ANY_JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
EVENTS = st.dictionaries(st.sampled_from(sorted(FIELDS)), ANY_JSON, max_size=8)


def accounted(batch: Any, count: int) -> None:
    """Each once; and what was read can be validated and written."""
    places = [one.place for one in batch.sent] + [one.index for one in batch.refused]
    assert sorted(places) == list(range(count))
    json.dumps([[one.field, one.reason, one.message, one.event_id] for one in batch.refused]).encode()
    if batch.sent:
        events = [one.event for one in batch.sent]
        checked = validation.check(events, NOW_S, Policy(86_400))
        assert len(checked.right) + len(checked.refused) == len(events)
        for event in checked.right:
            event.SerializeToString()


@given(events=st.lists(EVENTS | ANY_JSON, max_size=3), sent=st.integers(-(10**17), 10**17) | st.floats())
def test_every_event_is_accounted_for(events: list[Any], sent: float) -> None:
    """Any values at all, in any field."""
    try:
        batch = read_body(json.dumps({"events": events, "sent": sent}).encode(), NOW_S)
    except InvalidArgument as refused:
        wrong = ("events", "sent", "body") if not events else ("sent", "body")
        assert refused.field in wrong  # a time that none is; NaN and Infinity are no JSON
    else:
        accounted(batch, len(events))


@given(body=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Never anything else."""
    try:
        batch = read_body(body, NOW_S)
    except InvalidArgument as refused:
        assert refused.field in ("body", "sent", "events")
    else:
        accounted(batch, len(batch.sent) + len(batch.refused))


@given(query=st.binary(max_size=200) | st.text("&=%event_iduracon.+0123456789", max_size=100).map(str.encode))
def test_any_address_is_read_or_refused(query: bytes) -> None:
    """One event, always."""
    accounted(read_query(query, lambda: "made"), 1)
