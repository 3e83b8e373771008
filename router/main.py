"""A router process, from configuration to exit: open what the store serves, follow it and the shards, serve, drain."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TypeVar, cast

import structlog

from router.assembly import listener_of, opened
from router.config import RouterConfig
from router.logs import items_of, log_of, tombstones_of
from router.served.choosing import chosen, versions_of
from router.served.proving import proved
from router.served.views import View, Views
from router.service import Router
from router.tracking.listener import Listener
from trunkshow.offload import Offload, Stuck, aside
from trunkshow.serving import life, telemetry
from trunkshow.serving.methods import Service
from trunkshow.serving.tasks import Tasks
from trunkshow.snapshot.cached_store import CachedStore
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.signature import load_key
from trunkshow.snapshot.store import Store, StoreError, StoreUnreachable, open_store, resolve

ANSWER_WITHIN_S = 10.0
"""A store that says nothing for so long hangs; a start goes on without it where there is a cache."""

OPEN_WITHIN_S = 600.0
"""A start that has nothing to serve after so long ends."""

T = TypeVar("T")

log = structlog.get_logger()


def run(config: RouterConfig) -> None:
    """Serve until SIGTERM or SIGINT; blocking.

    Raises:
        StoreError: the store serves no snapshot, or does not answer and there is no copy of one.
        SnapshotRefused: what it serves fails a check.
    """
    telemetry.configure(config.log_level, user_ids=config.server.log_user_ids, role="router")
    if config.process:
        structlog.contextvars.bind_contextvars(process=str(config.process))
    store = open_store(config.store, config.cache, config.verify_key, config.fallback)
    life.run(_serve(config, store))


def first_views(store: Store, version: str) -> Views:
    """What is served at the start: the version named, or what the pointer names, as far as it can be opened.

    Raises:
        StoreError: nothing is served, or the store does not answer.
        SnapshotRefused: none of what it serves can be.
    """
    if version:
        return Views.of(proved(opened(store, version)))
    pointer = store.pointer()
    resolve(store)
    views, failed = _opened_in_time(store, pointer)
    found = chosen(pointer, views, None)
    if found is None:
        raise failed or StoreError(f"{store.url} serves no snapshot")
    return found


def _opened_in_time(store: Store, pointer: Pointer) -> tuple[dict[str, View], Exception | None]:
    """What the pointer names, as far as it opens, and what was wrong with the first of the others.

    Each version is opened on a thread of its own: one whose files hang, or come over a slow line, keeps nobody waiting
    for longer than `ANSWER_WITHIN_S` once another one can be served, such as one that lies in the cache. Whoever
    follows the pointer then opens it again.
    """
    arrived: SimpleQueue[tuple[str, View | Exception]] = SimpleQueue()
    over = threading.Event()
    needed = _needed(pointer)
    for version in needed:
        aside(f"opening {version}", partial(_bring, store, version, arrived, over))
    views: dict[str, View] = {}
    failures: list[Exception] = []
    until = monotonic() + ANSWER_WITHIN_S
    while len(views) + len(failures) < len(needed):
        enough = chosen(pointer, views, None) is not None
        try:
            version, came = arrived.get(timeout=max(0.0, until - monotonic()) if enough else None)
        except Empty:
            log.warning("snapshot.not_waited_for", snapshots=[one for one in needed if one not in views])
            break
        if isinstance(came, View):
            views[version] = came
        else:
            log.error("snapshot.refused", snapshot=version, error=str(came))
            failures.append(came)
    over.set()
    return views, failures[0] if failures else None


def _bring(
    store: Store, version: str, arrived: SimpleQueue[tuple[str, View | Exception]], over: threading.Event
) -> None:
    """Open one version; one that comes too late is closed again."""
    try:
        view = proved(opened(store, version))
    except Exception as error:  # told where it is waited for
        arrived.put((version, error))
        return
    if over.is_set():
        view.snapshot.close()
    else:
        arrived.put((version, view))


def answering(store: Store, cache: Path | None, verify_key: Path | None = None, fallback: Path | None = None) -> Store:
    """The store, or where it hangs, its copies alone.

    Args:
        store: to be asked.
        cache: folder of the copies; there are none where None.
        verify_key: file of the public key that copies must be signed with, too; unsigned ones are taken where None.
        fallback: folder that an empty cache is filled from.

    Raises:
        KeyUnusable: the file holds no such key.
        StoreUnreachable: it hangs, and there are none.
    """
    try:
        within(ANSWER_WITHIN_S, lambda: _asked(store))
    except StoreUnreachable:
        if cache is None:
            raise
        key = None if verify_key is None else load_key(verify_key)
        return CachedStore(cast("Store", Gone(store.url)), cache, key, fallback)
    return store


def _asked(store: Store) -> None:
    """Wait for an answer, whatever it is."""
    with suppress(StoreError):
        store.pointer()


class Gone:
    """A store that is not asked any more."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __getattr__(self, name: str) -> Callable[..., object]:
        def unreachable(*arguments: object) -> object:
            raise StoreUnreachable(f"{self.url} does not answer")

        return unreachable


def _needed(pointer: Pointer) -> tuple[str, ...]:
    """A candidate can wait until somebody is served."""
    return tuple(one for one in versions_of(pointer) if one != pointer.candidate)


def within(seconds: float, work: Callable[[], T]) -> T:
    """What the work returns or raises; a store that hangs must not hang the start.

    Raises:
        StoreUnreachable: it did neither in time.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def run_it() -> None:
        try:
            done.append(work())
        except BaseException as error:  # raised again below
            failed.append(error)

    thread = threading.Thread(target=run_it, name="opening", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise StoreUnreachable(f"the store has given nothing for {seconds:g} s")
    return done[0]


async def _serve(config: RouterConfig, store: Store) -> None:
    guard = config.callers.guard()
    shared = config.process > 0
    tasks = Tasks()
    made: list[Router] = []
    listeners: list[Listener] = []

    def first() -> Views:
        return first_views(answering(store, config.cache, config.verify_key, config.fallback), config.snapshot)

    async def services() -> Sequence[Service]:
        try:
            views = await Offload[Views]("opening").run(first, OPEN_WITHIN_S)
        except Stuck as error:
            raise StoreUnreachable(f"the store has given nothing for {OPEN_WITHIN_S:g} s") from error
        for view in views:
            log.info("snapshot.opened", snapshot=view.version, items=len(view.snapshot.catalogue))
        own_store = None if config.snapshot else store
        event_log, tombstones, items = log_of(config), tombstones_of(config), items_of(config)
        made.append(
            Router(config, views, own_store, event_log=event_log, tasks=tasks, tombstones=tombstones, item_log=items)
        )
        await made[0].informed()  # the door is closed until then
        if (listener := listener_of(config, made[0].recorder)) is not None:
            await listener.start(config.tracking.http_listen, shared=shared)
            listeners.append(listener)
            tasks.begin("tracking", listener.watched())
        return made[0].services()

    async def ready() -> None:
        await made[0].start()

    async def draining() -> None:
        for listener in listeners:
            await listener.stop()

    try:
        await life.serve(
            services,
            listen=config.listen,
            drain_s=config.drain_s,
            ready=ready,
            draining=draining,
            options=config.server,
            guard=guard,
            tasks=tasks,
            shared=shared,
        )
    finally:
        await draining()
        for router in made:
            await router.close()
