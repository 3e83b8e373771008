"""Snapshots to push without building: copies of one that is there, by hard links, in which other items are in stock.

A copy is a version of its own in every respect, its manifest says what its files are, and what may be shown differs:
an answer from the wrong version is found out by the model.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trunkshow.snapshot.manifest import FILE_NAME, SCHEMA, Manifest, describe
from trunkshow.snapshot.store import Store, open_store, resolve, who

TURNED = 0.2
"""Share of the items, of those that stand in no list of the shop, whose availability is another in a copy."""

LISTS = ("popularity", "new-arrivals", "occasions")
"""Models that wrote down items; what they list is available, and stays so."""

FLIPPED, TRUNCATED, MISSING, FUTURE, GONE = "flipped", "truncated", "missing", "future", "gone"
SPOILT = (FLIPPED, TRUNCATED, MISSING, FUTURE, GONE)
"""A bit is another, a file ends early, is not there, the manifest is of a later schema, or all of it is not there."""


def copy_store(store: str, to: str | Path) -> str:
    """A store of one's own that serves what another one serves, without its files' bytes; the version."""
    return copied(store, to).name


def copied(store: str, to: str | Path) -> Path:
    """The same; a local folder of the version, which has its name."""
    source = open_store(store)
    version = resolve(source)
    folder = source.ensure(version, source.manifest(version).files)
    own = open_store(to)
    push(own, folder, version)
    own.move(lambda pointer: pointer.promoted(version, who("copied")))
    return folder


def push(store: Store, folder: Path, version: str) -> None:
    """Push a finished snapshot, which stays where it is. Its manifest may be one that this release cannot read."""
    raw = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
    manifest = Manifest.from_json(json.dumps({**raw, "schema": SCHEMA}))
    with store.building() as building:
        link_tree(folder, building / version)
        store.push(building / version, manifest, who("chaos"))


def remember(folder: Path, version: str, oracle: Path) -> None:
    """Let the oracle know a version, whatever becomes of the store."""
    # Renamed into place: a driver that looks it up meanwhile finds all of it, or nothing.
    link_tree(folder, oracle / f"{version}.new")
    (oracle / f"{version}.new").rename(oracle / version)


def current(store: Path) -> str:
    """The version that a store serves."""
    return resolve(open_store(store))


def link_tree(folder: Path, to: Path) -> None:
    """The folder once more, its files linked, or copied to another file system."""
    shutil.copytree(folder, to, copy_function=_link)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def spoil(folder: Path, kind: str, which: float, where: float) -> None:
    """Do to a finished snapshot what must not be served: to which file, and where in it, is told from 0 to 1."""
    if kind == FUTURE:
        raw = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        (folder / FILE_NAME).unlink()
        (folder / FILE_NAME).write_text(json.dumps({**raw, "schema": SCHEMA + 1000}), encoding="utf-8")
        return
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != FILE_NAME)
    chosen = files[min(int(which * len(files)), len(files) - 1)]
    data = bytearray(chosen.read_bytes())
    chosen.unlink()  # other versions have a link to the same bytes
    at = min(int(where * len(data)), len(data) - 1)
    if kind == FLIPPED:
        data[at] ^= 1
        chosen.write_bytes(data)
    elif kind == TRUNCATED:
        chosen.write_bytes(data[:at])


def restocked(folder: Path, to: Path, version: str, seed: int) -> Manifest:
    """A copy of a snapshot under another name, in which other items are in stock; its manifest, written last."""
    link_tree(folder, to)
    manifest = Manifest.from_json((to / FILE_NAME).read_text(encoding="utf-8"))
    (to / FILE_NAME).unlink()
    path = to / "catalogue" / "available.npy"
    available = np.load(path).copy()
    free = np.setdiff1d(np.arange(len(available)), _listed(folder))
    turned = np.random.default_rng(seed).random(len(free)) < TURNED
    available[free[turned]] ^= True
    path.unlink()
    np.save(path, available, allow_pickle=False)
    files = {**manifest.files, "catalogue/available.npy": describe(path)}
    fresh = replace(manifest, version=version, files=files)
    (to / FILE_NAME).write_text(fresh.to_json(), encoding="utf-8")
    return fresh


def _listed(folder: Path) -> NDArray[np.int32]:
    lists = [np.load(path) for path in (folder / "models" / name / "rows.npy" for name in LISTS) if path.exists()]
    return np.unique(np.concatenate([*lists, np.empty(0, np.int32)]))
