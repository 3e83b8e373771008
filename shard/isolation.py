"""Plugged-in models, asked apart from the event loop: on threads of their own, for a limited time.

Rules:

1. Each model has a few threads. One that is slow or stuck takes none from the others, nor from the loop.
2. Whoever asks waits until a given time. An answer that is not there by then is late; nobody waits for it any more,
   and where it was still in the queue it is never asked for.
3. A thread cannot be killed. One whose answer is late is stuck until it returns, and counted; while all of a model's
   threads are stuck the model is late at once. It recovers with the first thread that returns.
4. A thread that has had nothing to do for a while ends: snapshots come and go, and their models' threads with them.
5. The queue is short. A model that has more waiting than its threads can begin soon is late at once.

What to ask, and what the answer is worth, is the caller's to know. docs/adr/0013-isolated-models.md says why threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from trunkshow.candidates import Late
from trunkshow.serving import metrics

Answer = TypeVar("Answer")

THREADS = 4
"""Of one model, started as they are needed."""

IDLE_S = 10.0
"""After which a thread ends."""

QUEUE_ITEMS_MAX = 64
"""Askings of one model that wait for a thread."""

LATE = metrics.counter("trunkshow_model_late_total", "Askings of plugged-in models that were late.", ("model",))
STUCK = metrics.gauge("trunkshow_model_threads_stuck", "Threads whose model's answer is late.", ("model",))


class Lane:
    """One model's threads.

    Args:
        model: its name, for metrics and the threads' names.
        threads: how many at most.
        idle_s: after which a thread without work ends.
    """

    def __init__(self, model: str, threads: int = THREADS, idle_s: float = IDLE_S) -> None:
        self._model = model
        self._threads = threads
        self._idle_s = idle_s
        self._started = 0
        self._busy = 0  # running, or waiting to
        self._stuck = 0
        self._lock = threading.Lock()
        self._queue: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._late = LATE.labels(model)
        self._counted = STUCK.labels(model)

    @property
    def stuck(self) -> int:
        """Threads whose answer nobody waits for any more."""
        return self._stuck

    @property
    def threads(self) -> int:
        """How many there are now."""
        return self._started

    async def ask(self, work: Callable[[], Answer], seconds: float) -> Answer:
        """The answer of `work`, called on one of the threads.

        Raises:
            Late: it was not there in time, or could not be.
            Exception: whatever `work` raises.
        """
        asked = self._submit(work)
        waiting = asyncio.wrap_future(asked)
        try:
            await asyncio.wait({waiting}, timeout=seconds)
            if waiting.done():
                return waiting.result()
        finally:  # also where the caller was cancelled
            self._give_up(asked)
            waiting.cancel()
        raise self._is_late(f"no answer within {seconds * 1000:.0f} ms")

    def ask_blocking(self, work: Callable[[], Answer], seconds: float) -> Answer:
        """As `ask`, for a caller that is a thread itself."""
        asked = self._submit(work)
        try:
            return asked.result(seconds)
        except TimeoutError:
            if asked.done():
                raise  # the model's own
            raise self._is_late(f"no answer within {seconds * 1000:.0f} ms") from None
        finally:
            self._give_up(asked)

    def _submit(self, work: Callable[[], Answer]) -> Future[Answer]:
        with self._lock:
            if self._stuck >= self._threads:
                raise self._is_late(f"all of its {self._threads} threads are stuck")
            if self._busy >= self._threads + QUEUE_ITEMS_MAX:
                raise self._is_late(f"{QUEUE_ITEMS_MAX} askings are waiting already")
            if self._started < min(self._busy + 1, self._threads):
                self._start()
            self._busy += 1
        asked: Future[Answer] = Future()
        self._queue.put((asked, work))
        return asked

    def _start(self) -> None:
        """One thread more, where the system gives one; those that there are do without."""
        try:
            threading.Thread(target=self._run, name=f"model-{self._model}-{self._started + 1}", daemon=True).start()
        except RuntimeError as error:
            if not self._started:
                raise self._is_late(f"no thread for it: {error}") from error
        else:
            self._started += 1

    def _is_late(self, why: str) -> Late:
        self._late.inc()
        return Late(f"{self._model}: {why}")

    def _give_up(self, asked: Future[Answer]) -> None:
        """Nobody waits any more: an answer that is still to come makes its thread a stuck one."""
        if asked.cancel() or asked.done():
            return
        with self._lock:
            self._stuck += 1
        self._counted.inc()
        asked.add_done_callback(self._returned)

    def _returned(self, asked: Future[Answer]) -> None:
        del asked
        with self._lock:
            self._stuck -= 1
        self._counted.dec()

    def _run(self) -> None:
        while True:
            try:
                asked, work = self._queue.get(timeout=self._idle_s)
            except Empty:
                with self._lock:
                    if self._busy:  # somebody asked just now, or another thread works
                        continue
                    self._started -= 1
                return
            if asked.set_running_or_notify_cancel():
                try:
                    asked.set_result(work())
                except BaseException as error:
                    asked.set_exception(error)
            with self._lock:
                self._busy -= 1
            del asked, work  # the files that the work had open
