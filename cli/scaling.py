"""A local cluster that grows and shrinks while it runs: `trunkshow scale` writes down how many shards there should be.

    TMP/trunkshow-UID/ADDRESS/members    the shards' addresses; every process looks its membership up here
    TMP/trunkshow-UID/ADDRESS/shards     how many there should be
    TMP/trunkshow-UID/ADDRESS/keeper     process id of the `up` that keeps them

The folder is named after the router's address, of which there is one on a machine, and goes with the cluster. New
shards are members first and started then; one that is to go gets SIGTERM, hands over, and is no member any more once it
is gone. The newest go first. That no shopper notices is the shards' own business.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Never

from cli.addresses import free_address
from cli.output import UsageError
from cli.processes import Child, Say, Supervisor

POLL_S = 0.25
LEAVE_GRACE_S = 30.0
"""Between SIGTERM and SIGKILL for a shard that is to go: more than it takes to hand over."""

SHARDS_MAX = 64


class Ledger:
    """What a local cluster and who scales it write to each other.

    Args:
        router: its address.
    """

    def __init__(self, router: str) -> None:
        self._own = Path(tempfile.gettempdir()) / f"trunkshow-{os.getuid()}"
        self.folder = self._own / router.replace(":", "_").replace("/", "_")

    @property
    def members(self) -> Path:
        """The members file."""
        return self.folder / "members"

    def open(self) -> None:
        """Begin anew.

        Raises:
            UsageError: the folder cannot be made, or is somebody else's.
        """
        try:
            self._own.mkdir(mode=0o700, exist_ok=True)
            if self._own.is_symlink() or self._own.stat().st_uid != os.getuid():
                raise UsageError(f"{self._own} belongs to somebody else; remove it")
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
            self._write("keeper", str(os.getpid()))
        except OSError as error:
            raise UsageError(f"{self.folder} cannot be written to: {error.strerror}") from None

    def close(self) -> None:
        """The cluster has gone."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def enlist(self, addresses: Mapping[str, str]) -> None:
        """Write the members file, from addresses by name."""
        self._write("members", "".join(f"{address}  # {name}\n" for name, address in addresses.items()))

    def wish(self, shards: int) -> None:
        """Say how many shards there should be.

        Raises:
            UsageError: nobody is there to hear it.
        """
        try:
            os.kill(int((self.folder / "keeper").read_text()), 0)
            self._write("shards", str(shards))
        except (OSError, ValueError):
            address = self.folder.name.replace("_", ":")
            raise UsageError(f"no `trunkshow up` runs a cluster at {address}; say which one with --target") from None

    def wished(self) -> int | None:
        """How many there should be; None where nobody said so."""
        try:
            wished = int((self.folder / "shards").read_text())
        except (OSError, ValueError):
            return None
        return wished if 1 <= wished <= SHARDS_MAX else None

    def _write(self, name: str, text: str) -> None:
        fresh = self.folder / f"{name}.new"
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self.folder / name)


async def follow(
    ledger: Ledger, shards: dict[str, str], supervisor: Supervisor, child: Callable[[str, str], Child], say: Say
) -> Never:
    """Do as the ledger says, until cancelled.

    Args:
        ledger: of this cluster.
        shards: addresses by name; kept up to date here.
        supervisor: of their processes.
        child: makes one, from its name and address.
        say: told `cluster.scaling`.
    """
    made = len(shards)
    while True:
        wished = ledger.wished() or len(shards)
        if wished != len(shards):
            say("cluster.scaling", before=len(shards), shards=wished)
        new = {f"shard-{made + number}": free_address() for number in range(wished - len(shards))}
        made += len(new)
        shards.update(new)
        if new:
            ledger.enlist(shards)
        for name, address in new.items():
            supervisor.add(child(name, address))
        leaving = list(shards)[wished:]
        await asyncio.gather(*(supervisor.remove(name, LEAVE_GRACE_S) for name in leaving))
        for name in leaving:
            del shards[name]
        if leaving:
            ledger.enlist(shards)
        await asyncio.sleep(POLL_S)
