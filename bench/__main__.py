"""The benchmark: `make bench`. The ladder of limits, recall, memory, opening, and the aims, in one run.

Made-up snapshots are built once and kept in `--work`; without them it takes some minutes more. Every part has a program
of its own, and says there what it measures. `--peers`, `--build` and `--served` take the JSON of those programs, which
this one does not run; `--results` takes what an earlier run of this one wrote, for the parts that are not measured now
(`--only` without a part measures none). `--markdown` replaces one section of the file, and leaves the others alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import aims, ladder, memory, opening, processes, recall, synthetic, tables
from bench.subjects import Say

TITLE = "## Limits and aims: `make bench`"
OTHERS = ("peers", "build", "served")
PARTS = ("ladder", "recall", "memory", "opening")


def measure(
    work: Path, parts: Sequence[str], turns: ladder.Turns, say: Say
) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """The parts' names and results, each as soon as it is there; None for one that failed, and said why."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        scratch = Path(folder)

        def store(shape: synthetic.Shape) -> Path:
            say(f"made-up snapshot {shape.name}: looked for, and built where it is not there")
            return synthetic.store_of(work, shape)

        run: dict[str, Callable[[], dict[str, Any]]] = {
            "ladder": lambda: ladder.measure(store(synthetic.CATALOGUE), scratch, turns, say),
            "recall": lambda: recall.measure(store(synthetic.CATALOGUE), say),
            "memory": lambda: memory.measure(store(synthetic.CROWD), store(synthetic.HANDFUL), say),
            "opening": lambda: opening.measure(store(synthetic.CROWD), scratch / "opening", say),
        }
        for part in parts:
            try:
                yield part, run[part]()
            except (SystemExit, processes.DidNotStart) as why:
                say(f"{part} is not measured: {why}")
                yield part, None


def markdown(results: dict[str, Any]) -> str:
    """The section."""
    told = [f"{write(results[part])}\n{_said(results[part])}\n" for part, write in _TOLD.items() if part in results]
    return "\n".join([TITLE, "", aims.markdown(aims.judge(results)), "", *told])


_TOLD: dict[str, Callable[[dict[str, Any]], str]] = {
    "ladder": ladder.markdown,
    "recall": recall.markdown,
    "memory": memory.markdown,
    "opening": opening.markdown,
}


def _said(result: dict[str, Any]) -> str:
    machine = result["machine"]
    return f"({machine['cpu']}, {machine['cpus']} processors, {machine['date']}, commit {machine['commit']}.)"


def replaced(text: str, section: str) -> str:
    """A text with the section in place of the one of its title; before the first section where there was none."""
    before, title, after = text.partition(TITLE)
    if not title:
        before, mark, after = text.partition("\n## ")
        before, after = f"{before}\n", f"{mark}{after}"
    _, mark, later = after.partition("\n## ")
    return f"{before}{section.rstrip()}\n{mark}{later}"


def _write(path: Path | None, results: dict[str, Any]) -> None:
    if path is not None:
        path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Measure, print the section, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=synthetic.WORK, help="where made-up snapshots are kept")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS), help="parts to measure")
    parser.add_argument("--quick", action="store_true", help="short turns: to see that it works")
    parser.add_argument("--results", type=Path, help="JSON of an earlier run, for the parts that are not measured now")
    parser.add_argument("--json", type=Path, help="write everything there")
    parser.add_argument("--markdown", type=Path, help="replace the section of this file")
    for name in OTHERS:
        parser.add_argument(f"--{name}", type=Path, help=f"JSON of bench.{name}, for its aims")
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    given = {name: path for name in ("results", *OTHERS) if (path := getattr(chosen, name))}
    read = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in given.items()}
    results = {**read.pop("results", {}), **read}
    failed = []
    turns = ladder.QUICK if chosen.quick else ladder.Turns()
    for part, result in measure(chosen.work, chosen.only, turns, tables.remark):
        results.pop(part, None)
        if result is None:
            failed.append(part)
        else:
            results[part] = result
            _write(chosen.json, results)  # at once: what comes later may be interrupted
    _write(chosen.json, results)
    section = markdown(results)
    print(section)
    if chosen.markdown:
        chosen.markdown.write_text(replaced(chosen.markdown.read_text(encoding="utf-8"), section), encoding="utf-8")
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}; what was said of it stands above")
    if "ladder" in chosen.only and ladder.too_busy(results["ladder"]):
        sys.exit("more than 1 % of the slates are of a lower rung or short: this machine is too busy to measure")


if __name__ == "__main__":
    main()
