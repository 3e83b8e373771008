"""API keys: a file that names who holds one and what they may, and that is of no use to whoever reads it.

One key a line, `#` for comments:

    NAME ROLE[,ROLE…] SHA-256-of-the-key-in-hex

Keys are 256 random bits, so a plain hash is enough: there is nothing to guess. Two lines may have one name, while a key
is changed for another.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from trunkshow.serving.auth import CALLERS_ROLES, Principal, Role
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.serving.reloaded import Reloaded

PREFIX = "tsk_"
"""So that a key that lies where it should not is found by who looks for such things."""

KEYS_MAX = 10_000
_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the file."""

    digest: bytes
    principal: Principal


class ApiKeys:
    """Recognises API keys.

    Raises:
        ValueError: the file cannot be read.
    """

    def __init__(self, path: Path, clock: Clock = monotonic) -> None:
        self._file: Reloaded[tuple[Entry, ...]] = Reloaded([path], lambda found: read(found[0]), clock)

    @property
    def version(self) -> int:
        """Moves when the file changed."""
        self._file.fresh()
        return self._file.version

    def principal(self, credential: str, now: float) -> Principal | None:
        """Whose key it is; None where it is nobody's."""
        del now
        digest = sha256(credential.encode("utf-8", "surrogateescape")).digest()
        # All of them are compared, also after one was found: how long it takes says nothing.
        found = [entry.principal for entry in self._file.fresh() if hmac.compare_digest(entry.digest, digest)]
        return found[0] if found else None


def make(name: str, roles: Iterable[Role]) -> tuple[str, str]:
    """A new key, and its line for the file.

    Raises:
        ValueError: the name or the roles cannot stand there.
    """
    key = PREFIX + secrets.token_urlsafe(_DIGEST_BYTES)
    line = f"{name} {','.join(roles)} {sha256(key.encode()).hexdigest()}"
    _entry(line, 1)
    return key, line


def read(data: bytes) -> tuple[Entry, ...]:
    """The entries of a file.

    Raises:
        ValueError: naming the line at fault.
    """
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError:
        raise ValueError("the file of API keys is not text") from None
    stripped: Sequence[str] = [line.partition("#")[0].strip() for line in lines]
    entries = tuple(_entry(line, number) for number, line in enumerate(stripped, start=1) if line)
    if not 0 < len(entries) <= KEYS_MAX:
        raise ValueError(f"the file of API keys holds {len(entries)}; 1 to {KEYS_MAX} are allowed")
    return entries


def _entry(line: str, number: int) -> Entry:
    parts = line.split()
    if len(parts) != 3:
        raise ValueError(f"line {number}: write NAME ROLE[,ROLE] SHA256, such as `trunkshow make-key` prints")
    name, roles, digest = parts
    try:
        held = frozenset(Role(role) for role in roles.split(","))
        hashed = bytes.fromhex(digest)
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from None
    if not held <= CALLERS_ROLES or len(hashed) != _DIGEST_BYTES:
        raise ValueError(f"line {number}: roles are {', '.join(sorted(CALLERS_ROLES))}; the hash has 64 hex digits")
    return Entry(hashed, Principal(name, held))
