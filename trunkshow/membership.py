"""Which shards there are: read from a list, a file or the DNS, again and again. Nobody decides it; it is looked up.

    static:A:1,B:2    these addresses, for ever
    file:PATH         one HOST:PORT a line; # begins a comment
    dns:NAME:PORT     every address (A, AAAA) of a name, such as that of a headless service
    srv:NAME          every target of a service record (SRV), each with its port: names that survive a restart

Rules:

1. An answer is taken whole or not at all: a file with one bad line, or a name of which only half was resolved, is no
   membership.
2. An empty answer, or none in time, changes nothing: the last good one holds. It is logged once, and once more when
   there is an answer again.
3. An answer that nobody foresaw ends nothing: it is logged, and looked up again.
4. Names are in normal form (`trunkshow.member_names`), however they were spelt.
5. Reading never blocks the event loop, and never hangs: neither a dead file system nor a silent name server does.

What becomes of a change is the business of those who follow it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Never, Protocol

import structlog

from trunkshow.member_names import address, normal
from trunkshow.offload import Offload
from trunkshow.serving.rounds import Sleep, rounds

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver

WITHIN_S = 3.0
"""An answer that takes longer is none."""

MEMBERS_MAX = 4096
FILE_BYTES_MAX = 1 << 20

Members = tuple[str, ...]

log = structlog.get_logger()


class MembersUnknown(Exception):
    """There is no membership to be had now; the message says why, in one line."""


class Source(Protocol):
    """Where a membership is looked up."""

    async def read(self) -> Members:
        """The addresses, HOST:PORT each, none twice.

        Raises:
            MembersUnknown: they cannot be told.
        """
        ...


@dataclass(frozen=True)
class StaticMembers:
    """A list that never changes."""

    members: Members

    async def read(self) -> Members:
        """The list, in normal form."""
        return tuple(map(normal, self.members))


@dataclass(frozen=True)
class FileMembers:
    """A file of addresses, read anew every time."""

    path: Path
    _offload: Offload[str] = field(default_factory=lambda: Offload("members file"), repr=False, compare=False)

    async def read(self) -> Members:
        """What stands in the file."""
        try:
            text = await self._offload.run(self._text, WITHIN_S)
            return parse_lines(text)
        except (OSError, ValueError) as error:  # Stuck is an OSError, and so is a file that is gone
            raise MembersUnknown(f"{self.path}: {error}") from error

    def _text(self) -> str:
        with self.path.open("rb") as opened:
            data = opened.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise ValueError(f"more than {FILE_BYTES_MAX} bytes")
        return data.decode()


@dataclass(frozen=True)
class DnsMembers:
    """The addresses of a name, all with the same port."""

    name: str
    port: int
    resolver: Resolver = field(repr=False, compare=False)

    async def read(self) -> Members:
        """Every A and AAAA record."""
        # One after the other: where one of both is not answered there is no membership, and no need to ask on.
        found = [await _resolve(self.resolver, self.name, kind) for kind in ("A", "AAAA")]
        hosts = [*found[0], *(f"[{host}]" for host in found[1])]
        return tuple(sorted(address(f"{host}:{self.port}") for host in set(hosts)))


@dataclass(frozen=True)
class SrvMembers:
    """The targets of a service record."""

    name: str
    resolver: Resolver = field(repr=False, compare=False)

    async def read(self) -> Members:
        """Every SRV record, as TARGET:PORT."""
        records = [text.split() for text in await _resolve(self.resolver, self.name, "SRV")]
        return tuple(sorted({normal(f"{target}:{port}") for _, _, port, target in records}))


def source(spec: str, resolver: Resolver | None = None) -> Source:
    """Where the membership is looked up.

    Args:
        spec: as above.
        resolver: of names; the system's where not given.

    Raises:
        ValueError: no such kind, or what it names is no address.
    """
    kind, _, what = spec.partition(":")
    if kind == "static" and what:
        return StaticMembers(_checked(what.split(",")))
    if kind == "file" and what:
        return FileMembers(Path(what))
    if kind == "srv" and what:
        return SrvMembers(what, resolver or _system_resolver())
    if kind == "dns" and what:
        name, _, port = address(what).rpartition(":")
        return DnsMembers(name, int(port), resolver or _system_resolver())
    raise ValueError(f"members: {spec!r}; write static:HOST:PORT,…, file:PATH, dns:NAME:PORT or srv:NAME")


def parse_lines(text: str) -> Members:
    """The addresses of a members file.

    Raises:
        ValueError: a line that is none, or too many.
    """
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return _checked(line for line in lines if line)


class Membership:
    """The newest good answer.

    Attributes:
        members: addresses, none twice; empty until there was an answer.

    Args:
        source: to be asked.
        within_s: an answer that takes longer is none.
    """

    def __init__(self, source: Source, *, within_s: float = WITHIN_S) -> None:
        self.members: Members = ()
        self._source = source
        self._within_s = within_s
        self._unknown = ""

    async def poll(self) -> bool:
        """Look once; whether the membership is another one than before."""
        try:
            async with asyncio.timeout(self._within_s):
                found = await self._source.read()
            why = "" if found else "the answer is empty"
        except TimeoutError:
            found, why = (), f"no answer within {self._within_s:g} s"
        except MembersUnknown as error:
            found, why = (), str(error)
        self._tell(why)
        if why or found == self.members:
            return False
        joined, left = set(found) - set(self.members), set(self.members) - set(found)
        log.info("members.changed", members=len(found), joined=sorted(joined), left=sorted(left))
        self.members = found
        return True

    async def follow(
        self, changed: Callable[[Members], None], *, period_s: float = 1.0, sleep: Sleep = asyncio.sleep
    ) -> Never:
        """Look again and again, and tell of every change, until cancelled."""
        told: Members = ()

        async def look() -> None:
            nonlocal told
            await self.poll()
            if self.members != told:
                changed(self.members)
                told = self.members

        await rounds(look, period_s, failed="members.failed", sleep=sleep)

    def _tell(self, why: str) -> None:
        # Not each time with the reason of that time: a flapping one would fill the log.
        if why and not self._unknown:
            log.error("members.unknown", error=why, keeping=len(self.members))
        elif self._unknown and not why:
            log.info("members.known", members=len(self.members))
        self._unknown = why


def _checked(texts: Iterable[str]) -> Members:
    members = tuple(dict.fromkeys(address(text) for text in texts))
    if len(members) > MEMBERS_MAX:
        raise ValueError(f"{len(members)} members; at most {MEMBERS_MAX} are allowed")
    return members


async def _resolve(resolver: Resolver, name: str, kind: str) -> list[str]:
    """The records of a name as text; none where the name has none of this kind."""
    from dns.exception import DNSException

    try:
        answer = await resolver.resolve(name, kind, raise_on_no_answer=False, lifetime=WITHIN_S, search=True)
    except (DNSException, OSError) as error:
        raise MembersUnknown(f"{kind} of {name}: {str(error) or type(error).__name__}") from error
    return [record.to_text() for record in answer.rrset or ()]


def _system_resolver() -> Resolver:
    # Imported by those who look names up: it takes its time, and most clusters have a list or a file.
    from dns.asyncresolver import Resolver
    from dns.exception import DNSException

    try:
        return Resolver()
    except (DNSException, OSError) as error:
        raise ValueError(f"members: this machine names no name server ({error})") from error
