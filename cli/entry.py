"""What the `trunkshow` script runs: the command line, or one line that says what it takes, where only the client is."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from cli.main import main as run
    except ModuleNotFoundError as error:
        print(f"trunkshow: {error.name} is not installed; the commands need trunkshow[serving]", file=sys.stderr)
        sys.exit(2)
    run()
