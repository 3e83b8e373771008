"""What one unit costs, as it was measured: read from the file beside, which `python -m bench.growth` writes.

A cost is a sum: so much in any case, and so much per unit of each of some terms (a user, a user's factor, an item
...). Or, where it does not grow in proportion, a product of powers of them. It knows the ranges of its terms that it
was fitted in.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

FILE = "costs.json"

WITHIN = 1.05
"""A term may be so much beyond what was measured without being called so: made-up catalogues lack a few items."""


@dataclass(frozen=True)
class Cost:
    """One fitted cost.

    Attributes:
        unit: of the result: bytes, seconds, milliseconds.
        constant: in any case; the factor of the product where the form is `power`.
        per: by term, in units; exponents where the form is `power`.
        ranges: of each term, the least and the most that was measured; of one that was always the same, twice that.
        points: it was fitted to.
        worst_error: of a fitted value, relative to the measured one.
        measured: what it is of, in words.
        form: `sum` or `power`.
    """

    unit: str
    constant: float
    per: Mapping[str, float]
    ranges: Mapping[str, tuple[float, float]]
    points: int
    worst_error: float
    measured: str
    form: str = "sum"

    def of(self, terms: Mapping[str, float]) -> float:
        """The cost of so many units of each term.

        Raises:
            KeyError: a term is not given.
        """
        if self.form == "power":
            return self.constant * math.prod(math.pow(terms[name], power) for name, power in self.per.items())
        return self.constant + sum(terms[name] * each for name, each in self.per.items())

    def beyond(self, terms: Mapping[str, float]) -> tuple[str, ...]:
        """Those terms that are larger than any that was measured; of a product, also those that are smaller.

        A term that made no difference where it was measured may make one beyond: it counts, too.
        """
        return tuple(name for name in self.ranges if self._is_beyond(name, terms[name]))

    def _is_beyond(self, name: str, value: float) -> bool:
        least, most = self.ranges[name]
        # What is smaller than measured costs a sum no more than its constant; a product goes astray at both ends.
        return value > most * WITHIN or (self.form == "power" and value * WITHIN < least)


@dataclass(frozen=True)
class Costs:
    """All of them, and where they come from.

    Attributes:
        by_name: the costs.
        commit: of what was measured.
        command: that measured it.
        machine: on which.
        quiet: whether nothing else ran there.
        history: events of a user, in the mean, at the base point.
        not_measured: sizes that were to be, with the reason.
    """

    by_name: Mapping[str, Cost]
    commit: str
    command: str
    machine: Mapping[str, Any]
    quiet: bool
    history: float
    not_measured: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Cost:
        return self.by_name[name]


def shipped() -> Costs:
    """Those that came with this release."""
    return decoded(resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8"))


def decoded(text: str) -> Costs:
    """Costs as `encoded` wrote them."""
    values = json.loads(text)
    by_name = {
        name: Cost(**{**one, "ranges": {term: (low, high) for term, (low, high) in one["ranges"].items()}})
        for name, one in values["costs"].items()
    }
    about = ("commit", "command", "machine", "quiet", "history", "not_measured")
    return Costs(by_name, **{name: values[name] for name in about})


def encoded(costs: Costs) -> str:
    """Costs as text, for a file."""
    about = ("commit", "command", "machine", "quiet", "history", "not_measured")
    values = {name: getattr(costs, name) for name in about}
    return json.dumps({**values, "costs": {name: vars(one) for name, one in costs.by_name.items()}}, indent=1) + "\n"
