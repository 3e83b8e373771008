"""The store that a router's pointer is read from."""

from __future__ import annotations

from pathlib import Path

import pytest
from pointing_stage import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A store whose v1 is current."""
    return Shop(tmp_path)
