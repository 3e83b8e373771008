"""`trunkshow push`, `promote`, `rollback`, `refuse`, `withdraw`, `pin`, `unpin`: moves of a store's pointer.

Each is one move of `trunkshow.snapshot.lifecycle`, made by compare-and-swap, and a line in the store's history.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cli import output
from cli.output import UsageError
from trunkshow.snapshot import transfer
from trunkshow.snapshot.acceptance import VARIANCE
from trunkshow.snapshot.lifecycle import Pointer, Who
from trunkshow.snapshot.promotion import How, Publishing, serve
from trunkshow.snapshot.states import CANDIDATE, State
from trunkshow.snapshot.store import Store, StoreError, open_store, who

POLL_S = 0.25
WAIT_S_MAX = 86_400.0

Url = Annotated[str, Parameter(env_var="TRUNKSHOW_STORE")]
Share = Annotated[str, Parameter(metavar="5%|0.05")]


@Parameter(name="*")
@dataclass(frozen=True)
class MoveOptions:
    """A move."""

    store: Url
    """The snapshot store: a folder, or s3://BUCKET/PREFIX."""

    why: str = ""
    """For the history, in words."""

    json: bool = False
    """Print the pointer as it is afterwards, as JSON."""


@Parameter(name="*")
@dataclass(frozen=True)
class PromoteOptions(MoveOptions):
    """How a version comes to be served."""

    now: bool = False
    """Serve it at once, unrehearsed."""

    rehearse: bool = False
    """Have routers try it on recent requests, and decide; the default where something is served already."""

    canary: Share = ""
    """Share of the users who get it first: 5% or 0.05. After a rehearsal; with --now, at once."""

    variance: float = VARIANCE
    """By how much users, items and events may differ from what is served: 0.5 allows half, or one and a half times."""

    wait: bool = False
    """Return when it is served by everybody, or refused; exit code 2 where it is."""

    wait_s: float = 600.0
    """Seconds to wait at most."""

    verify_key: Path | None = None
    """File of the public key that the version must be signed with."""


@Parameter(name="*")
@dataclass(frozen=True)
class PushOptions(MoveOptions):
    """From where, and where to."""

    to: str = ""
    """The store that gets it: a folder, made where it does not exist, or s3://BUCKET/PREFIX."""

    verify_key: Path | None = None
    """File of the public key that the version must be signed with."""


@Parameter(name="*")
@dataclass(frozen=True)
class RollbackOptions(MoveOptions):
    """Where to return to."""

    to: str = ""
    """A retired version to return to; the previous one where empty."""


def push(version: str, /, *, options: PushOptions) -> None:
    """Copy a version from one store to another, every file checked; there it waits to be promoted.

    Args:
        version: that --store has.
        options: from where, and where to.
    """
    if not options.to:
        raise UsageError("--to is missing; name the store that gets the version")
    target = open_store(options.to)
    source = open_store(options.store, verify_key=options.verify_key)
    pointer = transfer.copy(source, version, target, who(options.why or f"from {options.store}"))
    _tell(options, pointer, f"pushed [bold]{version}[/] to {target.url}; to serve it: trunkshow promote")


def promote(version: str, /, *, options: PromoteOptions) -> None:
    """Have a pushed version rehearsed, shown to a few, or served by everybody.

    Args:
        version: that was pushed.
        options: how.
    """
    if options.now and options.rehearse:
        raise UsageError("--now and --rehearse exclude one another")
    output.check_range("variance", options.variance, 0, 1_000_000)
    output.check_range("wait-s", options.wait_s, 0, WAIT_S_MAX)
    store = open_store(options.store, verify_key=options.verify_key)
    publishing = Publishing(How.NOW if options.now else How.REHEARSE, share(options.canary), options.variance)
    pointer = serve(store, version, publishing, who(options.why))
    if options.wait:
        pointer = until_decided(store, version, options.wait_s)
    _tell(options, pointer, f"[bold]{version}[/] is {_in_words(pointer, version)}")


