"""The snapshot store in an object store that speaks S3.

    s3://BUCKET/PREFIX/POINTER.json             moved by conditional put: If-Match, or If-None-Match for the first
    s3://BUCKET/PREFIX/snapshots/VERSION/...    the manifest last

What may be asked twice is retried. The put of the pointer may not be, for the one that failed could have been made: it
carries a mark of its own instead, and is looked for. How patiently a bucket is asked, and where, is
`object_store_clients`' business; what its errors mean, `object_store_errors`'.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, PreconditionError

from trunkshow.snapshot import local_files, pointer_json
from trunkshow.snapshot.acceptance import accept
from trunkshow.snapshot.lifecycle import Pointer, Who
from trunkshow.snapshot.local_holds import Holds
from trunkshow.snapshot.manifest import FILE_NAME, File, Manifest, SnapshotRefused
from trunkshow.snapshot.object_store_clients import open_clients
from trunkshow.snapshot.object_store_errors import told
from trunkshow.snapshot.pointer_json import PointerUnreadable
from trunkshow.snapshot.signature import SIGNATURE_BYTES_MAX, SIGNATURE_NAME, Key
from trunkshow.snapshot.states import REMOVABLE
from trunkshow.snapshot.store import DiskFailed, NoSuchSnapshot, PointerLost, StoreError, StoreUnreachable

POINTER = "POINTER.json"
POINTER_BYTES_MAX = 16 * 2**20
MANIFEST_BYTES_MAX = 256 * 2**20
MOVES_MAX = 50
"""Tries of one move; each one that is lost is somebody else's that was won."""

TRANSFERS = 8
"""Files sent or fetched at a time."""


_SEE_HISTORY = "and others moved the pointer since, so see its history for this move"


