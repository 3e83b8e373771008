"""Which records a reader of a topic knows it again by, and when they are looked at."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from trunkshow.eventlog.kafka_memory import KEPT_MAX, Fate, Fates, Memory, Stood
from trunkshow.eventlog.kafka_recheck import LOOK_EVERY_S, Recheck, fates
from trunkshow.eventlog.log import LogWentBack


def stood(lane: int, number: int) -> Stood:
    """The record that `remembering` has there."""
    return Stood(lane, number, hash(b"%d-%d" % (lane, number)))


def remembering(*records: tuple[int, int]) -> Memory:
    """A memory that was given these."""
    memory = Memory()
    memory.begin("log")
    take(memory, *records)
    return memory


def take(memory: Memory, *records: tuple[int, int]) -> None:
    """It is given these, too."""
    for lane, number in records:
        memory.took(lane, number, b"%d-%d" % (lane, number))


def test_reading_begins_with_the_last_record_that_is_known() -> None:
    """The furthest that was read, or the one before where it is to begin; a log may be shorter by then."""
    memory = remembering((0, 5))
    assert [memory.start(0, count) for count in (0, 3, 5, 9)] == [0, 2, 4, 4]
    assert [memory.start(1, count) for count in (0, 1, 9)] == [0, 0, 8]


def test_another_record_where_the_furthest_stood_tells() -> None:
    """The same one again does not, nor one before it, which is not remembered."""
    memory = remembering((0, 5), (1, 2))
    memory.took(0, 5, b"0-5")
    memory.took(0, 4, b"another")
    with pytest.raises(LogWentBack, match="lane 0 of the log has another record at 5"):
        memory.took(0, 5, b"another")


def test_of_another_log_nothing_is_known() -> None:
    """What stands there may be anything."""
    memory = remembering((0, 5))
    memory.doubt()
    memory.begin("another")
    memory.took(0, 5, b"another")
    assert (memory.wanted(), memory.start(0, 9)) == ((), 4)


def test_what_was_furthest_at_a_look_is_looked_at_by_the_next() -> None:
    """What came since may be of another log, and would only be compared with itself."""
    memory = remembering((0, 5))
    assert memory.wanted() == ()
    memory.looked({})
    take(memory, (0, 6))
    assert memory.wanted() == (stood(0, 5),)
    take(memory, (0, 7))
    memory.looked({stood(0, 5): Fate.SAME})
    assert memory.wanted() == (stood(0, 6),)


def test_what_was_furthest_when_a_broker_went_is_looked_at_next() -> None:
    """Once, however often the client says so."""
    memory = remembering((0, 5))
    memory.doubt()
    memory.doubt()
    take(memory, (0, 6))
    assert memory.wanted() == (stood(0, 5),)


def test_what_was_removed_tells_nothing_and_is_looked_at_no_more() -> None:
    """By its age, for want of room, or by somebody: that is no restoration."""
    memory = remembering((0, 5))
    memory.doubt()
    take(memory, (0, 6))
    memory.wanted()
    memory.looked({stood(0, 5): Fate.REMOVED})
    assert memory.wanted() == (stood(0, 6),)


def test_what_nobody_answers_for_is_looked_at_again() -> None:
    """As often as it takes, but not more and more."""
    memory = remembering()
    for number in range(1, 3 * KEPT_MAX):
        take(memory, (0, number), (1, number))
        memory.wanted()
        memory.looked({})
    assert memory.wanted() == tuple(stood(lane, at) for at in range(1, KEPT_MAX + 1) for lane in (0, 1))


def test_another_record_at_a_look_tells() -> None:
    """Whatever became of others."""
    memory = remembering((0, 5), (1, 2))
    with pytest.raises(LogWentBack, match="lane 1 of the log has another record at 2"):
        memory.looked({stood(0, 5): Fate.REMOVED, stood(1, 2): Fate.OTHER})


class Cluster:
    """Answers as it is told; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.fate: Fate | None = Fate.SAME

    def look(self, config: Mapping[str, Any], name: str, wanted: Sequence[Stood], closed: threading.Event) -> Fates:
        """The same of all."""
        del config, name, closed
        self.asked += 1
        return dict.fromkeys(wanted, self.fate) if self.fate is not None else {}


def test_records_are_looked_at_every_few_seconds_and_not_more_often() -> None:
    """However often the reader takes a turn; a cluster that does not answer is no restoration, another record is."""
    now, cluster, memory = [0.0], Cluster(), remembering((0, 5))
    recheck = Recheck({}, "EVENTS", memory, cluster.look, clock=lambda: now[0])
    asked = []
    for now[0] in (0.0, 1.0, LOOK_EVERY_S - 0.1, LOOK_EVERY_S, LOOK_EVERY_S + 1, 2 * LOOK_EVERY_S - 0.1):
        recheck.turn()
        asked.append(looks(recheck, cluster))
    assert asked == [0, 0, 0, 1, 1, 1]
    cluster.fate = None
    now[0] = 2 * LOOK_EVERY_S
    recheck.turn()
    assert looks(recheck, cluster) == 2
    recheck.turn()
    cluster.fate, now[0] = Fate.OTHER, 3 * LOOK_EVERY_S
    recheck.turn()
    assert looks(recheck, cluster) == 3
    with pytest.raises(LogWentBack):
        recheck.turn()
    recheck.close()


def looks(recheck: Recheck, cluster: Cluster) -> int:
    """So many, once the one that is under way has ended."""
    if recheck._looking is not None:
        recheck._looking.result(60)
    return cluster.asked


def test_who_is_closed_waits_for_no_answer() -> None:
    """Nobody would take it in."""
    closed = threading.Event()
    closed.set()
    nobody = {"bootstrap.servers": "127.0.0.1:1", "group.id": "EVENTS", "log_level": 2}
    assert fates(nobody, "EVENTS", [stood(0, 1)], closed) == {}
