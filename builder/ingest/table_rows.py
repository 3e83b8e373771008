"""One block of an items or users table as clean columns, each row with what is wrong with it, if anything.

Reading the blocks is left to `sources`; counting and duplicates to `builder.tables`.
"""

from __future__ import annotations

import json

import polars as pl

from builder.dataset import ItemSource, UserSource
from builder.ingest import values
from trunkshow.snapshot.catalogue import ID_BYTES_MAX

SEGMENT_JOINT = "/"  # between the values of a segment of several columns


def item_columns(source: ItemSource) -> list[str]:
    """The columns that an items table is read for."""
    single = (source.title, source.category, source.available, source.created_at, source.occasions)
    return [source.id, *(name for name in single if name is not None), *source.attributes]


def item_rows(frame: pl.DataFrame, source: ItemSource) -> pl.DataFrame:
    """Raw columns as `id`, `title`, `category`, `available`, `time`, `occasions`, `reason` and attributes.

    Categories and attributes are normalised as ids are, so that 7 is one category in any format. An
    attribute's column is called `attribute ` and its name. `reason` is null for a good row.
    """
    height = frame.height
    available = _column(frame, source.available, pl.Boolean)
    created = _column(frame, source.created_at, pl.String)
    clean = pl.DataFrame(
        {
            "id": values.ids(frame[source.id]),
            "title": values.texts(_column(frame, source.title, pl.String)),
            "category": values.ids(_column(frame, source.category, pl.String)),
            "available": values.flags(available),
            "available_given": values.present(available),
            "time": values.milliseconds(created),
            "time_given": values.present(created),
            "occasions": _occasions(_column(frame, source.occasions, pl.String), source.occasions_separator),
        }
        | {f"attribute {name}": values.ids(frame[name]) for name in source.attributes},
        height=height,
    )
    return clean.with_columns(
        reason=pl.when(pl.col("id").is_null())
        .then(pl.lit("missing item"))
        .when(pl.col("id").str.len_bytes() > ID_BYTES_MAX)
        .then(pl.lit("id too long"))
        .when(pl.col("available_given") & pl.col("available").is_null())
        .then(pl.lit("unreadable availability"))
        .when(pl.col("time_given") & pl.col("time").is_null())
        .then(pl.lit("unreadable timestamp"))
    )


def user_rows(frame: pl.DataFrame, source: UserSource) -> pl.DataFrame:
    """Raw columns as `id`, `segment` and `reason`; a user with a null in any segment column has none."""
    parts = [values.ids(frame[name]) for name in source.segment]
    joined = pl.concat_str(parts, separator=SEGMENT_JOINT) if parts else pl.lit(None, pl.String)
    clean = pl.DataFrame({"id": values.ids(frame[source.id])}).with_columns(segment=joined)
    return clean.with_columns(reason=pl.when(pl.col("id").is_null()).then(pl.lit("missing user")))


def _column(frame: pl.DataFrame, name: str | None, dtype: type[pl.DataType]) -> pl.Series:
    return pl.repeat(None, frame.height, dtype=dtype, eager=True) if name is None else frame[name]


def _occasions(raw: pl.Series, separator: str) -> pl.Series:
    """Lists of distinct texts, in their order; from lists, lists in JSON, or text with a separator."""
    if raw.dtype == pl.List:
        return _tidy(raw)
    text = values.texts(raw)
    # JSON lines give a list as its JSON.
    if text.str.starts_with("[").any():
        return _tidy(pl.Series([_split(one, separator) for one in text], dtype=pl.List(pl.String)))
    return _tidy(text.str.split(separator))


def _split(text: str | None, separator: str) -> list[str]:
    if text is None:
        return []
    if text.startswith("["):
        try:
            return [str(one) for one in json.loads(text) if one is not None]
        except (ValueError, RecursionError):
            pass  # an occasion may be called "[new]"
    return text.split(separator)


def _tidy(lists: pl.Series) -> pl.Series:
    rows = pl.DataFrame({"row": pl.int_range(len(lists), eager=True), "one": lists})
    each = rows.explode("one")
    each = each.with_columns(values.ids(each["one"]).alias("one")).drop_nulls("one").unique(maintain_order=True)
    grouped = each.group_by("row", maintain_order=True).agg("one")
    joined = rows.select("row").join(grouped, on="row", how="left", maintain_order="left")["one"]
    return joined.fill_null(pl.Series([[]], dtype=pl.List(pl.String)))
