"""`trunkshow`: every command, and what becomes of wrong input.

Wrong input of any kind (a flag, a file, a dataset, a router that does not answer) ends with exit code 2 and one line
on stderr. Whatever else is raised is a bug, and keeps its traceback. Commands are named here and imported when they
run, so that `trunkshow --help` need not wait for faiss and polars.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import os
import sys
from collections.abc import Callable, Sequence

from cyclopts import App, CycloptsError, Group, Parameter, UnknownCommandError
from cyclopts.config import Env

from cli.imports import uncollected
from cli.output import UsageError

WRONG_INPUT = 2
INTERRUPTED = 130
OF_THE_BUILDER = {"polars", "scipy", "irspack"}
OUR_PACKAGES = {"trunkshow", "shard", "router", "builder", "cli"}

BUILDING, SERVING, ASKING = Group("Build", sort_key=1), Group("Serve", sort_key=2), Group("Ask", sort_key=3)
SNAPSHOTS = Group("Snapshots", sort_key=4)

COMMANDS = (
    ("build", "cli.build:build", "Build a snapshot from a dataset file and publish it.", BUILDING),
    (
        "export-events",
        "cli.export_events:export_events",
        "Write the event log as files that `build` reads.",
        BUILDING,
    ),
    (
        "feature-windows",
        "cli.feature_windows:feature_windows",
        "Count features of users and items from an export, as a table to train on.",
        BUILDING,
    ),
    ("inspect", "cli.inspect:inspect", "Show what a snapshot says of itself.", BUILDING),
    ("demo", "cli.demo:demo", "See all of it once, on simulated grocery shopping.", BUILDING),
    ("up", "cli.up:up", "Run a whole cluster on this machine until Ctrl-C.", SERVING),
    ("scale", "cli.up:scale", "Make the cluster of a running `up` larger or smaller.", SERVING),
    ("shard", "cli.serve:shard", "Run one shard.", SERVING),
    ("router", "cli.serve:router", "Run one router.", SERVING),
    (
        "chaos",
        "cli.chaos.command:chaos",
        "Break a local cluster while it is asked, and see what becomes of it.",
        SERVING,
    ),
    ("bench", "cli.bench.command:bench", "Measure how fast a running cluster answers, and with what.", ASKING),
    ("plan", "cli.plan.command:plan", "Say what a size needs: pods, memory, disk, from measured costs.", SERVING),
    ("make-key", "cli.keys:make_key", "Make an API key for routers to know a caller by.", SERVING),
    ("recommend", "cli.ask:recommend", "Ask for a user's slate.", ASKING),
    ("similar", "cli.ask:similar", "Ask for the items that go with one.", ASKING),
    ("features", "cli.features:features", "Show what users and items did lately, as numbers.", ASKING),
    ("trending", "cli.trending:trending", "Show what trends now.", ASKING),
    ("record", "cli.record:record", "Record what a shopper did, or a file of events.", ASKING),
    ("record-items", "cli.record_items:record_items", "Tell of new items, before any build.", ASKING),
    ("forget", "cli.forget:forget", "Forget a person.", ASKING),
    ("forgotten", "cli.forget:forgotten", "See where a person who was forgotten still is, and where not.", ASKING),
    ("explain-receipt", "cli.explain:explain_receipt", "Tell what an answer's receipt says, and what to do.", ASKING),
    ("status", "cli.ask:status", "Show the cluster as its router sees it.", ASKING),
    ("versions", "cli.snapshots:versions", "Show every version of a store, and what it is there for.", SNAPSHOTS),
    ("history", "cli.snapshots:history", "Show what was done to a store's versions, by whom, and why.", SNAPSHOTS),
    ("push", "cli.moves:push", "Copy a version from one store to another.", SNAPSHOTS),
    ("promote", "cli.moves:promote", "Have a pushed version rehearsed, shown to a few, or served.", SNAPSHOTS),
    (
        "rollback",
        "cli.moves:rollback",
        "Return to the version before; the current one is never served again.",
        SNAPSHOTS,
    ),
    ("refuse", "cli.moves:refuse", "Never serve a pushed version, or a candidate.", SNAPSHOTS),
    ("withdraw", "cli.moves:withdraw", "Take back the candidate; it may be promoted again later.", SNAPSHOTS),
    ("pin", "cli.moves:pin", "Keep the current version, whatever is built.", SNAPSHOTS),
    ("unpin", "cli.moves:unpin", "Let the current version change again.", SNAPSHOTS),
    ("gc", "cli.snapshots:gc", "Remove the files of versions that are never served again.", SNAPSHOTS),
    ("fallback", "cli.fallback:fallback", "Copy what routers begin with where the store is away.", SNAPSHOTS),
    ("keys", "cli.snapshots:keys", "Make a pair of keys to sign snapshots with, and to check them.", SNAPSHOTS),
)


def make_app() -> App:
    """The command line, with nothing imported but itself."""
    app = App(
        name="trunkshow",
        help="Recommendations that always show up.",
        version=_version,
        config=Env("TRUNKSHOW_"),
        default_parameter=Parameter(negative=""),
    )
    for name, path, help_line, group in COMMANDS:
        # Only the servers take lists as `--shards A B C`; elsewhere that would swallow what is positional.
        parameter = Parameter(negative="", consume_multiple=True if group is SERVING else None)
        app.command(path, name=name, help=help_line, group=group, default_parameter=parameter)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 for done, 2 for wrong input, 130 for Ctrl-C."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run a command; return its exit code."""
    # Before gRPC is imported: it tells every handshake that failed, as often as a stranger likes, in no form of ours.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    try:
        with uncollected():
            command = _parse(arguments)
        command()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has had enough of it; the interpreter must not flush into the void at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if not isinstance(error, _wrong_input()):
            raise
        return _refuse(str(error))
    return 0


