"""What is right: the rules that every answer must keep, whatever has gone wrong, checked against the snapshot's files.

1. An item exists in the catalogue of the snapshot that the receipt names, whichever rung its carousel is of.
2. It is allowed by the request's filters; where there are none it is available. Popular lists, new arrivals and
   occasions never show what is not.
3. It is none of those that the request excludes, and none of those that it has in hand.
4. Where the data set's items are not bought twice, and the request does not ask for it, no personal carousel shows
   what the user already had. Resident carousels know no histories.
5. An item stands in a slate once; a carousel is never empty, nor longer than asked for, nor one that was not asked for.
6. A slate is empty only where nothing that is available could be shown.
7. The receipt's rung is the first carousel's; a rung below SNAPSHOT has a reason; no reason stands in it twice.
8. What a request says of how poor or how old its answer may be is regarded (`cli.chaos.wishes`).

This reads the files by itself: the product's own filters are what is judged here, and take no part in it. What is right
of events is `cli.chaos.ledger`'s to say.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cli.chaos import wishes
from trunkshow import carousels
from trunkshow.snapshot import arrays, kv, partition, records
from trunkshow.snapshot.directory import Directory
from trunkshow.snapshot.manifest import FILE_NAME, Manifest
from trunkshow.v1 import recommendation_pb2 as pb

SEEN_USERS_KEPT = 20_000
PERSONAL_RUNGS = frozenset({pb.RUNG_FRESH, pb.RUNG_SNAPSHOT, pb.RUNG_PREVIOUS, pb.RUNG_STAND_IN})
NEVER_UNAVAILABLE = ("popular", "trending", "new-arrivals", "occasion")


class Facts:
    """One snapshot, as its files say.

    Args:
        folder: of the version.
    """

    def __init__(self, folder: Path) -> None:
        manifest = Manifest.from_json((folder / FILE_NAME).read_text(encoding="utf-8"))
        columns = arrays.load(folder / "catalogue")
        names = json.loads((folder / "catalogue" / "names.json").read_text(encoding="utf-8"))
        self.version = manifest.version
        self.ids, self.rows = _ids(folder, manifest.files["catalogue/id_text.npy"].sha256)
        self.available: list[bool] = columns["available"].tolist()
        self.categories: list[int] = columns["category"].tolist()
        self.category_names: list[str] = names["categories"]
        self.attributes: dict[str, tuple[list[int], list[str]]] = {
            one["name"]: (columns[f"attribute_{n}"].tolist(), one["values"])
            for n, one in enumerate(names["attributes"])
        }
        self._columns = columns
        self.repeat = bool(manifest.parameters["repeat"])
        self._folder = folder
        self._factors = int(arrays.load(folder / "taste")["directions"].shape[1])
        self._directory = Directory(folder / "directory")
        self._partitions: dict[int, kv.Reader] = {}
        self.seen = lru_cache(SEEN_USERS_KEPT)(self._seen)

    def knows(self, user_id: str) -> bool:
        """Whether the snapshot has this user."""
        return self._directory.find(user_id) is not None

    def users(self) -> Iterator[str]:
        """Every user, partition by partition."""
        for number in range(len(list((self._folder / "partitions").iterdir()))):
            yield from [key.decode() for key, _ in self._users_of(number).items()]

    def allows(self, row: int, filters: pb.Filters) -> bool:
        """Whether a request's filters allow an item."""
        if not (filters.include_unavailable or self.available[row]):
            return False
        if filters.categories and self._category(row) not in filters.categories:
            return False
        for asked in filters.attributes:
            codes, values = self.attributes[asked.name]
            if codes[row] < 0 or values[codes[row]] not in asked.values:
                return False
        return True

    def allowed(self, filters: pb.Filters) -> NDArray[np.int64]:
        """The rows of all items that are available and that a request's filters allow, ascending.

        By columns, since one row after the other takes as long as a few hundred answers.
        """
        kept = self._columns["available"].astype(bool)
        if filters.categories:
            kept &= _among(self._columns["category"], self.category_names, filters.categories)
        for asked in filters.attributes:
            number = list(self.attributes).index(asked.name)
            kept &= _among(self._columns[f"attribute_{number}"], self.attributes[asked.name][1], asked.values)
        return np.flatnonzero(kept)

    def _category(self, row: int) -> str | None:
        code = self.categories[row]
        return self.category_names[code] if code >= 0 else None

    def _seen(self, user_id: str) -> frozenset[int]:
        home = self._directory.find(user_id)
        if home is None:
            return frozenset()
        data = self._users_of(home.partition).get(user_id.encode())
        return frozenset() if data is None else frozenset(records.decode(data, self._factors).had.tolist())

    def _users_of(self, number: int) -> kv.Reader:
        if number not in self._partitions:
            self._partitions[number] = kv.Reader(self._folder / partition.name(number) / "users.lmdb")
        return self._partitions[number]


def _among(codes: NDArray[Any], values: Sequence[str], asked: Collection[str]) -> NDArray[np.bool_]:
    return np.isin(codes, [code for code, value in enumerate(values) if value in asked])


class _Ids(NamedTuple):
    ids: list[str]
    rows: dict[str, int]


_ids_by_checksum: dict[str, _Ids] = {}


def _ids(folder: Path, sha256: str) -> _Ids:
    """A catalogue's ids; versions with the same file share them, so that a new one does not hold up who asks."""
    if sha256 not in _ids_by_checksum:
        columns = arrays.load(folder / "catalogue")
        strings = arrays.Strings(columns["id_offsets"], columns["id_text"])
        ids = [strings[row] for row in range(len(strings))]
        _ids_by_checksum[sha256] = _Ids(ids, {item: row for row, item in enumerate(ids)})
    return _ids_by_checksum[sha256]


