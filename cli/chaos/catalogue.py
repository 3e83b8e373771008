"""All faults by name, and how each one's particulars are drawn from a seed: victims, delays, pauses.

Names are what `trunkshow chaos --fault` takes. A draw is a function of a source of randomness and the terrain alone, so
that a run can be planned before anything is started, and planned again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from types import MappingProxyType

from cli.chaos.caller_faults import CallersCutOff
from cli.chaos.faults import (
    Drained,
    Fault,
    Frozen,
    Killed,
    Promise,
    Resets,
    RestartedInTurn,
    Stuttering,
    Weathered,
)
from cli.chaos.flood import Flooded
from cli.chaos.ground import LOG
from cli.chaos.log_faults import AWAY, Burst, LogFilled, LogRestarted, LogWeathered
from cli.chaos.member_faults import MemberRemoved
from cli.chaos.proxy import CLEAR, HALF_OPEN, PARTED, Weather
from cli.chaos.store_faults import (
    BadPush,
    ClockStepped,
    DiskFull,
    PushKilled,
    RolledBack,
    StoreGone,
    StoreHangs,
    Swapped,
    TwoBuilders,
)
from cli.chaos.terrain import Terrain
from cli.chaos.versions import FLIPPED, FUTURE, GONE, MISSING, TRUNCATED

Draw = Callable[[random.Random, Terrain], Fault]

STEADY = "steady"
CLOCK_STEP = "clock-step"
"""Needs processes whose clock can be stepped: `Terrain.clock`."""

DEADLINE_S = 0.2


def _one(draw: random.Random, terrain: Terrain) -> str:
    return draw.choice(terrain.shard_names)


def _survivable(terrain: Terrain) -> bool:
    """Whether every partition has a holder left when one shard is gone."""
    return min(terrain.replicas, terrain.shards) > 1


def _steady(draw: random.Random, terrain: Terrain) -> Fault:
    del draw, terrain
    return Weathered(STEADY, CLEAR, promise=Promise(whole=True))


def _kill_one(draw: random.Random, terrain: Terrain) -> Fault:
    alive = _survivable(terrain)
    return Killed("kill-one", (_one(draw, terrain),), Promise(healthy=alive, whole=alive))


def _kill_several(draw: random.Random, terrain: Terrain) -> Fault:
    victims = draw.sample(terrain.shard_names, max(1, terrain.shards - 1))
    return Killed("kill-several", tuple(victims), Promise(healthy=False))


def _kill_all(draw: random.Random, terrain: Terrain) -> Fault:
    del draw
    return Killed("kill-all-shards", terrain.shard_names, Promise(healthy=False))


def _drain(draw: random.Random, terrain: Terrain) -> Fault:
    return Drained("drain", _one(draw, terrain), Promise(healthy=_survivable(terrain), whole=_survivable(terrain)))


def _freeze(draw: random.Random, terrain: Terrain) -> Fault:
    return Frozen("freeze", (_one(draw, terrain),), Promise(healthy=_survivable(terrain)))


def _member_removed(draw: random.Random, terrain: Terrain) -> Fault:
    return MemberRemoved("member-removed", _one(draw, terrain), Promise(healthy=_survivable(terrain)))


def _stutter(draw: random.Random, terrain: Terrain) -> Fault:
    still, moving = draw.uniform(1.5, 5) * DEADLINE_S, draw.uniform(0.2, 1.5)
    return Stuttering("stutter", _one(draw, terrain), still, moving, Promise(healthy=_survivable(terrain)))


def _slow(draw: random.Random, terrain: Terrain) -> Fault:
    least = draw.uniform(10, 250)
    weather = Weather(delay_ms=(least, draw.uniform(least, 500)))
    return Weathered("slow", weather, shards=(_one(draw, terrain),), promise=Promise(healthy=_survivable(terrain)))


def _slow_all(draw: random.Random, terrain: Terrain) -> Fault:
    del terrain
    least = draw.uniform(10, 250)
    return Weathered("slow-all", Weather(delay_ms=(least, draw.uniform(least, 500))), promise=Promise(healthy=False))


def _throttled(draw: random.Random, terrain: Terrain) -> Fault:
    weather = Weather(bytes_per_s=draw.uniform(2_000, 50_000))
    return Weathered("throttled", weather, shards=(_one(draw, terrain),), promise=Promise(healthy=_survivable(terrain)))


def _resets(draw: random.Random, terrain: Terrain) -> Fault:
    every = draw.uniform(0.05, 0.5)
    return Resets("resets", (_one(draw, terrain),), every, Promise(healthy=_survivable(terrain)))


def _partition(draw: random.Random, terrain: Terrain) -> Fault:
    shards = (_one(draw, terrain),)
    return Weathered("partition", PARTED, shards=shards, promise=Promise(healthy=_survivable(terrain)))


def _half_open(draw: random.Random, terrain: Terrain) -> Fault:
    shards = (_one(draw, terrain),)
    return Weathered("half-open", HALF_OPEN, shards=shards, promise=Promise(healthy=_survivable(terrain)))


def _router_cut_off(draw: random.Random, terrain: Terrain) -> Fault:
    routers = (draw.choice(terrain.router_names),)
    return Weathered("router-cut-off", PARTED, routers=routers, promise=Promise(healthy=False))


def _kill_router(draw: random.Random, terrain: Terrain) -> Fault:
    survivors = terrain.routers > 1
    victims = (draw.choice(terrain.router_names),)
    return Killed("kill-router", victims, Promise(answered=survivors, healthy=survivors, whole=survivors))


def _freeze_router(draw: random.Random, terrain: Terrain) -> Fault:
    survivors = terrain.routers > 1
    victims = (draw.choice(terrain.router_names),)
    return Frozen("freeze-router", victims, Promise(answered=survivors, healthy=survivors, whole=survivors))


def _callers_cut_off(draw: random.Random, terrain: Terrain) -> Fault:
    survivors = terrain.routers > 1
    router, weather = draw.choice(terrain.router_names), draw.choice((PARTED, HALF_OPEN))
    return CallersCutOff(
        "callers-cut-off", router, weather, Promise(answered=survivors, healthy=survivors, whole=survivors)
    )


def _restart_in_turn(draw: random.Random, terrain: Terrain) -> Fault:
    order = draw.sample(terrain.shard_names + terrain.router_names, terrain.shards + terrain.routers)
    survivable = _survivable(terrain) and terrain.routers > 1
    return RestartedInTurn("restart-in-turn", tuple(order), Promise(answered=terrain.routers > 1, healthy=survivable))


def _power_cut(draw: random.Random, terrain: Terrain) -> Fault:
    del draw
    return Killed("power-cut", terrain.shard_names + terrain.router_names, Promise(answered=False, healthy=False))


def _swap(draw: random.Random, terrain: Terrain) -> Fault:
    del terrain
    return Swapped("swap", 2, draw.uniform(2, 4))


def _rollback(draw: random.Random, terrain: Terrain) -> Fault:
    del draw, terrain
    return RolledBack("rollback")


def _bad(name: str, kind: str) -> Draw:
    def drawn(draw: random.Random, terrain: Terrain) -> Fault:
        del terrain
        return BadPush(name, kind, (draw.random(), draw.random()))

    return drawn


def _two_builders(draw: random.Random, terrain: Terrain) -> Fault:
    del draw, terrain
    return TwoBuilders("two-builders")


def _push_killed(draw: random.Random, terrain: Terrain) -> Fault:
    del terrain
    return PushKilled("push-killed", draw.uniform(0.2, 2))


def _store_gone(draw: random.Random, terrain: Terrain) -> Fault:
    victims = (_one(draw, terrain), draw.choice(terrain.router_names))
    survivable = _survivable(terrain) and terrain.routers > 1
    return StoreGone("store-gone", victims, Promise(answered=terrain.routers > 1, healthy=survivable))


def _store_hangs(draw: random.Random, terrain: Terrain) -> Fault:
    gone = _store_gone(draw, terrain)
    assert isinstance(gone, StoreGone)
    return StoreHangs("store-hangs", gone.victims, gone.promise)


def _disk_full(draw: random.Random, terrain: Terrain) -> Fault:
    return DiskFull("disk-full", _one(draw, terrain), promise=Promise(healthy=_survivable(terrain)))


def _disk_full_of_router(draw: random.Random, terrain: Terrain) -> Fault:
    survivors = terrain.routers > 1
    router = draw.choice(terrain.router_names)
    return DiskFull("disk-full-of-router", router, for_one=True, promise=Promise(answered=survivors, healthy=survivors))


def _clock_step(draw: random.Random, terrain: Terrain) -> Fault:
    del terrain
    return ClockStepped(CLOCK_STEP, draw.choice((-1, 1)) * draw.randint(60, 10 * 365 * 86_400))


def _overload(draw: random.Random, terrain: Terrain) -> Fault:
    del draw, terrain
    return Flooded("overload", 5.0)


def _log_killed(draw: random.Random, terrain: Terrain) -> Fault:
    del draw, terrain
    return Killed("log-killed", (LOG,), AWAY)


def _log_restarted(draw: random.Random, terrain: Terrain) -> Fault:
    del terrain
    return LogRestarted("log-restarted", draw.uniform(0.5, 3))


def _log_cut_off(draw: random.Random, terrain: Terrain) -> Fault:
    del draw, terrain
    return LogWeathered("log-cut-off", PARTED, AWAY)


def _log_slow(draw: random.Random, terrain: Terrain) -> Fault:
    del terrain
    least = draw.uniform(10, 150)
    return LogWeathered("log-slow", Weather(delay_ms=(least, draw.uniform(least, 300))))


def _log_frozen(draw: random.Random, terrain: Terrain) -> Fault:
    del draw, terrain
    return Frozen("log-frozen", (LOG,), AWAY)


def _burst(draw: random.Random, terrain: Terrain) -> Fault:
    del draw, terrain
    return Burst("burst", 10.0)


def _log_full(draw: random.Random, terrain: Terrain) -> Fault:
    del draw, terrain
    return LogFilled("log-full", 10.0)


FAULTS: Mapping[str, Draw] = MappingProxyType(
    {
        STEADY: _steady,
        "kill-one": _kill_one,
        "kill-several": _kill_several,
        "kill-all-shards": _kill_all,
        "drain": _drain,
        "freeze": _freeze,
        "member-removed": _member_removed,
        "stutter": _stutter,
        "slow": _slow,
        "slow-all": _slow_all,
        "throttled": _throttled,
        "resets": _resets,
        "partition": _partition,
        "half-open": _half_open,
        "router-cut-off": _router_cut_off,
        "kill-router": _kill_router,
        "freeze-router": _freeze_router,
        "callers-cut-off": _callers_cut_off,
        "restart-in-turn": _restart_in_turn,
        "power-cut": _power_cut,
        "swap": _swap,
        "rollback": _rollback,
        "two-builders": _two_builders,
        "push-killed": _push_killed,
        "bit-flipped": _bad("bit-flipped", FLIPPED),
        "truncated": _bad("truncated", TRUNCATED),
        "file-missing": _bad("file-missing", MISSING),
        "schema-of-the-future": _bad("schema-of-the-future", FUTURE),
        "version-not-there": _bad("version-not-there", GONE),
        "store-gone": _store_gone,
        "store-hangs": _store_hangs,
        "disk-full": _disk_full,
        "disk-full-of-router": _disk_full_of_router,
        CLOCK_STEP: _clock_step,
        "overload": _overload,
        "log-killed": _log_killed,
        "log-restarted": _log_restarted,
        "log-cut-off": _log_cut_off,
        "log-slow": _log_slow,
        "log-frozen": _log_frozen,
        "burst": _burst,
        "log-full": _log_full,
    }
)
"""Every fault, in the order of the report."""
