"""Which crew a build gets."""

from __future__ import annotations

import dask.system
import distributed.system
import pytest

from builder.crew import reaching
from builder.crew.choice import (
    AUTOMATIC_BYTES,
    BLOCKS_FROM_CELLS,
    LOCAL_FROM_BYTES,
    CrewSettings,
    Kind,
    chosen,
    trains_from,
)


@pytest.mark.parametrize(
    ("settings", "data_bytes", "room", "has_dask", "expected"),
    [
        (CrewSettings(), 1000, 8, True, (Kind.ALONE, 0)),
        (CrewSettings(), LOCAL_FROM_BYTES, 8, True, (Kind.LOCAL, 8)),
        (CrewSettings(), LOCAL_FROM_BYTES, 1, True, (Kind.ALONE, 0)),
        (CrewSettings(), LOCAL_FROM_BYTES, 8, False, (Kind.ALONE, 0)),
        (CrewSettings(workers=0), LOCAL_FROM_BYTES, 8, True, (Kind.ALONE, 0)),
        (CrewSettings(workers=3), 1000, 1, True, (Kind.LOCAL, 3)),
        (CrewSettings(scheduler="tls://there:8786"), LOCAL_FROM_BYTES, 8, True, (Kind.SCHEDULER, 0)),
    ],
)
def test_a_person_decides_or_else_the_data_does(
    settings: CrewSettings, data_bytes: int, room: int, has_dask: bool, expected: tuple[Kind, int]
) -> None:
    """Workers come by themselves where there is much to do, somebody to do it, and Dask."""
    assert chosen(settings, data_bytes, room, has_dask) == expected


@pytest.mark.parametrize(
    ("wanted", "kind", "expected"),
    [
        (None, Kind.ALONE, None),
        (None, Kind.LOCAL, None),
        (None, Kind.SCHEDULER, BLOCKS_FROM_CELLS),
        (True, Kind.ALONE, 0),
        (False, Kind.SCHEDULER, None),
    ],
)
def test_training_is_divided_among_other_machines_alone(wanted: bool | None, kind: Kind, expected: int | None) -> None:
    """Unless a person says otherwise."""
    assert trains_from(CrewSettings(by_blocks=wanted), kind) == expected


def test_there_is_room_for_as_many_workers_as_have_a_processor_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the memory is theirs; whichever there is less of decides."""
    monkeypatch.setattr(dask.system, "CPU_COUNT", 4)
    for memory, expected in ((3 * AUTOMATIC_BYTES, 1), (100 * AUTOMATIC_BYTES, 4)):
        monkeypatch.setattr(distributed.system, "MEMORY_LIMIT", memory)
        assert reaching.room() == expected
