"""The script for pages, as it is served."""

from __future__ import annotations

from importlib.resources import files

from starlette.responses import Response

BYTES_MAX = 2048
CACHED_S = 3600

RESPONSE = Response(
    files(__package__).joinpath("trunkshow.min.js").read_bytes(),
    media_type="text/javascript",
    headers={"Cache-Control": f"public, max-age={CACHED_S}", "X-Content-Type-Options": "nosniff"},
)
