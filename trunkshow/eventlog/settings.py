"""How much of the event log is kept, and how much may be on its way to it."""

from __future__ import annotations

from dataclasses import dataclass

from trunkshow.eventlog.watermark import LANES_MAX

DAY_S = 86_400.0


@dataclass(frozen=True)
class LogSettings:
    """Limits of a log. Retention is laid down when the log is made; one that exists keeps its own.

    Attributes:
        age_s_max: seconds that a record is kept.
        bytes_max: bytes that are kept. A log that is full before its records are old enough takes no more: it refuses
            rather than forgets.
        copies: servers that keep each record, where there are several.
        lanes: of a topic, where it is made here; a log on NATS has one.
        in_flight_max: appends under way at a time; one more is refused at once.
        in_flight_bytes_max: bytes under way at a time.
        connect_s_max: seconds for one try to connect.
        sheds: whether a log on Kafka, which cannot refuse, removes its oldest records when it is full; else it grows.
        makes: whether a log that is not there is made; who only reads leaves that to those who know its limits.
    """

    age_s_max: float = 30 * DAY_S
    bytes_max: int = 8 << 30
    copies: int = 1
    lanes: int = 16
    in_flight_max: int = 1024
    in_flight_bytes_max: int = 64 << 20
    connect_s_max: float = 2.0
    sheds: bool = True
    makes: bool = True

    def __post_init__(self) -> None:
        for name in ("age_s_max", "bytes_max", "copies", "lanes", "in_flight_max", "in_flight_bytes_max"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: {getattr(self, name)}; more than 0 is needed")
        if self.lanes > LANES_MAX:
            raise ValueError(f"lanes: {self.lanes}; at most {LANES_MAX} are allowed")


READ_ONLY = LogSettings(makes=False)
