"""A router process, from configuration to exit: open what the store serves, follow it and the shards, serve, drain."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, cast

import structlog

from router.assembly import listener_of, log_of, opened
from router.config import RouterConfig
from router.served.pointing import proved
from router.served.views import View, Views, chosen, versions_of
from router.service import Router
from router.tracking.listener import listening
from trunkshow.serving import server, telemetry
from trunkshow.snapshot.cached_store import CachedStore
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.manifest import SnapshotRefused
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
    store = open_store(config.store, config.cache, config.verify_key)
    views = within(
        OPEN_WITHIN_S, lambda: first_views(answering(store, config.cache, config.verify_key), config.snapshot)
    )
    for view in views:
        log.info("snapshot.opened", snapshot=view.version, items=len(view.snapshot.catalogue))
    server.run(_serve(config, views, None if config.snapshot else store))


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
    views: dict[str, View] = {}
    failed: Exception | None = None
    for one in _needed(pointer):
        try:
            views[one] = proved(opened(store, one))
        except (StoreError, SnapshotRefused) as error:
            log.error("snapshot.refused", snapshot=one, error=str(error))
            failed = failed or error
    found = chosen(pointer, views, None)
    if found is None:
        raise failed or StoreError(f"{store.url} serves no snapshot")
    return found


def answering(store: Store, cache: Path | None, verify_key: Path | None = None) -> Store:
    """The store, or where it hangs, its copies alone.

    Args:
        store: to be asked.
        cache: folder of the copies; there are none where None.
        verify_key: file of the public key that copies must be signed with, too; unsigned ones are taken where None.

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
        return CachedStore(cast("Store", Gone(store.url)), cache, key)
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


async def _serve(config: RouterConfig, views: Views, store: Store | None) -> None:
    guard = config.callers.guard()
    router = Router(config, views, store, event_log=log_of(config))
    listener = listener_of(config, router.recorder)
    try:
        async with listening(listener, config.tracking.http_listen):
            await server.serve(
                router.services(),
                listen=config.listen,
                drain_s=config.drain_s,
                ready=router.start,
                draining=listener.stop if listener else server.at_once,
                options=config.server,
                guard=guard,
                tasks=router.tasks,
            )
    finally:
        await router.close()
