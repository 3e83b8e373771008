"""Peers' environments: one venv each, with the versions of its file in `requirements/`.

`python -m bench.peers.install [NAME …] [--work FOLDER]` makes those that are not there yet, with the pip and the
package index of this machine.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements"
WORK = Path(".demo") / "peers"
INSTALL_S_MAX = 1200


class NotInstalled(Exception):
    """An environment is not there, or could not be made; why stands in the message."""


def python_of(work: Path, environment: str) -> Path:
    """The interpreter of an environment; this one's own for ours.

    Raises:
        NotInstalled: it is not there, or not whole.
    """
    if not environment:
        return Path(sys.executable)
    folder = (work / "env" / environment).absolute()
    if not (folder / "installed").exists():
        raise NotInstalled(f"not installed: python -m bench.peers.install {environment} --work {work}")
    return folder / "bin" / "python"


def install(work: Path, environment: str) -> None:
    """Make an environment, where it is not there as its file of requirements wants it.

    Raises:
        NotInstalled: pip could not; what it said.
    """
    wanted = REQUIREMENTS / f"{environment}.txt"
    folder = work / "env" / environment
    mark = folder / "installed"
    if mark.exists() and mark.read_text(encoding="utf-8") == wanted.read_text(encoding="utf-8"):
        return
    commands = (
        [sys.executable, "-m", "venv", str(folder)],
        [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(wanted)],
    )
    for command in commands:
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=INSTALL_S_MAX)
        except subprocess.TimeoutExpired:
            raise NotInstalled(f"{environment}: took longer than {INSTALL_S_MAX} s") from None
        if done.returncode:
            raise NotInstalled(f"{environment}: {done.stdout.decode(errors='replace').strip()[-500:]}")
    mark.write_text(wanted.read_text(encoding="utf-8"), encoding="utf-8")


def main() -> None:
    """Install, and say of each whether that went well."""
    known = sorted(path.stem for path in REQUIREMENTS.glob("*.txt"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *known], metavar="NAME", help=f"of {', '.join(known)}; all")
    parser.add_argument("--work", type=Path, default=WORK, help=f"where environments are kept ({WORK})")
    chosen = parser.parse_args()
    failed = 0
    for name in chosen.names or known:
        try:
            install(chosen.work, name)
            print(f"{name}: installed", flush=True)
        except NotInstalled as error:
            failed += 1
            print(f"{name}: NOT installed: {error}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
