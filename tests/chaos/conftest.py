"""What the short runs share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cli.chaos import depot, priority


@pytest.fixture(scope="module")
def nobody_waits() -> Iterator[None]:
    """Who starts, and who builds, gives way to nobody: beside other tests, which never rest, they would not get far."""
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(priority, "can_let_go", lambda: False)
        changed.setattr(depot, "give_way", os.getpid)
        yield
