"""A snapshot, opened: what every serving process needs of it. Partitions are the shard's to open, one by one."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np

from trunkshow import carousels, models, pacing
from trunkshow.models.ials import ImplicitALS, joined
from trunkshow.models.protocol import NO_FLOATS, NO_ROWS, Family, Floats, Model, Query, Rows
from trunkshow.snapshot import arrays, kinds, partition, stand_ins
from trunkshow.snapshot.additions import Addition
from trunkshow.snapshot.directory import Directory
from trunkshow.snapshot.growing import GrowingCatalogue
from trunkshow.snapshot.kinds import Kinds
from trunkshow.snapshot.likeness import SAMPLE_MAX, Description, Likeness, weights_of
from trunkshow.snapshot.manifest import File, Manifest, SnapshotRefused
from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.stand_ins import StandIns
from trunkshow.snapshot.store import DiskFailed, Store, resolve
from trunkshow.taste import Codebook

SHARED = ("catalogue", kinds.FOLDER, "models", "taste")
DIRECTORY = "directory"


class Snapshot:
    """One version of a store, its shared files verified and mapped.

    Attributes:
        version: its name.
        manifest: what it says of itself.
        catalogue: its items, and those that came since (`add`).
        models: every model that it was built with, by name.
        codebook: the taste hash.
        partitions: how many.
        repeat: whether an item may come back once the user had it.
        has_occasions: whether any item belongs to one.
        carousels: ids that can be asked for, but for occasions by name.
    """

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._store = store
        self.version = manifest.version
        self.manifest = manifest
        with self._ensured(manifest.under(*SHARED)) as folder:
            self._open_shared(folder)
        self._open = True

    def _open_shared(self, folder: Path) -> None:
        manifest = self.manifest
        self.models = _open_models(folder / "models", manifest.models)
        taste = arrays.load(folder / "taste")
        self.codebook = Codebook(manifest.parameters["taste_hash"], taste["directions"])
        self.partitions = len(self.codebook.directions)
        self.repeat = bool(manifest.parameters["repeat"])
        self.segment_names = manifest.segments
        self.has_occasions = bool(cast("Family", self.models["occasions"]).topics(Query(), 1))
        self.carousels = frozenset({carousels.OCCASIONS, *manifest.models.values()})
        self._folder = folder
        # Last: LMDB opens a file once per process, and a refusal above must leave nothing open.
        self.catalogue = GrowingCatalogue(folder / "catalogue")

    @classmethod
    def open(cls, store: Store, version: str = "") -> Snapshot:
        """Verify and open a version of a store; the current one where none is named.

        Raises:
            StoreError: there is no such snapshot.
            SnapshotRefused: it fails a check.
        """
        return cls(store, store.manifest(resolve(store, version)))

    @cached_property
    def directory(self) -> Directory:
        """Where every known user lives; verified and mapped on first use."""
        with self._ensured(self.manifest.under(DIRECTORY)) as folder:
            return Directory(folder / DIRECTORY)

    @cached_property
    def kinds(self) -> Kinds:
        """Of items, in which a present intent is told; mapped on first use."""
        return kinds.read(self._folder / kinds.FOLDER, self.catalogue)

    @property
    def ials(self) -> ImplicitALS:
        """The factor model: the one whose vectors make the partitions, and that folds users in."""
        return cast("ImplicitALS", self.models[ImplicitALS.name])

    def open_partition(self, number: int) -> Partition:
        """Fetch, verify and open one partition.

        Raises:
            StoreError: the store does not give its files.
            SnapshotRefused: it fails a check.
        """
        path, files = self._of_partition(number)
        files.pop(f"{path}/{stand_ins.FILE_NAME}", None)
        with self._ensured(files) as folder:
            return Partition(folder / path, self.ials.vectors)

    def open_stand_ins(self, number: int) -> StandIns:
        """Fetch, verify and open the compact copies of one partition's users.

        Raises:
            StoreError: the store does not give the file.
            SnapshotRefused: it fails a check, or was built without.
        """
        path, files = self._of_partition(number)
        wanted = f"{path}/{stand_ins.FILE_NAME}"
        if wanted not in files:
            raise SnapshotRefused(f"snapshot {self.version} has no stand-ins of partition {number}")
        with self._ensured({wanted: files[wanted]}) as folder:
            return StandIns(folder / path, self.ials.factors)

    @contextmanager
    def _ensured(self, files: Mapping[str, File]) -> Iterator[Path]:
        """The version's folder, to open files in that were checked; what is removed meanwhile is not taken for spoilt.

        Raises:
            DiskFailed: copies were removed while they were opened; by now they have been fetched again.
        """
        folder = self._store.ensure(self.version, files)
        try:
            yield folder
        except Exception as error:
            if all((folder / path).exists() for path in files):
                raise
            self._store.ensure(self.version, files)  # where no copies are kept, the store lacks it: that is a refusal
            raise DiskFailed(f"files of {self.version} went from {folder} while they were opened") from error

    def _of_partition(self, number: int) -> tuple[str, dict[str, File]]:
        """A partition's folder within the snapshot, and the files in it."""
        path = partition.name(number)
        files = self.manifest.under(path)
        if not files:
            raise SnapshotRefused(f"snapshot {self.version} has no partition {number}")
        return path, files

    # --- items that came since ------------------------------------------------------------------------------------

    @cached_property
    def likeness(self) -> Likeness:
        """What vectors of new items follow from; worked out on first use, for 0.8 s of a processor, so in a thread."""
        scales = self.ials.equations.confidence.item_scale
        rows = np.sort(np.argsort(scales, kind="stable")[:SAMPLE_MAX]).astype(
            np.int32
        )  # the least scale is of what is had most
        described = [self.catalogue.described(row) for row in pacing.resting(rows.tolist())]
        return Likeness(rows, described, self.ials.vectors[rows], weights_of(scales[rows]), scales[rows])

    @property
    def can_place(self) -> bool:
        """Whether `likeness` was worked out: until then new items are listed, and nobody's taste."""
        return "likeness" in self.__dict__

    def add(self, items: Iterable[Addition], *, at_once: bool = False) -> bool:
        """Items were told of; whether the catalogue has others now. What it was built with stays as it was built.

        Args:
            items: told of.
            at_once: not to wait for `likeness`: without it they lie nowhere, until `place` is called.
        """
        if not self._open:
            return False
        catalogue, before = self.catalogue, self.catalogue.additions
        new = [one for one in items if catalogue.built_row(one.id) is None]
        vector_of = self._nowhere if at_once and not self.can_place else self._vector
        catalogue.additions = before.with_items(new, vector_of)
        return catalogue.additions is not before

    def place(self, item_ids: Iterable[str]) -> None:
        """Items that came before they could be placed get their vectors."""
        if self._open:
            self.catalogue.additions = self.catalogue.additions.placed(item_ids, self._vector)

    def _vector(self, said: Description) -> Floats:
        return self.likeness.vector(said)

    def _nowhere(self, said: Description) -> Floats:
        del said
        return np.zeros(self.ials.factors, np.float32)

    def like(self, row: int, count: int) -> tuple[Rows, Floats]:
        """Up to `count` of the items that are had most, by cosine with a new one, and these; nearest first."""
        if not self.can_place:
            return NO_ROWS, NO_FLOATS
        return self.likeness.nearest(self.catalogue.additions.vectors_of(np.array([row], np.int32))[0], count)

    def solve(self, items: Rows, weights: Floats) -> Floats:
        """The (factors,) vector of a history, which may have items that came since."""
        equations, additions = self.ials.equations, self.catalogue.additions
        new = items >= additions.built
        if not new.any():
            return equations.solve(items, weights)
        kept = (weights > 0) & (items < (additions.start + len(additions) if self.can_place else additions.built))
        items, weights, new = items[kept], weights[kept], new[kept]
        if not len(items):
            return np.zeros(self.ials.factors, np.float32)
        vectors = np.empty((len(items), self.ials.factors), np.float32)
        vectors[~new], vectors[new] = equations.vectors[items[~new]], additions.vectors_of(items[new])
        scales = np.full(len(items), self.likeness.scale, np.float32)
        scales[~new] = equations.confidence.item_scale[items[~new]]
        return equations.solve_for(vectors, scales, weights)

    def with_context(self, history: Rows, weights: Floats, context: Rows) -> Floats:
        """(factors,) vector of a history and the items in hand, either of which may have come since."""
        return self.solve(*joined(history, weights, context))

    def lend(self) -> Snapshot:
        """The same snapshot for another thread; the files stay open until both were closed."""
        lent = copy.copy(self)
        lent.catalogue = self.catalogue.lend()
        return lent

    def close(self) -> None:
        """Give the files back, unless the snapshot is lent."""
        self._open = False
        self.catalogue.close()


def _open_models(folder: Path, built_with: Mapping[str, str]) -> dict[str, Model]:
    installed = models.installed()
    missing = sorted(set(built_with) - set(installed))
    if missing:
        raise SnapshotRefused(f"built with models that are not installed here: {', '.join(missing)}")
    return {name: installed[name].open(arrays.load(folder / name)) for name in sorted(built_with)}
