"""For those whom a busy machine would turn away."""

from __future__ import annotations

import pytest

from router.admission import line


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is, nobody is turned away but in the tests that are about it."""
    monkeypatch.setattr(line, "WAIT_S_MAX", 20.0)
