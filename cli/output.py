"""Where a command's words go: results on stdout, progress and remarks on stderr, JSON instead where asked for.

What results look like is `cli.render`.
"""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

from cyclopts import Parameter, Token
from rich.console import Console, RenderableType


class UsageError(Exception):
    """Wrong input that a command found by itself; the message is one line that says what to do."""


def check_range(flag: str, value: float, least: float, most: float) -> None:
    """Refuse a number that a flag cannot have; NaN is one.

    Raises:
        UsageError: naming the flag, what it was and what is allowed.
    """
    if not least <= value <= most:
        raise UsageError(f"--{flag} {value} is out of range; choose {least} to {most}")


def commas(_: Any, tokens: list[Token]) -> tuple[str, ...]:
    """`a,b` and repeated flags alike, as one tuple."""
    return tuple(part.strip() for token in tokens for part in token.value.split(",") if part.strip())


Names = Annotated[tuple[str, ...], Parameter(converter=commas, show_default=False, metavar="A,B")]
"""A flag that takes names separated by commas."""


def show(*parts: RenderableType) -> None:
    """Print a result for a person."""
    console = Console(highlight=False)
    for part in parts:
        console.print(part)


def show_as_it_is(text: str) -> None:
    """Print text that must not be wrapped, such as code."""
    Console(highlight=False, soft_wrap=True).print(text)


def remark(text: str) -> None:
    """Say on stderr what is going on."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text)


def show_json(value: Any, *, indent: int | None = 2) -> None:
    """Print a result for a machine: one JSON value on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=indent, default=str), flush=True)


def stderr_is_a_terminal() -> bool:
    """Whether a person watches the progress."""
    return sys.stderr.isatty()
