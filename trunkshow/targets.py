"""How many routers a client's target names: as many as it lists, or as its name has addresses.

gRPC resolves the same name for itself, and does not tell what it found.
"""

from __future__ import annotations

import math
import socket
import threading
from collections import Counter
from collections.abc import Callable
from time import monotonic

LOOK_EVERY_S = 30.0
"""Between two looks at a name, and only when somebody asks."""

Resolve = Callable[[str], int]


class Routers:
    """Those of a target. Asked often; a name is looked up apart, and until then it is taken for one router.

    Args:
        target: as gRPC takes it.
        resolve: tells how many addresses a host has; may take its time, and may raise OSError.
        clock: monotonic.
        apart: does something elsewhere, so that nobody waits for it.
    """

    def __init__(
        self,
        target: str,
        resolve: Resolve | None = None,
        clock: Callable[[], float] = monotonic,
        apart: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self._host = host_of(target)
        self._count = listed(target)
        self._resolve = resolve or addresses_of
        self._clock = clock
        self._apart = apart or in_a_thread
        self._due = clock() if self._host else math.inf
        self._looking = threading.Lock()

    def count(self) -> int:
        """How many there are, as far as is known."""
        if self._clock() >= self._due and self._looking.acquire(blocking=False):
            try:
                self._apart(self._look)
            except RuntimeError:  # the system gives no thread: nobody's call is to fail for it
                self._looked()
        return self._count

    def _look(self) -> None:
        try:
            self._count = self._resolve(self._host)
        except (OSError, UnicodeError):  # the name's server may be away; what was known still holds
            pass
        finally:
            self._looked()

    def _looked(self) -> None:
        self._due = self._clock() + LOOK_EVERY_S
        self._looking.release()


def in_a_thread(work: Callable[[], None]) -> None:
    """Do it in a thread that nobody waits for."""
    threading.Thread(target=work, name="routers", daemon=True).start()


def listed(target: str) -> int:
    """How many addresses are written in a target; 1 for a name, and for what is no address of a host."""
    scheme, _, rest = target.partition(":")
    return len({one for one in rest.split(",") if one}) if scheme in {"ipv4", "ipv6"} else 1


def host_of(target: str) -> str:
    """The name to look up: that of `dns:///HOST:PORT`, `dns:HOST:PORT` and `HOST:PORT`; empty where there is none."""
    rest = target.removeprefix("dns:")
    if rest == target and target.partition(":")[0] in {"ipv4", "ipv6", "unix", "unix-abstract", "vsock", "xds"}:
        return ""
    if rest.startswith("//"):
        rest = rest[2:].partition("/")[2]
    if rest.startswith("["):
        return rest[1:].partition("]")[0]
    return rest.partition(":")[0] if rest.count(":") <= 1 else rest


def addresses_of(host: str) -> int:
    """How many addresses a host has, of the family of which it has more: one with two families is one router.

    Raises:
        OSError: it cannot be told.
    """
    found = {(family, where[0]) for family, _, _, _, where in socket.getaddrinfo(host, None)}
    return max(Counter(family for family, _ in found).values())
