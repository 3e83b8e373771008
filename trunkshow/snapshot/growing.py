"""The catalogue of a snapshot that grows while it is served: by items that no build has seen (`Additions`).

To whoever asks by id or row they are items like others. `len` stays the number of those that were built: only these
have rows in the models' arrays. Adding swaps one value for another, so that threads which read need no lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from trunkshow.snapshot.additions import Additions
from trunkshow.snapshot.catalogue import Catalogue, Filter
from trunkshow.snapshot.likeness import Description
from trunkshow.v1 import recommendation_pb2 as pb


class GrowingCatalogue(Catalogue):
    """A catalogue, open for reading, with what came since.

    Attributes:
        additions: what came since.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._built = super().__len__()
        self.additions = Additions(self._built)

    def row(self, item_id: str) -> int | None:
        """An item's row, or None for one that neither the catalogue nor the log knows."""
        built = super().row(item_id)
        return self.additions.row(item_id) if built is None else built

    def built_row(self, item_id: str) -> int | None:
        """The row of an item that was there when the snapshot was built."""
        return super().row(item_id)

    def id(self, row: int) -> str:
        """An item's id."""
        return self._id_of(row) if row < self._built else self.additions.at(row).id

    def title(self, row: int) -> str:
        """What to call an item to a shopper."""
        if row < self._built:
            return self._titles[row]
        item = self.additions.at(row)
        return item.said.title or item.id

    def category(self, row: int) -> str:
        """An item's category; empty where it has none."""
        return super().category(row) if row < self._built else self.additions.at(row).said.category

    def category_code(self, row: int) -> int:
        """Where an item's category stands in `category_names`; -1 for none, and for one that the build never saw."""
        if row < self._built:
            return super().category_code(row)
        return self._category_codes.get(self.additions.at(row).said.category, -1)

    def filter(self, filters: pb.Filters | None = None) -> Filter:
        """What a request's filters allow; without any, what is available.

        Raises:
            InvalidArgument: an attribute that this catalogue does not have.
        """
        chosen, additions = super().filter(filters), self.additions
        return Filter(additions.masked(chosen.mask, filters), chosen.categories) if len(additions) else chosen

    def described(self, row: int) -> Description:
        """What the build knew of an item."""
        names = self._names
        attributes = {
            name: names[name][int(codes[row])] for name, (codes, _) in self._attributes.items() if codes[row] >= 0
        }
        return Description(self.title(row), self.category(row), attributes)

    @cached_property
    def _names(self) -> Mapping[str, Sequence[str]]:
        """By attribute, the values in the order of their codes."""
        return {name: sorted(codes, key=codes.__getitem__) for name, (_, codes) in self._attributes.items()}
