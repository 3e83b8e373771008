"""How often, and how patiently, those who look after versions do: `router.trials.conductor`, `router.trials.recall`."""

from __future__ import annotations

LOOK_EVERY_S = 0.25

MOVE_WITHIN_S = 30.0
"""For a move of the store's pointer; a store may hang."""

RETRY_S = 2.0
"""Between two attempts to tell a store that does not answer."""
