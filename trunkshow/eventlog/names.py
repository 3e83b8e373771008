"""A user's or an item's id as a build has it. What a build would rewrite is refused where it is recorded.

To shards and routers an id is its text. A builder reads ids from tables, too, where 7 may stand as 7.0: it takes blanks
around an id away, and the fraction of a whole number that has none (`builder.ingest.values.ids`). Whoever was recorded
as `7.0` would be somebody else to a snapshot, `7`.
"""

from __future__ import annotations

import re

_WHOLE_NUMBER = re.compile(r"(-?[0-9]+)\.0+")


def as_built(name: str) -> str:
    """The id that a build makes of it."""
    name = name.strip()
    # The search is much cheaper than the match, which hardly any id needs.
    if ".0" not in name:
        return name
    found = _WHOLE_NUMBER.fullmatch(name)
    return found[1] if found else name


def rewritten(name: str) -> tuple[str, str] | None:
    """Whether a build would change it: a stable word, and what is wrong, for a person."""
    built = as_built(name)
    if built == name:
        return None
    if name != name.strip():
        return "BLANKS", "has blanks before or after it, which a build would take away"
    return "ZERO_FRACTION", "is a whole number with a fraction of zero, which a build would take away: 7.0 is 7 to it"
