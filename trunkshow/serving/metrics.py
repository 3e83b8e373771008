"""Numbers for Prometheus: one registry per process, what every server counts, and how to add to it.

Whoever has something to count says so where it happens, in two lines:

    HEDGES = metrics.counter("trunkshow_hedges_total", "Second replicas asked, by outcome.", ("outcome",))
    HEDGES.labels("won").inc()

Metrics are made at import and live as long as the process. A labelled one is looked up once and kept where it is
counted on every request: `.inc()` takes 0.25 µs, `.labels(…)` before it 0.8 µs more. What is known anyway is not
counted but read when Prometheus asks: `gauge(…).set_function(lambda: len(queue))`, or `reading(…)`.

Labels are names of our own (methods, statuses, rungs, shards); never a user, an item, or anything else that a caller
chooses: each distinct value is a series for ever. `docs/metrics.md` lists them all; a test compares. How the
numbers get out is left to `trunkshow.serving.exporter`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric

# They double the series, and a restart shows without them.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)
"""Where latencies are told apart: closest around what a slate takes, and at its deadline of 0.2 s."""


def counter(name: str, explained: str, labels: Iterable[str] = ()) -> Counter:
    """A number that only goes up; its name ends in `_total`."""
    return Counter(name, explained, labels, registry=REGISTRY)


def gauge(name: str, explained: str, labels: Iterable[str] = ()) -> Gauge:
    """A number that goes up and down."""
    return Gauge(name, explained, labels, registry=REGISTRY)


def histogram(
    name: str, explained: str, labels: Iterable[str] = (), *, buckets: Sequence[float] = SECONDS
) -> Histogram:
    """A distribution, told apart at these bounds."""
    return Histogram(name, explained, labels, registry=REGISTRY, buckets=buckets)


class _Sources:
    """What is known elsewhere, read when Prometheus asks."""

    def __init__(self) -> None:
        self.by_name: dict[str, Callable[[], Iterable[Metric]]] = {}

    def collect(self) -> Iterator[Metric]:
        for read in self.by_name.values():
            yield from read()


_sources = _Sources()
REGISTRY.register(_sources)


def reading(name: str, read: Callable[[], Iterable[Metric]]) -> None:
    """Read metrics from a status that is kept anyway; on the event loop. A second one of this name takes its place."""
    _sources.by_name[name] = read


def text() -> bytes:
    """Everything in the text format. On the event loop, to which what is read belongs; under a millisecond."""
    return generate_latest(REGISTRY)


IN_FLIGHT = gauge("trunkshow_requests_in_flight", "Calls being answered now, but for endless streams.")
SERVING = gauge("trunkshow_serving", "1 while health says SERVING.")


class Meter:
    """What is counted of one method, on the event loop alone: every call pays for it, so that there is no lock.

    Attributes:
        codes: calls by the gRPC status that they ended with.
        within: calls by the first of `SECONDS` that they did not exceed; the last place is of those beyond all.
        seconds: that all calls took together.
    """

    __slots__ = ("codes", "seconds", "within")

    def __init__(self) -> None:
        self.codes: Counts[str] = Counts(OK=0)
        self.within = [0] * (len(SECONDS) + 1)
        self.seconds = 0.0

    def ended(self, code: str) -> None:
        """A call ended with this status."""
        self.codes[code] += 1

    def took(self, seconds: float) -> None:
        """A call took so long."""
        self.within[bisect_left(SECONDS, seconds)] += 1
        self.seconds += seconds


class _Meters:
    """The meters of all methods, as Prometheus reads them."""

    def __init__(self) -> None:
        self.by_method: dict[str, Meter] = {}

    def collect(self) -> Iterator[Metric]:
        explained = "Calls answered, by method and gRPC status."
        calls = CounterMetricFamily("trunkshow_requests", explained, labels=("method", "code"))
        explained = "From a call's arrival to its last byte, but for endless streams."
        took = HistogramMetricFamily("trunkshow_request_duration_seconds", explained, labels=("method",))
        for method, meter in self.by_method.items():
            for code, ended in meter.codes.items():
                calls.add_metric((method, code), ended)
            bounds = (*map(str, SECONDS), "+Inf")
            took.add_metric((method,), list(zip(bounds, accumulate(meter.within), strict=True)), meter.seconds)
        yield calls
        yield took


_meters = _Meters()
REGISTRY.register(_meters)


def meter(method: str) -> Meter:
    """The one meter of a method: of service and method, such as trunkshow.v1.ShardService/Predict."""
    return _meters.by_method.setdefault(method, Meter())
