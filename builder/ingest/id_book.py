"""Ids as small numbers, given out as they come, so that an event needs no text in memory."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray


class IdBook:
    """Numbers each distinct id in the order of its coming, and in the end sorts them."""

    def __init__(self) -> None:
        self._known = pl.DataFrame(schema={"id": pl.String, "code": pl.Int32})

    def codes(self, ids: pl.Series) -> NDArray[np.int32]:
        """Codes (n,) of ids (n,) without nulls; ids not seen before get the next ones."""
        asked = ids.alias("id").to_frame()
        new = asked.unique().join(self._known, on="id", how="anti")
        numbered = new.with_columns(pl.int_range(pl.len(), dtype=pl.Int32).alias("code") + self._known.height)
        self._known = pl.concat([self._known, numbered.cast({"code": pl.Int32})], rechunk=True)
        return asked.join(self._known, on="id", how="left", maintain_order="left")["code"].to_numpy()

    def numbered(self) -> pl.Series:
        """The ids in the order of their codes."""
        return self._known["id"]

    def in_order(self) -> tuple[pl.Series, NDArray[np.int32]]:
        """The ids sorted by their UTF-8 bytes, and each code's row in them."""
        ordered = self._known.sort("id")
        rows = np.empty(ordered.height, dtype=np.int32)
        rows[ordered["code"].to_numpy()] = np.arange(ordered.height, dtype=np.int32)
        return ordered["id"], rows