class Oracle:
    """Every version that was ever served here, in a folder that no fault touches.

    Args:
        folder: one folder per version, complete.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._facts: dict[str, Facts] = {}

    def of(self, version: str) -> Facts | None:
        """A version's facts; None for one that never was."""
        if version not in self._facts:
            if not version or not (self._folder / version / FILE_NAME).is_file():
                return None
            self._facts[version] = Facts(self._folder / version)
        return self._facts[version]

    def wrong(self, request: pb.RecommendRequest, answer: pb.RecommendResponse) -> list[str]:
        """What is wrong with an answer, in words; nothing where it is right."""
        facts = self.of(answer.receipt.snapshot_version)
        if facts is None:
            return [f"the receipt names the snapshot {answer.receipt.snapshot_version!r}, which never was"]
        found = [*_slate(facts, request, answer.carousels), *_receipt(answer.carousels, answer.receipt)]
        for carousel in answer.carousels:
            found.extend(_carousel(facts, request, carousel))
        found.extend(wishes.disregarded(request, answer, is_known=facts.knows(request.user_id)))
        return found

    def wrong_similar(self, request: pb.SimilarItemsRequest, answer: pb.SimilarItemsResponse) -> list[str]:
        """The same for similar items."""
        facts = self.of(answer.receipt.snapshot_version)
        if facts is None:
            return [f"the receipt names the snapshot {answer.receipt.snapshot_version!r}, which never was"]
        wanted = pb.RecommendRequest(
            items_per_carousel=request.items,
            filters=request.filters,
            exclude_item_ids=[request.item_id],
            include_seen=True,
        )
        return list(_carousel(facts, wanted, answer.carousel))


def _slate(facts: Facts, request: pb.RecommendRequest, slate: Sequence[pb.Carousel]) -> Iterator[str]:
    """Rules 5 and 6."""
    shown = [item.item_id for carousel in slate for item in carousel.items]
    if len(set(shown)) < len(shown):
        yield f"items stand in it twice: {sorted({item for item in shown if shown.count(item) > 1})}"
    if not shown and (left := _showable(facts, request)) is not None:
        yield f"the slate is empty, and {left} could be shown"
    if request.carousels:
        asked = set(request.carousels)
        for carousel in slate:
            group = carousels.OCCASIONS in asked and carousel.id.startswith(carousels.OCCASION_PREFIX)
            if carousel.id not in asked and not group:
                yield f"the carousel {carousel.id} was not asked for"


def _showable(facts: Facts, request: pb.RecommendRequest) -> str | None:
    """An item that could stand in the slate."""
    kept_out = {*request.exclude_item_ids, *request.context_item_ids}
    seen = frozenset() if facts.repeat or request.include_seen else facts.seen(request.user_id)
    row: int
    for row in facts.allowed(request.filters).tolist():
        if row not in seen and facts.ids[row] not in kept_out:
            return facts.ids[row]
    return None


def _receipt(slate: Sequence[pb.Carousel], receipt: pb.Receipt) -> Iterator[str]:
    """Rule 7."""
    if slate and receipt.rung != slate[0].rung:
        yield f"the receipt's rung {receipt.rung} is not the first carousel's {slate[0].rung}"
    if receipt.rung > pb.RUNG_SNAPSHOT and not receipt.reasons:
        yield f"the rung {pb.Rung.Name(receipt.rung)} has no reason"
    if len(set(receipt.reasons)) < len(receipt.reasons):
        yield f"a reason stands twice in {list(receipt.reasons)}"
    if receipt.partitions_answered > receipt.partitions_asked:
        yield f"{receipt.partitions_answered} partitions answered, and {receipt.partitions_asked} were asked"
    if not (math.isfinite(receipt.elapsed_ms) and receipt.elapsed_ms >= 0):
        yield f"it took {receipt.elapsed_ms} ms"


def _carousel(facts: Facts, request: pb.RecommendRequest, carousel: pb.Carousel) -> Iterator[str]:
    """Rules 1 to 5, for one carousel."""
    if not carousel.items and carousel.id != carousels.SIMILAR_ITEMS:
        yield f"the carousel {carousel.id} is empty"
    if len(carousel.items) > (request.items_per_carousel or carousels.ITEMS_DEFAULT):
        yield f"the carousel {carousel.id} has {len(carousel.items)} items"
    kept_out = {*request.exclude_item_ids, *request.context_item_ids}
    knows_history = carousel.rung in PERSONAL_RUNGS and not request.include_seen
    for item in carousel.items:
        if item.item_id not in facts.rows:
            yield f"{carousel.id}: the item {item.item_id!r} does not exist"
            continue
        row = facts.rows[item.item_id]
        if item.item_id in kept_out:
            yield f"{carousel.id}: {item.item_id} was excluded, or is in hand"
        if not facts.allows(row, request.filters):
            yield f"{carousel.id}: {item.item_id} is not allowed by the filters"
        elif carousel.id.startswith(NEVER_UNAVAILABLE) and not facts.available[row]:
            yield f"{carousel.id}: {item.item_id} is not available"
        if knows_history and not facts.repeat and row in facts.seen(request.user_id):
            yield f"{carousel.id}: the user already had {item.item_id}"
        if not math.isfinite(item.score):
            yield f"{carousel.id}: {item.item_id} has the score {item.score}"
