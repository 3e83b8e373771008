"""The items of a snapshot: ids, titles, and the columns that filters ask.

An item is its row here everywhere inside the cluster; ids are for the outside. Columns are mapped arrays, so that a
filter is a few vector operations, and an id or a title is a slice of mapped text.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from trunkshow.errors import InvalidArgument
from trunkshow.snapshot import arrays, kv
from trunkshow.v1 import recommendation_pb2 as pb

Rows = NDArray[np.int32]
Codes = NDArray[np.int32]

ID_BYTES_MAX = 256

IDS_KEPT = 16_384
"""Items whose ids are kept as they were last read, for those that many are shown; one takes about 200 bytes."""


@dataclass(frozen=True)
class Columns:
    """What the builder knows of the items, in rows.

    Attributes:
        ids: unique, each at most 256 bytes.
        titles: as many; the id where there is no better one.
        categories: (items,) int32 codes, -1 for none.
        category_names: in the order of the codes.
        attributes: by name, (items,) int32 codes, -1 for none.
        attribute_values: by name, in the order of the codes.
        available: (items,) bool.
        created: (items,) int64 milliseconds since the epoch, -1 for unknown.
    """

    ids: Sequence[str]
    titles: Sequence[str]
    categories: Codes
    category_names: Sequence[str]
    attributes: Mapping[str, Codes]
    attribute_values: Mapping[str, Sequence[str]]
    available: NDArray[np.bool_]
    created: NDArray[np.int64]


class Filter(NamedTuple):
    """A request's filters over this catalogue.

    Attributes:
        mask: (k,) rows to (k,) bool, which may be shown; None where all may.
        categories: codes of the categories asked for.
    """

    mask: Callable[[Rows], NDArray[np.bool_]] | None
    categories: tuple[int, ...] = ()


def write(folder: Path, columns: Columns) -> None:
    """Write the catalogue."""
    folder.mkdir(parents=True)
    by_id = sorted((item.encode(), row) for row, item in enumerate(columns.ids))
    kv.write(folder / "ids.lmdb", ((item, row.to_bytes(4, "little")) for item, row in by_id))
    id_offsets, id_text = arrays.Strings.pack(columns.ids)
    title_offsets, title_text = arrays.Strings.pack(columns.titles)
    numbered = {f"attribute_{n}": codes for n, codes in enumerate(columns.attributes.values())}
    arrays.save(
        folder,
        {
            "id_offsets": id_offsets,
            "id_text": id_text,
            "title_offsets": title_offsets,
            "title_text": title_text,
            "category": columns.categories,
            "available": columns.available,
            "created": columns.created,
            **numbered,
        },
    )
    names = {
        "categories": list(columns.category_names),
        "attributes": [{"name": name, "values": list(columns.attribute_values[name])} for name in columns.attributes],
    }
    (folder / "names.json").write_text(json.dumps(names, ensure_ascii=False, indent=0), encoding="utf-8")


class Catalogue:
    """The catalogue of one snapshot, open for reading.

    Attributes:
        categories: (items,) int32 code of each item's category, -1 for none.
        category_names: in the order of the codes.
    """

    def __init__(self, folder: Path) -> None:
        columns = arrays.load(folder)
        names = json.loads((folder / "names.json").read_text(encoding="utf-8"))
        self._ids = arrays.Strings(columns["id_offsets"], columns["id_text"])
        self._id_of = lru_cache(IDS_KEPT)(self._ids.__getitem__)
        self._titles = arrays.Strings(columns["title_offsets"], columns["title_text"])
        self.categories: Codes = columns["category"]
        self.category_names: tuple[str, ...] = tuple(names["categories"])
        self._available = columns["available"]
        self._category_codes = {name: code for code, name in enumerate(self.category_names)}
        self._attributes = {
            attribute["name"]: (
                columns[f"attribute_{n}"],
                {value: code for code, value in enumerate(attribute["values"])},
            )
            for n, attribute in enumerate(names["attributes"])
        }
        everything_available = bool(self._available.all())
        self._unfiltered = Filter(None if everything_available else self._available.take)
        self._rows = kv.Reader(folder / "ids.lmdb")  # last: what fails above leaves no mapped file behind

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """Names that an attribute filter can ask for."""
        return tuple(self._attributes)

    def row(self, item_id: str) -> int | None:
        """An item's row, or None for an item that the catalogue does not know."""
        key = item_id.encode()
        if not 0 < len(key) <= ID_BYTES_MAX:
            return None
        value = self._rows.get(key)
        return None if value is None else int.from_bytes(value, "little")

    def id(self, row: int) -> str:
        """An item's id."""
        return self._id_of(row)

    def title(self, row: int) -> str:
        """What to call an item to a shopper."""
        return self._titles[row]

    def category(self, row: int) -> str:
        """An item's category; empty where it has none."""
        code = self.category_code(row)
        return self.category_names[code] if code >= 0 else ""

    def category_code(self, row: int) -> int:
        """Where an item's category stands in `category_names`; -1 for none."""
        return int(self.categories[row])

    def filter(self, filters: pb.Filters | None = None) -> Filter:
        """What a request's filters allow; without any, what is available.

        Raises:
            InvalidArgument: an attribute that this catalogue does not have.
        """
        if filters is None or not (filters.categories or filters.attributes or filters.include_unavailable):
            return self._unfiltered
        tests: list[tuple[Codes, NDArray[np.bool_]]] = []
        categories = tuple(self._category_codes[name] for name in filters.categories if name in self._category_codes)
        if filters.categories:
            tests.append((self.categories, among(categories, len(self.category_names))))
        for asked in filters.attributes:
            if asked.name not in self._attributes:
                known = ", ".join(self._attributes) or "none"
                message = f"filters.attributes: the catalogue has no attribute {asked.name!r}; it has: {known}"
                raise InvalidArgument(message, field="filters.attributes", reason="ATTRIBUTE_UNKNOWN")
            column, codes = self._attributes[asked.name]
            tests.append((column, among([codes[value] for value in asked.values if value in codes], len(codes))))
        available = None if filters.include_unavailable else self._available

        def mask(rows: Rows) -> NDArray[np.bool_]:
            allowed = np.ones(len(rows), np.bool_) if available is None else available.take(rows)
            for column, wanted in tests:
                allowed &= wanted.take(column.take(rows))
            return allowed

        return Filter(mask, categories)

    def lend(self) -> Self:
        """The same catalogue for another thread; the files stay open until both were closed."""
        lent = copy.copy(self)
        lent._rows = self._rows.another()
        return lent

    def close(self) -> None:
        """Give the files back, unless the catalogue is lent."""
        self._rows.close()


def among(codes: Sequence[int], known: int) -> NDArray[np.bool_]:
    """(known + 1,) bool by code: whether it is among these. The last one stands for no code, which is -1.

    To look up the codes of a few dozen items there takes a tenth of what `np.isin` does.
    """
    wanted = np.zeros(known + 1, np.bool_)
    wanted[list(codes)] = True
    return wanted
