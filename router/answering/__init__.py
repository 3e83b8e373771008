"""Callers are answered: one user's slate, many in one call, what goes with an item; and what was answered, counted."""