def _parse(arguments: Sequence[str]) -> Callable[[], object]:
    """The command that the arguments mean, ready to run.

    Raises:
        UsageError: they mean none.
    """
    help_command = f"trunkshow {_known(arguments)}--help"
    try:
        command, bound, _ = make_app().parse_args(arguments, exit_on_error=False, print_error=False)
    except UnknownCommandError:
        named = difflib.get_close_matches(arguments[0], [name for name, *_ in COMMANDS], n=1)
        hint = f"did you mean {named[0]!r}?" if named else f"see `{help_command}`"
        raise UsageError(f"there is no command {arguments[0]!r}; {hint}") from None
    except (CycloptsError, ValueError) as error:  # ValueError: a configuration that refuses its own values
        raise UsageError(f"{error} (see `{help_command}`)") from None
    except ImportError as error:
        missing = error.__cause__ if isinstance(error.__cause__, ModuleNotFoundError) else None
        if missing is None or (missing.name or "").partition(".")[0] in OUR_PACKAGES:
            raise
        extra = "builder" if missing.name in OF_THE_BUILDER else "serving"
        raise UsageError(f"{missing.name} is not installed; install trunkshow[{extra}]") from None
    return lambda: command(*bound.args, **bound.kwargs)


def _wrong_input() -> tuple[type[Exception], ...]:
    """What is raised for the person in front of the terminal; everything else is a bug."""
    from builder.errors import BuildError
    from trunkshow.errors import TrunkshowError

    try:
        from trunkshow.serving.reloaded import FilesUnusable
        from trunkshow.snapshot.lifecycle import LifecycleError
        from trunkshow.snapshot.manifest import SnapshotRefused
        from trunkshow.snapshot.signature import KeyUnusable
        from trunkshow.snapshot.store import StoreError
    except ImportError as error:  # the client's installation has no snapshots
        return UsageError, BuildError, TrunkshowError, type(error)
    of_stores = (StoreError, SnapshotRefused, LifecycleError, KeyUnusable)
    return UsageError, BuildError, TrunkshowError, *of_stores, FilesUnusable


def _refuse(message: str) -> int:
    print(f"trunkshow: {' '.join(message.split())}", file=sys.stderr)
    return WRONG_INPUT


def _known(arguments: Sequence[str]) -> str:
    known = {name for name, *_ in COMMANDS}
    return f"{arguments[0]} " if arguments and arguments[0] in known else ""


def _version() -> str:
    try:
        return importlib.metadata.version("trunkshow")
    except importlib.metadata.PackageNotFoundError:
        return "not installed (running from a checkout)"


if __name__ == "__main__":
    main()
