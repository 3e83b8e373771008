"""The aims, what was measured of each, and whether it is kept.

Aims are ratios within one run, so that a busy or a slow machine says as much as another. What this run did not measure
is said to be so; other programs' JSON can be handed in for their aims (`python -m bench --peers FILE …`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench import tables
from bench.subjects import ECHO, FORWARDER, ROUTER, SHARD

Results = Mapping[str, Any]
"""What the programs gave, by name: ladder, recall, memory, opening, peers, build, served. Others may be missing."""

GIB = 2**30


@dataclass(frozen=True)
class Aim:
    """One aim.

    Attributes:
        what: is measured.
        bound: to be kept.
        at_least: whether the bound is the least that will do, and not the most.
        of: the program whose result has it.
        read: takes it from that result; None where it is not in there, or failed.
    """

    what: str
    bound: float
    at_least: bool
    of: str
    read: Callable[[Any], float | None]


@dataclass(frozen=True)
class Judged:
    """An aim, and what was measured.

    Attributes:
        aim: which.
        measured: None where it was not.
    """

    aim: Aim
    measured: float | None

    @property
    def kept(self) -> bool | None:
        """Whether it is; None where nobody knows."""
        if self.measured is None:
            return None
        return self.measured >= self.aim.bound if self.aim.at_least else self.measured <= self.aim.bound

    @property
    def words(self) -> str:
        """The same in words."""
        return {True: "kept", False: "**not kept**", None: "not measured in this run"}[self.kept]


def judge(results: Results) -> list[Judged]:
    """Every aim, in order."""
    return [Judged(aim, aim.read(results[aim.of]) if aim.of in results else None) for aim in AIMS]


def markdown(judged: Sequence[Judged]) -> str:
    """A table for people."""
    return tables.text(
        ("what", "aim", "measured", "", "by"),
        [
            (
                one.aim.what,
                f"{'≥' if one.aim.at_least else '≤'} {one.aim.bound:g}",
                "" if one.measured is None else f"{one.measured:.4g}",
                one.words,
                _PROGRAMS[one.aim.of],
            )
            for one in judged
        ],
    )


_PROGRAMS = {
    "ladder": "`bench.ladder`",
    "recall": "`bench.recall`",
    "memory": "`bench.memory`",
    "opening": "`bench.opening`",
    "peers": "`bench.peers`",
    "build": "`bench.build`",
    "served": "`bench.served`",
}


def _ratio(top: str, bottom: str) -> Callable[[Any], float | None]:
    return lambda result: _number(result["ratios"][f"{top} ÷ {bottom}"]["median"])


def _p99(subject: str) -> Callable[[Any], float | None]:
    def read(result: Any) -> float | None:
        row = next(one for one in result["half_load"] if one["subject"] == subject)
        return _number(row["ratio"]["median"])

    return read


def _beside(peer: str, *, batch: bool = False) -> Callable[[Any], float | None]:
    """Ours ÷ a peer: of the numbers of callers the one with which ours does worst."""

    def read(result: Any) -> float | None:
        rows = result["subjects"].get(peer, {}).get("rows", ())
        found = [row["ours_to_it"]["median"] for row in rows if bool(row["batch"]) is batch and row["ours_to_it"]]
        return min(found, default=None)

    return read


def _served(measure: str) -> Callable[[Any], float | None]:
    """Of the blend with the best recall."""

    def read(rows: Any) -> float | None:
        return _number(max(rows, key=lambda row: float(row["recall@20"]))[measure]) if rows else None

    return read


def _value(*keys: str) -> Callable[[Any], float | None]:
    return lambda result: _number(functools.reduce(lambda found, key: found[key], keys, result))


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


AIMS: tuple[Aim, ...] = (
    Aim("shard ÷ bare echo, requests per second", 0.6, True, "ladder", _ratio(SHARD, ECHO)),
    Aim("router + shard ÷ bare forwarder + echo, requests per second", 0.7, True, "ladder", _ratio(ROUTER, FORWARDER)),
    Aim("router + shard ÷ bare forwarder + echo, p99 at half load of each", 1.5, False, "ladder", _p99(ROUTER)),
    Aim("shard ÷ Milvus, requests per second at equal recall", 2, True, "peers", _beside("milvus")),
    Aim("shard ÷ KServe, the same", 2, True, "peers", _beside("kserve")),
    Aim("router + shard ÷ Jina Flow, the same", 3, True, "peers", _beside("jina")),
    Aim("shard ÷ pgvector, the same", 1.2, True, "peers", _beside("pgvector")),
    Aim("shard ÷ Redis Stack, the same, a user a call", 0.4, True, "peers", _beside("redis")),
    Aim("shard ÷ Redis Stack, 50 users a call, per user", 1, True, "peers", _beside("redis", batch=True)),
    Aim("recall@20 of the whole path against exact search", 0.99, True, "recall", _value("recall")),
    Aim("bytes per user beyond the history, resident", 400, False, "memory", _value("bytes_per_user")),
    Aim("build ÷ the training library's own time", 1.3, False, "build", _value("by_one_fit")),
    Aim("the build's peak, GiB", 6, False, "build", lambda one: one["peak_pss_bytes"] / GIB),
    Aim("seconds to open a generation of 50k users", 1, False, "opening", _value("open_s", "median")),
    Aim("p99 of the others meanwhile ÷ before", 1.5, False, "opening", _value("ratio", "median")),
    Aim("recall@20 on Gowalla, as served", 0.187, True, "served", _served("recall@20")),
    Aim("NDCG@20 on Gowalla, as served", 0.158, True, "served", _served("ndcg@20")),
)
