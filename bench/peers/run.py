"""What is measured in which order: repeats, in each of them everybody in turn, one peer up at a time.

A peer that cannot be installed, started or asked is left out of the rest of the run, with why; the others go on.
How far a peer is turned up is found in the first repeat, and what it recalls is looked at again in every other.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.peers import install, registry, remote
from bench.peers.ratios import Case, Sample
from bench.peers.sweep import RECALL

REPEATS = 3
CALLERS = (1, 8, 32)
BATCH = 50
BATCH_CALLERS = (1, 8)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """Of a run.

    Attributes:
        work: folder of environments, data, and what peers keep.
        only: names of peers; all where empty. Ours are always measured.
        repeats: of everything.
        seconds: of one measurement.
        recall: that all are turned to.
    """

    work: Path
    only: tuple[str, ...] = ()
    repeats: int = REPEATS
    seconds: float = 1.2
    recall: float = RECALL

    @property
    def subjects(self) -> list[registry.Subject]:
        """Who is measured."""
        return [*registry.OURS, *(peer for peer in registry.PEERS if not self.only or peer.name in self.only)]


@dataclass
class Measured:
    """What a run came to, as far as it got.

    Attributes:
        samples: of every measurement.
        swept: by name: knob, name, recall, and what was tried.
        recalls: by name, one per repeat.
        failed: by name, why it is not measured.
        starts_s: by name, of the last start.
    """

    samples: list[Sample] = field(default_factory=list)
    swept: dict[str, dict[str, Any]] = field(default_factory=dict)
    recalls: dict[str, list[float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    starts_s: dict[str, float] = field(default_factory=dict)


def run(settings: Settings, say: Say) -> Measured:
    """Measure everybody in repeats; the order goes round, so that nobody is always first."""
    measured = Measured()
    for repeat in range(settings.repeats):
        for subject in turned(settings.subjects, repeat):
            if subject.name not in measured.failed:
                with _spared(measured, subject, say):
                    _measure(measured, subject, settings, repeat, say)
    return measured


def prepare(settings: Settings, say: Say) -> Measured:
    """Have everybody load what it keeps, and turn it; measure nothing."""
    measured = Measured()
    for subject in settings.subjects:
        with _spared(measured, subject, say), _started(measured, subject, settings) as host:
            _turn(host, measured, subject, settings, say)
    return measured


def turned(subjects: Sequence[registry.Subject], repeat: int) -> list[registry.Subject]:
    """The order of a repeat."""
    at = repeat * max(1, len(subjects) // REPEATS) % len(subjects)
    return [*subjects[at:], *subjects[:at]]


@contextlib.contextmanager
def _spared(measured: Measured, subject: registry.Subject, say: Say) -> Iterator[None]:
    try:
        yield
    except (install.NotInstalled, remote.Failed) as error:
        measured.failed[subject.name] = str(error)
        say(f"{subject.name}: NOT measured: {error}")


def _measure(measured: Measured, subject: registry.Subject, settings: Settings, repeat: int, say: Say) -> None:
    with _started(measured, subject, settings) as host:
        _turn(host, measured, subject, settings, say)
        for case in cases(subject):
            came = host.do("measure", callers=case.callers, seconds=settings.seconds, batch=case.batch)
            measured.samples.append(Sample(subject.name, case, repeat, **came))
            per_call = f" of {case.batch}" if case.batch else ""
            rate = f"{came['rps']:8,.0f}/s, p99 {came['p99_ms']:7.2f} ms, {came['wrong']} wrong"
            say(f"{repeat + 1}/{settings.repeats} {subject.name:11} {case.callers:2} in flight{per_call}: {rate}")


def _turn(host: remote.Remote, measured: Measured, subject: registry.Subject, settings: Settings, say: Say) -> None:
    """Turn it as far as was found before, or find that."""
    name, known = subject.name, measured.swept.get(subject.name)
    if known is None:
        known = measured.swept[name] = host.do("sweep", aim=settings.recall)
        turned_by = f"{known['name']} = {known['knob']}, " if known["knob"] is not None else ""
        say(f"{name}: up in {measured.starts_s[name]:.1f} s, {turned_by}recall {known['recall']:.4f}")
    measured.recalls.setdefault(name, []).append(host.do("turn", knob=known["knob"])["recall"])


def cases(subject: registry.Subject) -> list[Case]:
    """What is asked of it."""
    singles = [Case(callers, 0) for callers in CALLERS]
    in_batches = [Case(callers, BATCH) for callers in BATCH_CALLERS]
    return singles + (in_batches if subject.beside_batch or not subject.beside else [])


@contextlib.contextmanager
def _started(measured: Measured, subject: registry.Subject, settings: Settings) -> Iterator[remote.Remote]:
    work = settings.work.absolute()
    python = install.python_of(work, subject.environment)
    state, log = work / "state" / subject.name, work / "log" / f"{subject.name}.log"
    with remote.hosted(python, subject.module, work / "data", state, log) as host:
        began = time.monotonic()
        host.do("start")
        measured.starts_s[subject.name] = time.monotonic() - began
        yield host
