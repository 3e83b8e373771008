"""The process in a peer's environment: it starts the peer, asks it, and ends it, as told line by line.

`python -m bench.peers.host MODULE --data FOLDER --state FOLDER` reads a JSON object per line from its input, and
writes one per line: what came of it, or `{"error": …}`. When the input ends, as it does when whoever started it dies,
it stops its peer and ends.

    {"do": "start"}                                         seconds, whether it had to load, whether it has a knob
    {"do": "sweep", "aim": 0.98}                            knob, its name, recall, what was tried
    {"do": "turn", "knob": 48}                              recall
    {"do": "measure", "callers": 8, "seconds": 2, "batch": 0}
    {"do": "stop"}
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import json
import os
import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

from bench.peers import loop
from bench.peers.data import Data
from bench.peers.protocol import Peer
from bench.peers.sweep import Swept, sweep


class Host:
    """Does with one peer what it is told.

    Args:
        peer: neither started nor loaded.
        data: that it is to find things in.
        state: the peer's folder, which keeps what it loaded from run to run.
    """

    def __init__(self, peer: Peer, data: Data, state: Path) -> None:
        self._peer, self._data = peer, data
        self._mark, self._keeps = state / "loaded", f"{data.fingerprint}: {peer.keeps}"
        self._commands: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
            "start": self._start,
            "sweep": self._sweep,
            "turn": self._turn,
            "measure": self._measure,
        }

    async def do(self, do: str, **told: Any) -> dict[str, Any]:
        """One command; what came of it."""
        return await self._commands[do](**told)

    async def stop(self) -> None:
        """End the peer."""
        await self._peer.stop()

    async def _start(self) -> dict[str, Any]:
        began = time.monotonic()
        fresh = not self._mark.exists() or self._mark.read_text(encoding="utf-8") != self._keeps
        if fresh:  # of other data, or half loaded
            shutil.rmtree(self._mark.parent, ignore_errors=True)
        self._mark.parent.mkdir(parents=True, exist_ok=True)
        await self._peer.start()
        await self._peer.load(fresh=fresh)
        self._mark.write_text(self._keeps, encoding="utf-8")
        gc.freeze()
        return {"seconds": time.monotonic() - began, "fresh": fresh, "turns": self._peer.knob is not None}

    async def _sweep(self, aim: float) -> dict[str, Any]:
        if self._peer.knob is None:
            return {"knob": None, "name": "", "recall": await loop.recalled(self._peer, self._data), "tried": []}
        name, low, high = self._peer.knob
        trying, tried = sweep(low, high, aim), []
        knob = next(trying)
        while True:
            tried.append(Swept(knob, (await self._turn(knob))["recall"]))
            try:
                knob = trying.send(tried[-1].recall)
            except StopIteration as over:
                swept: Swept = over.value
                return {"knob": swept.knob, "name": name, "recall": swept.recall, "tried": tried}

    async def _turn(self, knob: int | None) -> dict[str, Any]:
        if knob is not None:
            await self._peer.turn(knob)
        return {"recall": await loop.recalled(self._peer, self._data)}

    async def _measure(self, callers: int, seconds: float, batch: int) -> dict[str, Any]:
        return await loop.measure(self._peer, len(self._data.queries), callers, seconds, batch)


async def serve(host: Host, answers: int) -> None:
    """Do what the lines of the input say, until they end or say stop."""
    loop_ = asyncio.get_running_loop()
    with os.fdopen(answers, "w") as out:
        try:
            while line := await loop_.run_in_executor(None, sys.stdin.readline):
                told = json.loads(line)
                if told["do"] == "stop":
                    break
                print(json.dumps(await _tried(host, told)), file=out, flush=True)
        finally:
            await host.stop()


async def _tried(host: Host, told: dict[str, Any]) -> dict[str, Any]:
    try:
        return await host.do(**told)
    except Exception as error:  # of whatever a peer's libraries raise; the run goes on with the others
        return {"error": f"{told['do']}: {type(error).__name__}: {error}"[-1500:]}


def main() -> None:
    """Serve one peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    chosen = parser.parse_args()
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries print
    data = Data.read(chosen.data)
    peer: Peer = importlib.import_module(chosen.module).Subject(chosen.state, data)
    uvloop.run(serve(Host(peer, data, chosen.state), answers))


if __name__ == "__main__":
    main()
