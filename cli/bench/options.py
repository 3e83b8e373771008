"""What `trunkshow bench` is told, and what of it cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cli.access import NOTHING, Access
from cli.ask import DEFAULT_TARGET, Json, Store, Target
from cli.bench.judging import Wanted
from cli.output import Names, UsageError, check_range

CALLS_MAX = 10_000_000
"""Of one open loop: each latency is kept."""


@Parameter(name="*")
@dataclass(frozen=True)
class BenchOptions:
    """Whom to ask, for whom, and how much."""

    target: Target = DEFAULT_TARGET
    """Address of the router."""

    users: Path | None = None
    """Text file of users, one id a line; the first are asked for most often (Zipf's law). At most 5,000 are read."""

    store: Store = None
    """The snapshot store to take users from, spread over all partitions, where no file names them."""

    rate: float = 0.0
    """Requests a second in an open loop: each is sent when it is due, whatever is under way, and counts from then."""

    callers: int = 0
    """Instead: so many callers, each of whom asks again as soon as it was answered."""

    load: float = 0.5
    """With neither: first the peak is found by 16 callers, then this share of it is asked in an open loop."""

    seconds: float = 10.0
    """How long, after half a second that does not count: 0.1 to 3600."""

    carousels: Names = ("for-you", "because-you-liked")
    """Carousels of each slate, in order."""

    n: int = 10
    """Items per carousel, 1 to 100."""

    batch: int = 1
    """Users per call, 1 to 1000; more than one are asked for by RecommendBatch, and latencies are of whole calls."""

    connections: int = 1
    """Connections to share the calls, 1 to 64: several processes behind one port each need one."""

    seed: int = 0
    """Of whom is asked for, and when."""

    markdown: Path | None = None
    """Write the report as Markdown to this file too."""

    access: Annotated[Access, Parameter(name="*")] = NOTHING
    """What the router is shown."""

    json: Json = False
    """Print the report as JSON."""

    def check(self) -> None:
        """Refuse what makes no measurement.

        Raises:
            UsageError: naming the flag.
        """
        check_range("rate", self.rate, 0, 1e6)
        check_range("callers", self.callers, 0, 10_000)
        check_range("load", self.load, 0.01, 10)
        check_range("seconds", self.seconds, 0.1, 3600)
        check_range("n", self.n, 1, 100)
        check_range("batch", self.batch, 1, 1000)
        check_range("connections", self.connections, 1, 64)
        check_range("seed", self.seed, 0, 2**31)
        if self.markdown is not None and not self.markdown.parent.is_dir():
            raise UsageError(f"--markdown {self.markdown}: there is no folder {self.markdown.parent}")
        if self.rate and self.callers:
            raise UsageError("--rate and --callers exclude one another: a loop is open, or it is closed")
        if self.rate / self.batch * self.seconds > CALLS_MAX:
            raise UsageError(f"--rate and --seconds make more than {CALLS_MAX:,} calls; choose less of one")

    @property
    def wanted(self) -> Wanted:
        """Of each slate."""
        return Wanted(self.carousels, self.n, self.batch)

    def again(self) -> str:
        """The command that does the same again, without what lets the caller in."""
        users = {"users": self.users} if self.users is not None else {"store": self.store}
        how = {"rate": self.rate} if self.rate else {"callers": self.callers} if self.callers else {"load": self.load}
        what = {"seconds": self.seconds, "carousels": ",".join(self.carousels), "n": self.n}
        more = {"batch": self.batch, "connections": self.connections, "seed": self.seed}
        unusual = {name: value for name, value in more.items() if value != getattr(DEFAULTS, name)}
        said: dict[str, object] = {"target": self.target, **users, **how, **what, **unusual}
        told = (f"--{name} {f'{value:g}' if isinstance(value, float) else value}" for name, value in said.items())
        return f"trunkshow bench {' '.join(told)}"


DEFAULTS = BenchOptions()
