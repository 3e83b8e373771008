"""While a command's modules are imported nobody looks for garbage; afterwards it is as it was."""

from __future__ import annotations

import gc

import pytest

from cli.imports import uncollected


@pytest.mark.parametrize("before", [True, False])
def test_it_is_afterwards_as_it_was(before: bool) -> None:
    """Also where what was imported raises."""
    (gc.enable if before else gc.disable)()
    try:
        with pytest.raises(ImportError), uncollected():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() is before
    finally:
        gc.enable()
