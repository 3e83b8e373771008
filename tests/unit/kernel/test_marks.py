"""What an event says of an item beside taste."""

from __future__ import annotations

from trunkshow.marks import HAD, HIDDEN, marks_by_type, marks_of
from trunkshow.v1 import events_pb2 as pb


def test_looking_is_not_having() -> None:
    """Whatever a data set names beside it is, in its own words; hiding is neither."""
    named = ["view", "Content_Impression", "like", "order", "return", "checked-in", "HIDE"]
    assert list(marks_of(named).values()) == [0, 0, 0, HAD, HAD, HAD, HIDDEN]


def test_a_data_set_of_looks_alone_means_having_by_them() -> None:
    """Or nothing at all would be held back where repeats are not wanted; a hidden item does not change that."""
    assert dict(marks_of(["click", "hide"])) == {"click": HAD, "hide": HIDDEN}
    assert dict(marks_of(["hide"])) == {"hide": HIDDEN}


def test_types_of_the_contract_are_marked_as_the_data_set_marks_them() -> None:
    """Those that it does not name, as the rule does."""
    marks = marks_by_type(["Click"])
    assert marks[pb.INTERACTION_CLICK] == HAD
    assert marks[pb.INTERACTION_VIEW] == 0
    assert (marks[pb.INTERACTION_ORDER], marks[pb.INTERACTION_HIDE]) == (HAD, HIDDEN)
    assert marks.keys() == set(pb.Interaction.values()) - {pb.INTERACTION_UNSPECIFIED}
