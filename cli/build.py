"""`trunkshow build`: events in, a published snapshot out. The work is `builder.pipeline`'s."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from cyclopts import Parameter
from rich.console import RenderableType

from cli import output, render
from cli.moves import Share, share
from cli.output import UsageError
from cli.pictures import size
from cli.progress import progress
from trunkshow.snapshot.acceptance import VARIANCE
from trunkshow.snapshot.promotion import How, Publishing

if TYPE_CHECKING:
    from builder.pipeline import BuildReport

PARTITIONS_MAX = 64
FACTORS_MAX = 1024
"""A vector of 4 KiB for every user and item; more is a slip of the finger, and weeks of training."""

THREADS_MAX = 256
SEED_MAX = 2**31 - 1
"""What every library that draws takes."""


@Parameter(name="*")
@dataclass(frozen=True)
class BuildOptions:
    """What can be chosen of a build."""

    store: str
    """The snapshot store: a folder, made where it does not exist, or s3://BUCKET/PREFIX."""

    partitions: int = 0
    """How many partitions; 0 chooses by the number of users, at most 64."""

    factors: int = 64
    """Dimensions of a taste vector, 1 to 1,024."""

    seed: int = 0
    """Of everything that is drawn, 0 to 2,147,483,647."""

    threads: int = 1
    """For training. One gives the same bytes for the same input; more are faster, and differ in last bits."""

    publish: Literal["now", "rehearse", "push"] = "now"
    """What becomes of it: it is served at once, routers try it first and decide, or it waits for `promote`."""

    canary: Share = ""
    """Share of the users who get it first: 5% or 0.05."""

    variance: float = VARIANCE
    """By how much users, items and events may differ from what is served: 0.5 allows half, or one and a half times."""

    sign_key: Path | None = None
    """File of the private key to sign with, see `trunkshow keys`; it is not signed without."""

    json: bool = False
    """Print the report as JSON, and nothing else."""


def build(dataset: Path, /, *, options: BuildOptions) -> None:
    """Build a snapshot from a dataset file and publish it.

    Args:
        dataset: TOML file that maps the sources; docs/dataset.md says how it is written.
        options: what can be chosen.
    """
    signal.signal(signal.SIGTERM, _ended)
    report = run_build(dataset, options, quiet=options.json)
    if options.json:
        output.show_json(report.to_json())
    else:
        output.show(*summary(report.to_json(), options.store))


def run_build(dataset: Path, options: BuildOptions, *, quiet: bool) -> BuildReport:
    """Build, with progress on stderr unless it is to be quiet.

    Raises:
        UsageError: a number out of range, or an installation without the builder.
        BuildError: wrong input.
    """
    output.check_range("partitions", options.partitions, 0, PARTITIONS_MAX)
    output.check_range("factors", options.factors, 1, FACTORS_MAX)
    output.check_range("seed", options.seed, 0, SEED_MAX)
    output.check_range("threads", options.threads, 1, THREADS_MAX)
    output.check_range("variance", options.variance, 0, 1_000_000)
    publishing = Publishing(How(options.publish), share(options.canary), options.variance)
    if not dataset.is_file():
        raise UsageError(f"{dataset} is not there; give the path of a dataset file (TOML)")
    try:
        from builder import pipeline
    except ImportError as error:
        raise UsageError(f"the builder is not installed ({error.name}); install trunkshow[builder]") from error
    settings = pipeline.BuildSettings(
        options.partitions, options.factors, options.seed, options.threads, publishing, options.sign_key
    )
    with progress(quiet=quiet) as told:
        return pipeline.build(dataset, options.store, settings, told)


def _ended(number: int, _: FrameType | None) -> NoReturn:
    """End as at any error: what was built so far is cleared away.

    As the first process of a container, which Linux spares what it does not listen for, a build would otherwise go on
    until it is killed. What a model computes outside of Python, such as an epoch of its training, is waited for.
    """
    signal.signal(number, signal.SIG_DFL)
    raise SystemExit(128 + number)


_STATES = {
    "current": "published",
    "rehearsing": "pushed, and to be rehearsed,",
    "canary": "pushed, and shown to a few,",
}


def _read(ingest: Mapping[str, Any]) -> dict[str, Any]:
    """What was read, without the folders of the files."""
    return {**ingest, "files": [Path(file).name for file in ingest.get("files", ())]}


def summary(report: Mapping[str, Any], store: str | Path) -> Iterator[RenderableType]:
    """A build's report for a person."""
    yield f"{_STATES.get(report['state'], report['state'])} [bold]{report['version']}[/] in {store}"
    yield render.pairs({name: report[name] for name in ("events", "users", "items", "partitions")})
    yield render.titled("read", render.pairs(_read(report["ingest"])))
    yield render.titled("metrics on held-out events", render.metrics(report["metrics"]))
    yield render.titled("partitions", render.partitioning(report["counts"], report["partitioning"], report["index"]))
    yield render.titled("seconds", render.seconds(report["seconds"]))
    yield f"\npeak memory {size(report['peak_rss_bytes'])}"
