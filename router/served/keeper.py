"""Holds the views that are served, and closes one once nobody can be looking at it any more.

    opened → served     it was chosen (`router.served.choosing`)
    served → outdated   others were chosen; requests that began before look at it to their end
    outdated → closed   the last of these requests ended, and the store's pointer does not name it

A request leases what is served when it begins, and sees that to its end, whatever the pointer does meanwhile. All of
this happens on the event loop.

What was closed goes once nobody refers to it. Requests that failed leave circles, which keep its files mapped until a
collector comes by: that looks through everything, and holds up whoever is asking, so it is called only where something
that was closed is still there after `HELD_S`.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Collection
from types import TracebackType

import structlog

from router.served.moving import Moves
from router.served.views import View, Views
from trunkshow.serving.deadline import Clock, monotonic

HELD_S = 5.0

log = structlog.get_logger()


class Lease:
    """What is served during some time, and how many requests look at it.

    Used as a context manager: it gives the `Views`, which stay open until the block is left.

    Attributes:
        views: served.
        users: requests that look at it.
    """

    __slots__ = ("_left", "users", "views")

    def __init__(self, views: Views, left: Callable[[], None]) -> None:
        self.views = views
        self.users = 0
        self._left = left

    def __enter__(self) -> Views:
        self.users += 1
        return self.views

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.users -= 1
        if not self.users:
            self._left()


class Keeper:
    """Holds what is served.

    Args:
        first: views to begin with; this closes them.
        closed: told of every version that was closed while others are served.
        clock: a port: monotonic seconds.

    Attributes:
        opened: views by version, served or on their way to be.
        arriving: told of a view that was opened, before it may be served.
    """

    def __init__(
        self, first: Views, closed: Callable[[str], None] = lambda version: None, clock: Clock = monotonic
    ) -> None:
        self.opened: dict[str, View] = {view.version: view for view in first}
        self._named: frozenset[str] = frozenset(self.opened)
        self._current = Lease(first, self._left)
        self._outdated: list[Lease] = []
        self.arriving: Callable[[View], None] = lambda view: None
        self._closed = closed
        self._clock = clock
        self._gone: list[tuple[weakref.ref[View], float]] = []

    @property
    def now(self) -> Views:
        """What is served. To look at it across an `await`, lease it."""
        return self._current.views

    def lease(self) -> Lease:
        """What is served, to be entered with `with`."""
        return self._current

    def arrived(self, view: View) -> None:
        """A view was opened; one of a version that is open already, tried twice as it took long, is closed again."""
        if self.opened.setdefault(view.version, view) is not view:
            view.snapshot.close()
            return
        self.arriving(view)

    def adopt(self, views: Views, named: Collection[str]) -> None:
        """Serve these from now on.

        Args:
            views: whose snapshots are open here.
            named: versions that are to stay open, although they may not be served.
        """
        self._named = frozenset(named)
        if views is not self._current.views:
            self._outdated.append(self._current)
            self._current = Lease(views, self._left)
        self._sweep()

    def moved_on(self, moves: Moves) -> None:
        """Traffic has moved on."""
        self.adopt(self.now.moved_on(moves), self._named)

    def tidy(self) -> None:
        """Have circles looked for, where one keeps what was closed a while ago; to be called now and then."""
        now = self._clock()
        self._gone = [(view, at) for view, at in self._gone if view() is not None]
        if any(now - at >= HELD_S for _, at in self._gone):
            gc.collect()
            self._gone.clear()

    def close(self) -> None:
        """Close everything; nobody asks any more."""
        for view in self.opened.values():
            view.snapshot.close()
        self.opened.clear()

    def _left(self) -> None:
        if self._outdated:
            self._sweep()

    def _sweep(self) -> None:
        self._outdated = [lease for lease in self._outdated if lease.users]
        looked_at = {view.version for lease in (self._current, *self._outdated) for view in lease.views}
        closed = [one for one in self.opened if one not in looked_at and one not in self._named]
        for version in closed:
            view = self.opened.pop(version)
            view.snapshot.close()
            self._gone.append((weakref.ref(view), self._clock()))
            log.info("snapshot.closed", snapshot=version)
            self._closed(version)
