"""A bucket that misbehaves as told: as much of S3 as a pointer needs, in a thread, with faults by script."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ScriptedBucket:
    """Objects by path, and what happens to the next requests.

    Attributes:
        faults: taken one per request, in order; the last one stays: a status, `hang`, `drop`, `lose` (the request is
            done, its answer is not given), or empty for an answer.
        requests: how many came.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.faults: list[str] = []
        self.requests = 0
        self.ended = threading.Event()

    def fault(self) -> str:
        """What happens to this request."""
        self.requests += 1
        return self.faults.pop(0) if len(self.faults) > 1 else "".join(self.faults)

    def put(self, path: str, data: bytes, if_match: str | None, if_none_match: str | None) -> int:
        """Store on condition; the status."""
        there = self.objects.get(path)
        if (if_none_match and there is not None) or (if_match and (there is None or tag(there) != if_match)):
            return 412
        self.objects[path] = data
        return 200


def tag(data: bytes) -> str:
    """An object's tag."""
    return f'"{hashlib.md5(data).hexdigest()}"'


class Handler(BaseHTTPRequestHandler):
    """The bucket's door."""

    bucket: ScriptedBucket
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        fault = self.bucket.fault()
        if self.misbehaves(fault):
            return
        data = self.bucket.objects.get(self.path)
        if data is None:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self.answer(200, data, ETag=tag(data), **{"Last-Modified": "Wed, 21 Oct 2026 07:28:00 GMT"})

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        fault = self.bucket.fault()
        if fault != "lose" and self.misbehaves(fault):
            return
        status = self.bucket.put(self.path, data, self.headers["If-Match"], self.headers["If-None-Match"])
        if fault == "lose":
            self.close_connection = True
        else:
            self.answer(status, b"", ETag=tag(data))

    def misbehaves(self, fault: str) -> bool:
        if fault == "hang":
            self.bucket.ended.wait(20)
        if fault in {"hang", "drop"}:
            self.close_connection = True
        elif fault.isdigit():
            self.answer(int(fault), b"<Error><Code>Scripted</Code></Error>")
        return bool(fault)

    def answer(self, status: int, data: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def scripted_bucket() -> Iterator[tuple[ScriptedBucket, str]]:
    """A bucket, and the endpoint it is at."""
    bucket = ScriptedBucket()

    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Door", (Handler,), {"bucket": bucket}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield bucket, f"http://127.0.0.1:{server.server_port}"
    finally:
        bucket.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
