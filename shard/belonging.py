"""Whether a shard belongs to the cluster: what the membership names, and whether it ever named this one. A value.

    not named yet → named       it counts itself in, and opens its share; once it is named, it may be ready
    named         → struck off  it counts itself out, and hands over what it holds

A membership may name a shard later than it starts: the name server hears of it a moment after its pod is there. One
that is never named, since it goes by another name there, counts itself in beside itself, and what is placed on that
other name is nobody's: so it says so, and is not called ready.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import structlog

from trunkshow.member_names import HOW_TO_FIND

NAMED_MAX = 5
"""Members that a message names."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Belonging:
    """What a shard knows of its place.

    Attributes:
        own: its name, in normal form.
        members: as the membership has them; empty until there was an answer.
        was_named: it was among them, then or now.
    """

    own: str
    members: frozenset[str] = frozenset()
    was_named: bool = False

    def renewed(self, members: Collection[str]) -> Belonging:
        """After the membership became another one."""
        named = frozenset(members)
        return replace(self, members=named, was_named=self.was_named or self.own in named)

    @property
    def unknown(self) -> bool:
        """Whether there is a membership, and it never named this shard."""
        return bool(self.members) and not self.was_named

    @property
    def counted(self) -> frozenset[str]:
        """Those that partitions are placed on."""
        return self.members if self.was_named else self.members | {self.own}

    def tell(self) -> None:
        """Say that the membership does not name it, or that it does now."""
        if self.unknown:
            log.warning("member.unknown", name=self.own, why=self.why_not_ready)
        else:
            log.info("member.known", name=self.own, members=len(self.members))

    @property
    def why_not_ready(self) -> str:
        """What keeps it from being ready, and what to do; empty where nothing here does."""
        if not self.unknown:
            return ""
        shown = ", ".join(sorted(self.members)[:NAMED_MAX]) + (", …" if len(self.members) > NAMED_MAX else "")
        return f"the membership does not name {self.own}; it names {shown}; {HOW_TO_FIND}"
