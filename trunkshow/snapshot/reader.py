"""A snapshot, opened: what every serving process needs of it. Partitions are the shard's to open, one by one."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import cast

from trunkshow import carousels, models
from trunkshow.models.ials import ImplicitALS
from trunkshow.models.protocol import Family, Model, Query
from trunkshow.snapshot import arrays, kinds, partition, stand_ins
from trunkshow.snapshot.catalogue import Catalogue
from trunkshow.snapshot.directory import Directory
from trunkshow.snapshot.kinds import Kinds
from trunkshow.snapshot.manifest import File, Manifest, SnapshotRefused
from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.stand_ins import StandIns
from trunkshow.snapshot.store import Store, resolve
from trunkshow.taste import Codebook

SHARED = ("catalogue", kinds.FOLDER, "models", "taste")
DIRECTORY = "directory"


class Snapshot:
    """One version of a store, its shared files verified and mapped.

    Attributes:
        version: its name.
        manifest: what it says of itself.
        catalogue: its items.
        models: every model that it was built with, by name.
        codebook: the taste hash.
        partitions: how many.
        repeat: whether an item may come back once the user had it.
        has_occasions: whether any item belongs to one.
        carousels: ids that can be asked for, but for occasions by name.
    """

    def __init__(self, store: Store, manifest: Manifest) -> None:
        folder = store.ensure(manifest.version, manifest.under(*SHARED))
        self._store = store
        self.version = manifest.version
        self.manifest = manifest
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
        self.catalogue = Catalogue(folder / "catalogue")

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
        folder = self._store.ensure(self.version, self.manifest.under(DIRECTORY))
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
        return Partition(self._store.ensure(self.version, files) / path, self.ials.vectors)

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
        folder = self._store.ensure(self.version, {wanted: files[wanted]})
        return StandIns(folder / path, self.ials.factors)

    def _of_partition(self, number: int) -> tuple[str, dict[str, File]]:
        """A partition's folder within the snapshot, and the files in it."""
        path = partition.name(number)
        files = self.manifest.under(path)
        if not files:
            raise SnapshotRefused(f"snapshot {self.version} has no partition {number}")
        return path, files

    def lend(self) -> Snapshot:
        """The same snapshot for another thread; the files stay open until both were closed."""
        lent = copy.copy(self)
        lent.catalogue = self.catalogue.lend()
        return lent

    def close(self) -> None:
        """Give the files back, unless the snapshot is lent."""
        self.catalogue.close()


def _open_models(folder: Path, built_with: Mapping[str, str]) -> dict[str, Model]:
    installed = models.installed()
    missing = sorted(set(built_with) - set(installed))
    if missing:
        raise SnapshotRefused(f"built with models that are not installed here: {', '.join(missing)}")
    return {name: installed[name].open(arrays.load(folder / name)) for name in sorted(built_with)}
