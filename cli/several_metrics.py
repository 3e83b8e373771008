"""The numbers of several processes as those of one: every sample of each, with a label that says whose it is.

Nothing is summed here: whoever asks Prometheus does that, and knows how; what a process counted goes back to nothing
when it is started again, which only its own series may do. A process that does not answer is left out, and
`trunkshow_router_processes` says how many serve.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

from trunkshow.serving import metrics

WITHIN_S = 2.0
TEXT_BYTES_MAX = 16 << 20
PARENT = "parent"
LABEL = "process"

_REQUEST = b"GET /metrics HTTP/1.1\r\n\r\n"


async def scraped(sockets: Mapping[str, Path]) -> bytes:
    """The numbers of this process, and of those that answer at their sockets, by name."""
    texts = await asyncio.gather(*(_text(path) for path in sockets.values()))
    return merged({PARENT: metrics.text(), **dict(zip(sockets, texts, strict=True))})


def merged(texts: Mapping[str, bytes]) -> bytes:
    """Texts of several processes, by name, as one: a metric's samples together, as the format demands."""
    explained: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for name, text in texts.items():
        known = set(explained)
        for metric, line in _lines(text.decode()):
            if not line.startswith("#"):
                samples.setdefault(metric, []).append(_labelled(line, name))
            elif metric not in known:
                explained.setdefault(metric, []).append(line)
    found = (line for metric in explained for line in (*explained[metric], *samples.get(metric, ())))
    return "".join(f"{line}\n" for line in found).encode()


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Every line, and the metric that it is of: the one that was explained last."""
    metric = ""
    for line in text.splitlines():
        if line.startswith(("# HELP ", "# TYPE ")):
            metric = line.split(" ", 3)[2]
        if line:
            yield metric, line


def _labelled(line: str, name: str) -> str:
    """A sample with one label more; the first brace or blank ends its name."""
    at = next((at for at, letter in enumerate(line) if letter in "{ "), len(line))
    if line[at : at + 1] != "{":
        return f'{line[:at]}{{{LABEL}="{name}"}}{line[at:]}'
    between = "" if line[at + 1] == "}" else ","
    return f'{line[:at]}{{{LABEL}="{name}"{between}{line[at + 1 :]}'


async def _text(path: Path) -> bytes:
    """What a process answers; nothing where it does not."""
    try:
        async with asyncio.timeout(WITHIN_S):
            reader, writer = await asyncio.open_unix_connection(str(path), limit=TEXT_BYTES_MAX)
            try:
                writer.write(_REQUEST)
                answer = await reader.read(-1)
            finally:
                writer.close()
    except (TimeoutError, OSError):
        return b""
    head, _, body = answer.partition(b"\r\n\r\n")
    return body if head.startswith(b"HTTP/1.1 200 ") else b""
