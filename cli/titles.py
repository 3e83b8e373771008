"""What items are called, read from a snapshot's catalogue; answers of the cluster carry ids alone."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from trunkshow.snapshot.catalogue import Catalogue


class Titles:
    """Titles by item id; every one is empty where there is no catalogue."""

    def __init__(self, catalogue: Catalogue | None = None) -> None:
        self._catalogue = catalogue

    @classmethod
    def of(cls, store: str | Path | None, version: str = "") -> Titles:
        """The titles of a version of a store; of the current one where none is named.

        Raises:
            StoreError: the store has no such snapshot.
        """
        if store is None:
            return cls()
        from trunkshow.snapshot.catalogue import Catalogue
        from trunkshow.snapshot.store import open_store, resolve

        opened = open_store(store)
        manifest = opened.manifest(resolve(opened, version))
        return cls(Catalogue(opened.ensure(manifest.version, manifest.under("catalogue")) / "catalogue"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._catalogue is not None:
            self._catalogue.close()

    def __bool__(self) -> bool:
        return self._catalogue is not None

    def get(self, item_id: str) -> str:
        """An item's title; empty where it is not known."""
        if self._catalogue is None:
            return ""
        row = self._catalogue.row(item_id)
        return "" if row is None else self._catalogue.title(row)