def rollback(*, options: RollbackOptions) -> None:
    """Return to the previous version, or a retired one; the current one is never served again."""
    before = open_store(options.store).pointer().current
    pointer = _move(options, lambda pointer, by: pointer.rolled_back(by, options.to))
    _tell(options, pointer, f"returned to [bold]{pointer.current}[/]; {before} is never served again")


def refuse(version: str, /, *, options: MoveOptions) -> None:
    """Never serve a pushed version, or a candidate.

    Args:
        version: that was pushed.
        options: in which store, and why.
    """
    pointer = _move(options, lambda pointer, by: pointer.refused(version, by))
    _tell(options, pointer, f"[bold]{version}[/] is refused; `trunkshow gc` removes its files")


def withdraw(*, options: MoveOptions) -> None:
    """Take back the candidate; it stays pushed, and may be promoted again later."""
    pointer = _move(options, Pointer.withdrawn)
    _tell(options, pointer, f"[bold]{pointer.history[-1].version}[/] is pushed, and no candidate any more")


def pin(*, options: MoveOptions) -> None:
    """Keep the current version, whatever is built or promoted; rolling back is still possible."""
    pointer = _move(options, Pointer.with_pin)
    _tell(options, pointer, f"[bold]{pointer.current}[/] is pinned; `trunkshow unpin` lets it change again")


def unpin(*, options: MoveOptions) -> None:
    """Let the current version change again."""
    pointer = _move(options, Pointer.without_pin)
    _tell(options, pointer, f"[bold]{pointer.current}[/] may change again")


def share(text: str) -> float:
    """A share of the users: `5%` or `0.05`; 0 where empty.

    Raises:
        UsageError: it is no number, or not above 0 and at most all of them.
    """
    if not text:
        return 0.0
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise UsageError(f"--canary {text} is no share of the users; write 5% or 0.05, above 0 and at most 100%")
    return value


def until_decided(
    store: Store,
    version: str,
    wait_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Pointer:
    """The pointer, once the version is no candidate any more.

    Raises:
        StoreError: it is not served then, or still a candidate when the time is up.
    """
    until = clock() + wait_s
    while True:
        pointer = store.pointer()
        state = pointer.states.get(version)
        if state is State.CURRENT:
            return pointer
        if state not in CANDIDATE:
            move = next((move for move in reversed(pointer.history) if move.version == version), None)
            raise StoreError(f"{version} is {state}: {move.why if move and move.why else 'no reason was given'}")
        if clock() >= until:
            raise StoreError(f"{version} is {state} still, after {wait_s:g} s; routers decide, see `trunkshow history`")
        sleep(POLL_S)


def _move(options: MoveOptions, change: Callable[[Pointer, Who], Pointer]) -> Pointer:
    by = who(options.why)
    return open_store(options.store).move(lambda pointer: change(pointer, by))


def _in_words(pointer: Pointer, version: str) -> str:
    state = pointer.states[version]
    if state is State.REHEARSING:
        after = f"; then {pointer.canary_share:.3g} of the users get it" if pointer.canary_share else ""
        return f"rehearsed{after}; `trunkshow history` tells how that ends"
    if state is State.CANARY:
        return f"shown to {pointer.canary_share:.3g} of the users"
    return "served" if state is State.CURRENT else state.value


def as_json(pointer: Pointer) -> dict[str, Any]:
    """The pointer as plain values, without its history."""
    return {
        "serial": pointer.serial,
        "current": pointer.current,
        "previous": pointer.previous,
        "candidate": pointer.candidate,
        "canary_share": pointer.canary_share,
        "pinned": pointer.pinned,
        "states": dict(pointer.states),
    }


def _tell(options: MoveOptions, pointer: Pointer, line: str) -> None:
    if options.json:
        output.show_json(as_json(pointer))
    else:
        output.show_as_it_is(line)
