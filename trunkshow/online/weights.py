"""What an event counts when it is folded in: the weights that the snapshot's model was trained with.

An interaction type that the data set names (`[interactions]`, in lower case) has the weight that it has there. Any
other has a share of the largest weight there. What was merely shown, or looked for, says nothing of taste and is not
folded in, whatever the data set says; nor has hiding an item a weight of its own, since that is about this item alone.

What somebody is doing right now says more than what they did: the present session, which is the newest event and what
came before it without a pause of half an hour, counts several times. A few clicks beside years of orders would else
change nothing. How often is chosen by `bench.intent`, on two data sets: from eight times on, the next item is found
about equally often. The next event after a pause ends the session, as does a build.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from trunkshow.v1 import events_pb2 as pb

Weights = Mapping[int, float]
"""By interaction type; what is missing has none."""

SHARES: Weights = MappingProxyType(
    {
        pb.INTERACTION_VIEW: 0.2,
        pb.INTERACTION_CLICK: 0.3,
        pb.INTERACTION_CART: 0.6,
        pb.INTERACTION_ORDER: 1.0,
        pb.INTERACTION_RENTAL: 1.0,
        pb.INTERACTION_RETURN: -1.0,
        pb.INTERACTION_LIKE: 0.8,
        pb.INTERACTION_HIDE: 0.0,
    }
)
"""Of the largest weight of the data set, for interaction types that it does not name. No others are folded in."""

SESSION_PAUSE_MS = 30 * 60 * 1000
SESSION_FACTOR = 16.0
"""How often events of the present session count, with items of which it says more good than bad."""


def weights_of(parameters: Mapping[str, Any]) -> Weights:
    """The weights for a snapshot, from its manifest's parameters."""
    named = {str(name).lower(): float(weight) for name, weight in parameters.get("interactions", {}).items()}
    largest = max(named.values(), default=1.0)
    unit = largest if largest > 0 else 1.0
    return MappingProxyType({kind: named.get(_name(kind), share * unit) for kind, share in SHARES.items()})


def session_begins_ms(times_ms: Sequence[int]) -> int:
    """When the present session began, of moments in any order, at least one; milliseconds since the epoch."""
    newest_first = sorted(times_ms, reverse=True)
    begins = newest_first[0]
    for time_ms in newest_first:
        if begins - time_ms > SESSION_PAUSE_MS:
            break
        begins = time_ms
    return begins


def _name(kind: int) -> str:
    return pb.Interaction.Name(pb.Interaction.ValueType(kind)).removeprefix("INTERACTION_").lower()
