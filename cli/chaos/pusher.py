"""A builder that has nothing to build: pushes a finished snapshot and promotes it: `python -m cli.chaos.pusher`."""

from __future__ import annotations

import sys
from pathlib import Path

from cli.chaos.priority import give_way


def main() -> None:
    """Push the folder's snapshot into the store, and promote it."""
    give_way()  # before anything else is imported: that takes longer than the push
    from cli.chaos.versions import push
    from trunkshow.snapshot.store import open_store, who

    url, folder = sys.argv[1], Path(sys.argv[2])
    store = open_store(url)
    version = folder.name
    push(store, folder, version)
    store.move(lambda pointer: pointer.promoted(version, who("chaos")))


if __name__ == "__main__":
    main()
