"""What many tests look at and none changes: one small shop, and the snapshot that was built from it."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # before gRPC is imported: it tells every connection that ended
# Before numpy is: as many test processes run as there are processors, and servers solve on one thread as well.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import datasets
import pytest
import structlog
from datasets import Built
from hypothesis import settings

from builder.pipeline import BuildSettings, build
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store

# On a busy machine a test that waits for its turn is not a slow one.
settings.register_profile("busy", deadline=None)
settings.load_profile("busy")

SETTINGS = BuildSettings(partitions=4, factors=16)

# Where nobody sets logging up, structlog draws tracebacks with rich: a fifth of a second for each, in a picture that
# pytest shows of a failed test alone.
PLAIN = [
    structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    if isinstance(one, structlog.dev.ConsoleRenderer)
    else one
    for one in structlog.get_config()["processors"]
]
structlog.configure(processors=PLAIN)


def pytest_collection_finish() -> None:
    """Five thousand tests stay to the end: nobody need look for garbage among them at every full collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def logging_for_this_test_alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command that runs in this process sets logging up for good, and loggers that speak meanwhile keep to it."""
    configure = structlog.configure
    monkeypatch.setattr(structlog, "configure", lambda **how: configure(**how | {"cache_logger_on_first_use": False}))
    yield
    if structlog.get_config()["processors"] is not PLAIN:
        structlog.reset_defaults()
        configure(processors=PLAIN)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The clustered shop, built once. Look, but do not touch."""
    folder = tmp_path_factory.mktemp("built")
    shop = datasets.clustered()
    dataset = datasets.write(shop, folder / "data")
    told: list[tuple[str, int, int]] = []
    report = build(dataset, folder / "store", SETTINGS, lambda *what: told.append(what))
    return Built(shop, dataset, folder / "store", report, tuple(told))


@pytest.fixture(scope="session")
def snapshot(built: Built) -> Iterator[Snapshot]:
    """The built snapshot, opened. Look, but do not touch."""
    opened = Snapshot.open(open_store(built.store))
    yield opened
    opened.close()
