"""`trunkshow build`: events in, a published snapshot out. The work is `builder.pipeline`'s."""

from __future__ import annotations

import re
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
    from builder.crew.choice import CrewSettings
    from builder.pipeline import BuildReport

PARTITIONS_MAX = 4096
FACTORS_MAX = 1024
"""A vector of 4 KiB for every user and item; more is a slip of the finger, and weeks of training."""

NEIGHBOUR_SHARE_MAX = 0.9
"""Beyond, the candidates would be the factor model's, and hardly anything of their order."""

THREADS_MAX = 256
WORKER_BYTES_MIN = 256 << 20
"""An idle worker that has imported what it needs was seen to take 170 MB."""

SEED_MAX = 2**31 - 1
"""What every library that draws takes."""


@Parameter(name="*")
@dataclass(frozen=True)
class BuildOptions:
    """What can be chosen of a build."""

    store: str
    """The snapshot store: a folder, made where it does not exist, or s3://BUCKET/PREFIX."""

    partitions: int = 0
    """How many partitions, at most 4,096; 0 chooses by the number of users: up to 64, more where each had 50,000."""

    factors: int = 64
    """Dimensions of a taste vector, 1 to 1,024."""

    neighbour_share: float = 0.0
    """Of item neighbours in the score of for-you, 0 to 0.9; 0 leaves them out. docs/adr/0032 has the figures."""

    seed: int = 0
    """Of everything that is drawn, 0 to 2,147,483,647."""

    scheduler: str = ""
    """Of Dask workers that run already: tls://HOST:PORT or tcp://HOST:PORT. Certificates are Dask's configuration."""

    workers: int | None = None
    """Worker processes to start on this machine, at most 256; 0 for none. The size of the data decides if left out."""

    worker_memory: str = ""
    """Of each of them, such as 2GiB: one that needs more is ended, and its tasks done again. Half of the machine's
    memory is divided where left out."""

    shared: Path | None = None
    """A folder that this process and the workers of a scheduler see; the store itself will do where it is a folder."""

    threads: int = 1
    """For training. One gives the same bytes for the same input; more are faster, and differ in last bits."""

    publish: Literal["now", "rehearse", "push"] = "now"
    """What becomes of it: it is served at once, routers try it first and decide, or it waits for `promote`."""

    canary: Share = ""
    """Share of the users who get it first: 5% or 0.05."""

    variance: float = VARIANCE
    """By how much users, items and events may differ from what is served: 0.5 allows half, or one and a half times."""

    train_by_blocks: bool | None = None
    """Divide training among the workers as well. Left out, a scheduler's do it where there is much to train."""

    warm_start: Literal["no", "yes", "compare"] = "no"
    """Start training from the factors of the snapshot that is served, with fewer sweeps; `compare` evaluates a cold
    start as well, to say what that did to time and metrics."""

    evaluate: Literal["auto", "holdout-fit", "held-back"] = "auto"
    """How the model is measured: by a second fit that knows nothing after the cut, or within the one fit, from all but
    whose last sweeps the events that are asked about are held back. `auto` is the latter from two million events on."""

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
    output.check_range("neighbour-share", options.neighbour_share, 0, NEIGHBOUR_SHARE_MAX)
    output.check_range("seed", options.seed, 0, SEED_MAX)
    output.check_range("threads", options.threads, 1, THREADS_MAX)
    output.check_range("variance", options.variance, 0, 1_000_000)
    publishing = Publishing(How(options.publish), share(options.canary), options.variance)
    if not dataset.is_file():
        raise UsageError(f"{dataset} is not there; give the path of a dataset file (TOML)")
    try:
        from builder import pipeline
        from builder.evaluating import Protocol
        from builder.warm_start import WarmStart
    except ImportError as error:
        raise UsageError(f"the builder is not installed ({error.name}); install trunkshow[builder]") from error
    settings = pipeline.BuildSettings(
        options.partitions,
        options.factors,
        options.seed,
        options.threads,
        publishing,
        options.sign_key,
        _crew(options),
        WarmStart(options.warm_start),
        options.neighbour_share,
        Protocol(options.evaluate),
    )
    with progress(quiet=quiet) as told:
        return pipeline.build(dataset, options.store, settings, told, (lambda line: None) if quiet else output.remark)


def _crew(options: BuildOptions) -> CrewSettings:
    from builder.crew.choice import WORKERS_MAX, CrewSettings

    if options.workers is not None:
        output.check_range("workers", options.workers, 0, WORKERS_MAX)
    if options.scheduler and options.workers is not None:
        raise UsageError("--scheduler has workers of its own; leave out --workers")
    if options.scheduler and not options.scheduler.startswith(("tls://", "tcp://")):
        raise UsageError(f"{options.scheduler} is no address of a scheduler; give tls://HOST:PORT or tcp://HOST:PORT")
    return CrewSettings(
        options.scheduler, options.workers, _bytes(options.worker_memory), options.shared, options.train_by_blocks
    )


def _bytes(text: str) -> int:
    """A number of bytes in words: 500MB, 2GiB; 0 for none."""
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?) ?([kMGT]?i?)B?", text.strip())
    if found is None and text:
        raise UsageError(f"{text} is no size of a memory; write it as 500MB or 2GiB")
    if found is None:
        return 0
    number, unit = found.groups()
    scale = (1024 if unit.endswith("i") else 1000) ** ("kMGT".find(unit[:1]) + 1 if unit else 0)
    size = int(float(number) * scale)
    if size < WORKER_BYTES_MIN:
        raise UsageError(
            f"a worker with {text} of memory cannot even start; give it {WORKER_BYTES_MIN >> 20}MiB or more"
        )
    return size


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
    yield render.measured(report["metrics"])
    if warm := report["metrics"].get("warm_start"):
        yield render.titled("warm start", render.pairs(_flat(warm)))
    yield render.titled("partitions", render.partitioning(report["counts"], report["partitioning"], report["index"]))
    yield render.titled("seconds", render.seconds(report["seconds"]))
    yield f"\npeak memory {size(report['peak_rss_bytes'])}{_helped(report['crew'])}"


def _flat(said: Mapping[str, Any]) -> dict[str, Any]:
    """Values within values as one line each."""
    return {
        name: ", ".join(f"{key} {one:.4f}" for key, one in value.items()) if isinstance(value, Mapping) else value
        for name, value in said.items()
    }


def _helped(crew: Mapping[str, int]) -> str:
    if not crew["workers"]:
        return ""
    return f"; of the largest of {crew['workers']} workers {size(crew['peak_rss_bytes'])}"
