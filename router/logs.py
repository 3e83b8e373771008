"""The event log, those beside it, and who works on them, each made from a router's configuration as `assembly` does.

Logs connect by themselves, whenever that can be done; nothing is started here.
"""

from __future__ import annotations

from collections.abc import Callable

from router.admission.limiter import Limiter
from router.config import RouterConfig
from router.recording.admitting import Admitting
from router.recording.forgetter import Forgetter, Logs
from router.recording.recorder import Recorder
from router.served.arrivals import Arrivals
from router.served.keeper import Keeper
from trunkshow.eventlog.log import EventLog, ItemLog, LogUnavailable, Tombstones
from trunkshow.eventlog.opening import open_items, open_log, open_tombstones
from trunkshow.eventlog.settings import DAY_S, LogSettings
from trunkshow.eventlog.validation import Policy
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.forgotten_file import ForgottenFile
from trunkshow.serving.deadline import Clock


def log_of(config: RouterConfig) -> EventLog | None:
    """The event log to record in; None where there is none."""
    return open_log(config.log, _log_settings(config)) if config.log else None


def tombstones_of(config: RouterConfig) -> Tombstones | None:
    """Its tombstones; None where there is no log."""
    return open_tombstones(config.log, _log_settings(config)) if config.log else None


def items_of(config: RouterConfig) -> ItemLog | None:
    """Its new items; None where there is no log."""
    return open_items(config.log, _log_settings(config)) if config.log else None


def recorder_of(
    config: RouterConfig,
    event_log: EventLog | None,
    told: Callable[[Watermark | LogUnavailable], None],
    pages: Callable[[], int],
    clock: Clock,
) -> Recorder:
    """Who writes events.

    Args:
        config: of the process.
        event_log: to write them to; None where there is none.
        told: what came of every try.
        pages: how many were asked for until now; who records gives way to them.
        clock: monotonic.
    """
    return Recorder(
        event_log, Policy(config.log_days * DAY_S), admitting=Admitting(pages, clock), told=told, clock=clock
    )


def forgetter_of(
    config: RouterConfig, event_log: EventLog | None, tombstones: Tombstones | None, arrivals: Arrivals | None
) -> Forgetter:
    """Who forgets people."""
    logs = None
    if event_log is not None and tombstones is not None and arrivals is not None:
        logs = Logs(event_log, tombstones, arrivals.forgotten)
    return Forgetter(logs, config.log_days)


def arrivals_of(
    config: RouterConfig,
    event_log: EventLog,
    tombstones: EventLog | None,
    keeper: Keeper,
    limiter: Limiter,
    clock: Clock,
) -> Arrivals:
    """Who finds newcomers' homes, and hides who is to be forgotten."""
    file = ForgottenFile(config.cache) if config.cache is not None and tombstones is not None else None
    return Arrivals(keeper, event_log, tombstones, file=file, busy=lambda: limiter.in_flight > 0, clock=clock)


def _log_settings(config: RouterConfig) -> LogSettings:
    return LogSettings(
        age_s_max=config.log_days * DAY_S,
        bytes_max=round(config.log_gib_max * (1 << 30)),
        copies=config.log_copies,
        in_flight_bytes_max=round(config.record_mib_max * (1 << 20)),
    )