class S3Store:
    """A store in a bucket.

    Args:
        url: `s3://BUCKET/PREFIX`.
        local: folder for fetched files; one in the user's cache folder where None.
        key: whose signature a manifest must carry; none is asked for where None.

    Raises:
        StoreError: the URL names no bucket, or the environment configures none.
    """

    def __init__(self, url: str, local: Path | None = None, key: Key | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
            raise StoreError(f"{url} names no store; write s3://BUCKET/PREFIX")
        self.url = url.rstrip("/")
        self._key = key
        self._local = local or _cache_folder(self.url)
        self._holds = Holds(self._local)
        try:
            self._clients = open_clients(parts.netloc, parts.path.strip("/"))
        except Exception as error:
            raise StoreError(f"{url} cannot be used: {error}") from error

    @property
    def reachable(self) -> bool:
        """Always: without an answer there is no pointer."""
        return True

    def pointer(self) -> Pointer:
        """What is served; an empty pointer where nothing was pushed yet."""
        return self._pointer()[0]

    def move(self, change: Callable[[Pointer], Pointer]) -> Pointer:
        """Replace the pointer by what `change` makes of it, unless somebody else did meanwhile; then try again."""
        sent: set[bytes] = set()
        given_up: str | None = None
        for _ in range(MOVES_MAX):
            found, tag = self._document()
            before = self._loaded(found)
            if found in sent:  # it was given up for lost, and made after all
                return before
            if given_up is not None and tag != given_up:
                raise StoreUnreachable(f"{self.url}: one move was not answered, {_SEE_HISTORY}")
            after = change(before)
            if after is before:
                return after
            data = _marked(after)
            sent.add(data)
            made = self._put(data, tag)
            if made:
                return after
            given_up = tag if made is None else given_up
        raise StoreUnreachable(f"{self.url}: {MOVES_MAX} others moved the pointer first; try again")

    def manifest(self, version: str) -> Manifest:
        """A version's manifest, if it is the one that was pushed."""
        try:
            with told(self.url):
                data = self._read(_key(version, FILE_NAME), MANIFEST_BYTES_MAX)[0]
        except FileNotFoundError:
            known = ", ".join(self.versions()) or "none"
            raise NoSuchSnapshot(f"{self.url} has no snapshot {version!r}; it has: {known}") from None
        return accept(data, version, self.pointer().manifests.get(version, ""), self._key, self._signature(version))

    def versions(self) -> list[str]:
        """Complete snapshots, oldest first."""
        return sorted(version for version in self._folders() if self._has(_key(version, FILE_NAME)))

    def ensure(self, version: str, files: Mapping[str, File]) -> Path:
        """The local folder of a version, once these files were fetched and checked; what is there is not fetched."""
        folder = self._local / version
        self._holds.hold(version)
        try:
            local_files.ensure(folder, files, lambda path, target: self.fetch(version, path, target))
        except OSError as error:
            raise DiskFailed(f"{self._local} does not take copies: {error.strerror or error}") from error
        return folder

    def forget(self, version: str) -> None:
        """Remove what was fetched of a version, unless another process that shares the folder needs it."""
        gone = self._holds.let_go(version, partial(local_files.set_aside, self._local / version))
        if gone is not None:
            shutil.rmtree(gone, ignore_errors=True)

    def fetch(self, version: str, path: str, target: Path) -> None:
        """Download one file of a version."""
        with target.open("wb") as opened:  # a folder that is gone here must not look like an object that is gone there
            try:
                with told(self.url):
                    for chunk in obstore.get(self._clients.large, _key(version, path)).stream(2**20):
                        opened.write(chunk)
            except FileNotFoundError:
                raise SnapshotRefused(f"{path} of {version} is not there") from None

    @contextmanager
    def building(self) -> Iterator[Path]:
        """A temporary folder to build in. The bucket is asked first: one that does not answer costs no training.

        Raises:
            PointerLost: it has snapshots and no pointer. The first builder writes one before it sends anything.
        """
        pointer, tag = self._pointer()
        if not tag:
            if self.versions():
                raise PointerLost(self.url)
            self._put(_marked(pointer), tag)
        try:
            with tempfile.TemporaryDirectory(prefix="trunkshow-build-") as folder:
                yield Path(folder)
        except OSError as error:
            why = error.strerror or str(error)
            raise StoreError(f"{tempfile.gettempdir()} cannot be written to: {why}; nothing was published") from error

    def push(self, built: Path, manifest: Manifest, who: Who) -> Pointer:
        """Upload every file, then the manifest, then let the pointer know."""
        version = manifest.version
        sealed = (built / FILE_NAME).read_bytes()
        checksum = hashlib.sha256(sealed).hexdigest()
        self.pointer().pushed(version, who, checksum)  # a name that is taken is refused before anything is sent
        names = [path.relative_to(built).as_posix() for path in sorted(built.rglob("*")) if path.is_file()]
        with told(self.url), ThreadPoolExecutor(TRANSFERS) as pool:
            others = [name for name in names if name != FILE_NAME]
            list(pool.map(lambda name: obstore.put(self._clients.large, _key(version, name), built / name), others))
        self._seal(version, sealed)
        return self.move(lambda pointer: pointer.pushed(version, who, checksum))

    def remove(self, version: str) -> None:
        """Remove a version's files, the manifest first, so that what a crash leaves is no snapshot any more."""
        state = self.pointer().states.get(version)
        if state not in REMOVABLE:
            raise StoreError(f"{version} is {state} in {self.url}; its files stay")
        with told(self.url):
            obstore.delete(self._clients.small, [_key(version, FILE_NAME)])
            for batch in obstore.list(self._clients.small, f"snapshots/{version}", chunk_size=500):
                obstore.delete(self._clients.small, [found["path"] for found in batch])

    def traces(self) -> dict[str, float]:
        """When the newest file of every version was written, whole or not, in seconds since the epoch."""
        newest: dict[str, float] = {}
        with told(self.url):
            for batch in obstore.list(self._clients.small, "snapshots", chunk_size=500):
                for found in batch:
                    version = found["path"].split("/")[1]
                    newest[version] = max(newest.get(version, 0.0), found["last_modified"].timestamp())
        return newest

    def _pointer(self) -> tuple[Pointer, str]:
        """The pointer, and the tag on whose condition it may be replaced; an empty tag where there is none."""
        found, tag = self._document()
        return self._loaded(found), tag

    def _document(self) -> tuple[bytes | None, str]:
        """The same, as it is written; None where there is none."""
        try:
            with told(self.url):
                return self._read(POINTER, POINTER_BYTES_MAX)
        except FileNotFoundError:
            return None, ""

    def _loaded(self, found: bytes | None) -> Pointer:
        try:
            return Pointer() if found is None else pointer_json.loads(found)
        except PointerUnreadable as error:
            raise StoreError(f"{self.url}: {error}") from error

    def _put(self, data: bytes, tag: str) -> bool | None:
        """Write the pointer on condition; whether it was written. None where it may be yet: nobody answered."""
        try:
            with told(self.url):
                obstore.put(
                    self._clients.once, POINTER, data, mode={"e_tag": tag} if tag else "create", use_multipart=False
                )
        except (AlreadyExistsError, PreconditionError):
            return False
        except StoreUnreachable as error:
            return self._was_put(data, tag, error)
        return True

    def _was_put(self, data: bytes, tag: str, error: StoreUnreachable) -> bool | None:
        """Whether a put that failed was made all the same; None where it was not, so far."""
        found, tag_now = self._document()
        if found == data:
            return True
        if tag_now == tag:
            return None
        raise StoreUnreachable(f"{error}; {_SEE_HISTORY}") from error

    def _read(self, path: str, bytes_max: int) -> tuple[bytes, str]:
        answer = obstore.get(self._clients.small, path)
        if answer.meta["size"] > bytes_max:
            raise StoreError(f"{self.url}: {path} has {answer.meta['size']} bytes, more than {bytes_max}")
        return bytes(answer.bytes()), answer.meta["e_tag"] or ""

    def _seal(self, version: str, sealed: bytes) -> None:
        """Write the manifest; one that is there already must be the same: a push that died may be made again."""
        try:
            with told(self.url):
                obstore.put(self._clients.small, _key(version, FILE_NAME), sealed, mode="create", use_multipart=False)
        except (AlreadyExistsError, PreconditionError):
            with told(self.url):
                found = self._read(_key(version, FILE_NAME), MANIFEST_BYTES_MAX)[0]
            if found != sealed:
                raise StoreError(f"{self.url} has another snapshot of the name {version}") from None

    def _signature(self, version: str) -> bytes:
        if self._key is None:
            return b""
        try:
            with told(self.url):
                return self._read(_key(version, SIGNATURE_NAME), SIGNATURE_BYTES_MAX)[0]
        except FileNotFoundError:
            return b""

    def _folders(self) -> list[str]:
        with told(self.url):
            found = obstore.list_with_delimiter(self._clients.small, "snapshots")
        return [prefix.split("/")[1] for prefix in found["common_prefixes"]]

    def _has(self, path: str) -> bool:
        try:
            with told(self.url):
                obstore.head(self._clients.small, path)
        except FileNotFoundError:
            return False
        return True


def _marked(pointer: Pointer) -> bytes:
    """As it is put: no other put is of these very bytes."""
    return pointer_json.dumps(pointer, mark=secrets.token_hex(8)).encode()


def _key(version: str, path: str) -> str:
    return f"snapshots/{version}/{path}"


def _cache_folder(url: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(base, "trunkshow", hashlib.sha256(url.encode()).hexdigest()[:16])
