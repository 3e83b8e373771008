"""What an event says of an item beside taste: that the user has it, or does not want to see it. One rule for all.

1. `hide` says that the user does not want to see the item again: from home, in no slate. A slate of a compact copy, or
   one without a user's own carousels, knows of what was hidden until the snapshot, or of nothing.
2. Looking says nothing of having: view, click, cart, like, search, impression.
3. By every other type the user had the item: an order, a rental, a return, and whatever else a data set names. Where
   repeats are not wanted (`repeat = false`), it need not be shown again.
4. A data set that knows of nothing but looking means just that by having.

The builder marks what it reads by this rule (`builder.training`), shards what users do (`shard.online.folding`), so
that an event says the same before and after a build.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from trunkshow.v1 import events_pb2 as pb

HAD = 1
HIDDEN = 2

_HIDE = "hide"
_LOOKS = frozenset({"view", "click", "cart", "like", "search", "impression", "content-impression"})


def marks_of(named: Iterable[str]) -> Mapping[str, int]:
    """The mark of each interaction type of a data set, by the name that it has there: 0, `HAD` or `HIDDEN`."""
    plain = {name: _plain(name) for name in named}
    telling = set(plain.values()) - {_HIDE}
    looks = _LOOKS if telling - _LOOKS else _LOOKS - telling
    return MappingProxyType({name: _mark(word, looks) for name, word in plain.items()})


def marks_by_type(named: Iterable[str]) -> Mapping[int, int]:
    """The mark of each type of the contract, beside a data set that names these."""
    words = {kind: _plain(name.removeprefix("INTERACTION_")) for name, kind in pb.Interaction.items()}
    marks = {_plain(name): mark for name, mark in marks_of(named).items()}
    return MappingProxyType({kind: marks.get(word, _mark(word, _LOOKS)) for kind, word in words.items() if kind})


def _mark(word: str, looks: frozenset[str]) -> int:
    if word == _HIDE:
        return HIDDEN
    return 0 if word in looks else HAD


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
