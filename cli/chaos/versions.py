"""Snapshots to push without building: copies of one that is there, by hard links, in which items went out of stock.

A copy is a version of its own in every respect, its manifest says what its files are, and what may be shown differs:
an answer from the wrong version is found out by the model.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from trunkshow.snapshot.manifest import FILE_NAME, Manifest, describe
from trunkshow.snapshot.store import open_store, resolve, who

OUT_OF_STOCK = 0.02
"""Share of the items that a copy takes out of stock."""


def copy_store(store: str, to: Path) -> str:
    """A store of one's own that serves what another one serves, without its files' bytes; the version."""
    source = open_store(store)
    version = resolve(source)
    manifest = source.manifest(version)
    folder = source.ensure(version, manifest.files)
    own = open_store(to)
    with own.building() as built:
        link_tree(folder, built / version)
        own.push(built / version, manifest, who("copied"))
    own.move(lambda pointer: pointer.promoted(version, who("copied")))
    return version


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


def restocked(folder: Path, to: Path, version: str, seed: int) -> Manifest:
    """A copy of a snapshot under another name, in which other items are out of stock; its manifest, written last."""
    link_tree(folder, to)
    manifest = Manifest.from_json((to / FILE_NAME).read_text(encoding="utf-8"))
    (to / FILE_NAME).unlink()
    path = to / "catalogue" / "available.npy"
    available = np.load(path).copy()
    gone = np.random.default_rng(seed).choice(len(available), max(1, int(OUT_OF_STOCK * len(available))), replace=False)
    available[gone] = False
    path.unlink()
    np.save(path, available, allow_pickle=False)
    files = {**manifest.files, "catalogue/available.npy": describe(path)}
    fresh = replace(manifest, version=version, files=files)
    (to / FILE_NAME).write_text(fresh.to_json(), encoding="utf-8")
    return fresh
