"""The other end of `bench.peers.host`: a peer's host process, told what to do, and ended whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.peers import children

ANSWER_S_MAX = 600.0
"""Of the longest command, which is loading for the first time."""

STOP_S_MAX = 40.0


class Failed(Exception):
    """A host could not do what it was told; why stands in the message."""


class Remote:
    """A host, as `hosted` started it."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process, self._log = process, log

    @property
    def pid(self) -> int:
        """Of the host."""
        return self._process.pid

    def do(self, do: str, **told: Any) -> dict[str, Any]:
        """Tell it, and wait for what came of it.

        Raises:
            Failed: nothing did.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **told}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Failed(self._last_words()) from None
        line = self._line(self._process.stdout.fileno(), time.monotonic() + ANSWER_S_MAX)
        came: dict[str, Any] = json.loads(line)
        if "error" in came:
            raise Failed(came["error"])
        return came

    def stop(self) -> None:
        """Have it end its peer, and end."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            pass
        finally:  # too late, or Ctrl-C for the second time
            if self._process.poll() is None:
                servers = children.descendants(self._process.pid)
                self._process.kill()
                self._process.wait()
                children.kill(servers)

    def _line(self, source: int, until: float) -> bytes:
        said = b""
        while not said.endswith(b"\n"):
            ready, _, _ = select.select([source], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise Failed(f"no answer within {ANSWER_S_MAX:g} s; {self._last_words()}")
            some = os.read(source, 65_536)
            if not some:
                raise Failed(self._last_words())
            said += some
        return said

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " / ".join(lines[-3:]) or "it ended without a word"


@contextlib.contextmanager
def hosted(python: Path, module: str, data: Path, state: Path, log: Path) -> Iterator[Remote]:
    """A host in the environment of this interpreter, for the time of the context.

    In a session of its own: Ctrl-C reaches whoever measures, who then ends the host in order.
    """
    command = [
        str(python),
        "-W",
        "ignore",
        "-m",
        "bench.peers.host",
        module,
        "--data",
        str(data),
        "--state",
        str(state),
    ]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            cwd=Path(__file__).parents[2],
            start_new_session=True,
        )
    remote = Remote(process, log)
    try:
        yield remote
    finally:
        remote.stop()
