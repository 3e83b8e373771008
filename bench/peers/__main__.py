"""Measure peers beside ours: `python -m bench.peers [--only NAME,…] [--json PATH] [--markdown PATH]`.

Environments are to be there (`python -m bench.peers.install`); a peer without one is reported as not measured. What
peers load for the first time, they keep in the work folder: `--prepare` does that alone, and takes minutes.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from bench import synthetic
from bench.peers import data, markdown, registry, report
from bench.peers.install import WORK
from bench.peers.run import REPEATS, Settings, prepare, run


def main() -> None:
    """Measure, say how it goes, and write the tables."""
    chosen = _parser().parse_args()
    settings = Settings(
        work=chosen.work,
        only=_names(chosen.only),
        repeats=chosen.repeats,
        seconds=chosen.seconds,
        recall=chosen.recall,
    )
    signal.signal(signal.SIGTERM, _interrupted)
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", file=sys.stderr, flush=True)

    try:
        about = _prepared(chosen.work, chosen.store)
        say(f"data: {about}")
        measured = (prepare if chosen.prepare else run)(settings, say)
    except KeyboardInterrupt:
        sys.exit("stopped; every server was ended")
    if chosen.prepare:
        sys.exit(1 if measured.failed else 0)
    result = report.as_json(measured, settings, about)
    text = markdown.as_markdown(result, shlex.join(["python", "-m", "bench.peers", *sys.argv[1:]]))
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if chosen.markdown:
        chosen.markdown.write_text(text, encoding="utf-8")
    print(text)


def _prepared(work: Path, store: Path | None) -> dict[str, Any]:
    """The data of this store, or of the made-up one of 100,000 items; written where it is not there yet."""
    store = store or synthetic.store_of(synthetic.WORK, synthetic.CATALOGUE)
    folder = work / "data"
    there = data.Data.read(folder) if (folder / "about.json").exists() else None
    if there is None or Path(there.store) != store.resolve():
        there = data.write(store, folder)
    return {
        "store": there.store,
        "version": there.version,
        "items": len(there.items),
        "factors": there.items.shape[1],
        "users": len(there.users),
        "partitions": len({home for _, home in there.users}),
    }


def _names(only: str) -> tuple[str, ...]:
    names = tuple(name for name in only.split(",") if name)
    known = [peer.name for peer in registry.PEERS]
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"no peer {', '.join(unknown)}; there are {', '.join(known)}")
    return names


def _interrupted(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="peers, by name, with commas between; all of them otherwise")
    parser.add_argument("--work", type=Path, default=WORK, help=f"where everything is kept ({WORK})")
    parser.add_argument(
        "--store",
        type=Path,
        help="a snapshot store of your own; else the made-up one that other benchmarks share, which is built first",
    )
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--seconds", type=float, default=Settings.seconds, help="of each measurement")
    parser.add_argument("--recall", type=float, default=Settings.recall, help="that all are turned to")
    parser.add_argument("--prepare", action="store_true", help="load and sweep everybody, and measure nothing")
    parser.add_argument("--json", type=Path, help="write everything there")
    parser.add_argument("--markdown", type=Path, help="write the tables there, which are printed anyway")
    return parser


if __name__ == "__main__":
    main()
