"""Checks that configurations share: wrong settings end a process before it starts, in words."""

from __future__ import annotations

import math


def at_least(least: float, **settings: float) -> None:
    """Refuse settings below a limit, and what is no finite number.

    Raises:
        ValueError: naming the setting, what it was and what is allowed.
    """
    for name, value in settings.items():
        if not (math.isfinite(value) and value >= least):
            raise ValueError(f"{name}: {value}; must be at least {least}")
