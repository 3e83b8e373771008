"""What an event of the log costs whoever reads it, in processor time: a shard, part by part, and a router.

Usage: python -m bench.hearing [--store .demo/store] [--events 20000] [--rounds 5] [--calls-per-record 1] [--acts]

One process, no network: records lie in memory as bytes, as a router packs them, and are heard by the parts that a
shard or a router puts together; events are those of `bench.fresh` (`bench.fresh_shop`), four fifths of which only say
what was shown; with --acts none does. The shard holds every partition of the store's snapshot. Subjects:

    record               a record decoded, and its place
    hearing              whose an event is, kept or not, what was shown
    ids                  known before or not, and forgotten or not
    features, trends     what each of these takes beside that
    shard                all of it, as a shard follows the log
    router               as a router follows the log for a snapshot
    router, two          for two, of which one is the other once more

One round more is heard first, and not counted; subjects take turns, round by round, and the median of the rounds
counts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, cast

from bench import fresh_shop, tables
from bench.fresh import shop_of
from bench.hearing_parts import NAME, Log, Nothing, Shard, keeper_of
from router.served.arrivals import Arrivals
from shard.online.statistics import Statistics
from trunkshow.eventlog.log import EventLog
from trunkshow.eventlog.packing import pack
from trunkshow.eventlog.reading import place_in
from trunkshow.online.positions import Position, position_of
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store
from trunkshow.v1 import events_pb2, log_pb2

EVENTS_PER_S = 2000.0
ACTS = round(fresh_shop.ACTS_MEAN)
IMPRESSION = events_pb2.INTERACTION_IMPRESSION
WITHIN_S = 600.0
LOOK_S = 0.3
"""After which a router has looked for views to read for."""

Records = Sequence[bytes]
Round = Callable[[int], Awaitable[float]]


class Bench:
    """Rounds of records, and what hears them.

    Args:
        snapshot: whose users act.
        rounds: of events.
        began_s: seconds since the epoch, when the first of them began.
        seconds: that a round takes.
    """

    def __init__(self, snapshot: Snapshot, rounds: Sequence[Records], began_s: float, seconds: float) -> None:
        self._snapshot, self._rounds = snapshot, rounds
        self._began_s, self._seconds, self._round = began_s, seconds, 0

    def wall(self) -> float:
        """The moment: the end of the round."""
        return self._began_s + (self._round + 1) * self._seconds

    async def measure(self) -> dict[str, list[float]]:
        """Seconds of each round, by subject; the first round is not among them."""
        async with asyncio.TaskGroup() as running:
            subjects = self._subjects(running)
            spent: dict[str, list[float]] = {name: [] for name in subjects}
            await asyncio.sleep(LOOK_S)
            for number in range(len(self._rounds)):
                self._round = number
                for name, hear in subjects.items():
                    spent[name].append(await hear(number))
            for task in self._tasks:
                task.cancel()
        return {name: of_rounds[1:] for name, of_rounds in spent.items()}

    def _subjects(self, running: asyncio.TaskGroup) -> dict[str, Round]:
        parts, log = Shard(self._snapshot, Log(), self.wall), Log()
        whole = Shard(self._snapshot, log, self.wall)
        one, two = Log(), Log()
        routers = [
            Arrivals(keeper_of(self._snapshot, versions), cast("EventLog", source), busy=bool)
            for versions, source in ((("one",), one), (("one", "two"), two))
        ]
        self._tasks = [running.create_task(whole.upkeep.follower.run(from_end=True))]
        self._tasks += [running.create_task(router.run()) for router in routers]
        counted = {
            name: parts.counting(listener, wall=self.wall)
            for name, listener in (("ids", Nothing()), ("features", parts.features), ("trends", parts.trends))
        }
        subjects: dict[str, Round] = {
            "record": self._decoded,
            "hearing": self._heard(parts.upkeep.hearing.hear),
            **{name: self._counted(one) for name, one in counted.items()},
            "shard": self._followed(log, lambda: [whole.upkeep.follower]),
            "router": self._followed(one, lambda: list(routers[0]._readers.values())),
            "router, two": self._followed(two, lambda: list(routers[1]._readers.values())),
        }
        return subjects

    async def _decoded(self, number: int) -> float:
        began = time.process_time()
        _read(self._rounds[number])
        return time.process_time() - began

    def _heard(self, hear: Callable[[events_pb2.Event, Position], None]) -> Round:
        async def heard(number: int) -> float:
            read = _read(self._rounds[number])
            began = time.process_time()
            for record, at in read:
                for event in record.events:
                    hear(event, at)
            return time.process_time() - began

        return heard

    def _counted(self, counting: Statistics) -> Round:
        async def counted(number: int) -> float:
            read = _read(self._rounds[number])
            began = time.process_time()
            for record, at in read:
                for _ in counting.follow(record, at, None):
                    pass
            return time.process_time() - began

        return counted

    def _followed(self, log: Log, followers: Callable[[], Sequence[Any]]) -> Round:
        async def followed(number: int) -> float:
            began = time.process_time()
            end = log.append(self._rounds[number])
            for one in followers():
                assert await one.reached(end, WITHIN_S)
            return time.process_time() - began

        return followed


def _read(records: Records) -> list[tuple[log_pb2.Record, Position]]:
    """As an adapter reads them, with their places."""
    place, read = place_in(NAME, None), []
    for number, data in enumerate(records, 1):
        before = place.mark
        place, one = place.took(0, number, data, 0)
        assert one is not None
        read.append((one.record, position_of(before, one.watermark)))
    return read


class Mix(NamedTuple):
    """What is recorded.

    Attributes:
        events: of a round.
        calls_per_record: more where the log is behind.
        acts: nothing but what users do.
    """

    events: int
    calls_per_record: int
    acts: bool

    @property
    def round_s(self) -> float:
        """Seconds in which a round happens."""
        return self.events / EVENTS_PER_S


def rounds_of(store: Path, rounds: int, mix: Mix, began_s: float) -> list[Records]:
    """Records of each round, one more than are counted."""
    shop = shop_of(store)
    return [_round(shop, number, mix, began_s + number * mix.round_s) for number in range(rounds + 1)]


def _round(shop: fresh_shop.Shop, number: int, mix: Mix, began_s: float) -> Records:
    count = mix.events * (fresh_shop.SHOWN + ACTS) // ACTS if mix.acts else mix.events
    made = [
        events_pb2.RecordEventsRequest.FromString(call.data).events
        for call in fresh_shop.calls(shop, count, began_s, mix.round_s, number)
    ]
    kept = ([one for one in call if not mix.acts or one.interaction != IMPRESSION] for call in made)
    calls = [call for call in kept if call]
    step = mix.calls_per_record
    groups = [list(chain.from_iterable(calls[at : at + step])) for at in range(0, len(calls), step)]
    return [one.data for group in groups for one in pack(group, group[-1].timestamp.ToMilliseconds() / 1000)]


def measure(store: Path, rounds: int, mix: Mix) -> dict[str, float]:
    """Microseconds of processor time per event, by subject."""
    snapshot = Snapshot.open(open_store(store))
    began_s = time.time() - 86_400
    made = rounds_of(store, rounds, mix, began_s)
    counts = [sum(len(log_pb2.Record.FromString(one).events) for one in records) for records in made[1:]]
    spent = asyncio.run(Bench(snapshot, made, began_s, mix.round_s).measure())
    found = {
        name: statistics.median(s / count * 1e6 for s, count in zip(of_rounds, counts, strict=True))
        for name, of_rounds in spent.items()
    }
    return {**found, **{name: found[name] - found["ids"] for name in ("features", "trends")}}


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, default=Path(".demo/store"))
    parser.add_argument("--events", type=int, default=20_000, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls-per-record", type=int, default=1, help="more where the log is behind")
    parser.add_argument("--acts", action="store_true", help="nothing but what users do")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    found = measure(chosen.store.resolve(), chosen.rounds, Mix(chosen.events, chosen.calls_per_record, chosen.acts))
    if chosen.json:
        json.dump(found, sys.stdout)
        print()
    else:
        tables.show(("subject", "µs per event"), [(name, round(us, 2)) for name, us in found.items()])


if __name__ == "__main__":
    main()
