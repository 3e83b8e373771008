"""Raw columns into ids, texts, times, numbers and flags: the one place where forms are accepted.

Each function takes a raw column of any flat type and returns a column of the wanted type, null where the
value is missing or cannot be read; `present` tells the two apart. Counting and reporting is left to the
callers.

The rules:

* Ids are text without the blanks around them. A whole number is written without its fraction, whatever it
  came as: 7, 7.0, "7" and "7.0" are the same id "7"; 7.5 is "7.5"; "007" stays "007".
* Times are instants in UTC. Text is ISO 8601: a date, or a date and a time joined by T or a blank, with
  seconds and their fraction optional, followed by nothing (UTC), Z, UTC or an offset such as +02:00. Numbers,
  and text that is a number, count from the epoch and are told apart by size: below 10^11 seconds (until the
  year 5138), from there to below 10^14 milliseconds (from March 1973), and anything larger is not read. So
  20240131 is a number of seconds in 1970, not a date. What is finer than a millisecond is cut off.
* Numbers are finite also as float32.
"""

from __future__ import annotations

import polars as pl
from polars import Series

SECONDS_BELOW = 1e11
MILLISECONDS_BELOW = 1e14
TIMESTAMP_FORMS = (
    "ISO text (2024-01-31, 2024-01-31T08:30:00, with an offset such as +02:00 if not UTC), "
    "epoch seconds or epoch milliseconds"
)

_ISO = (
    r"^(?P<day>\d{4}-\d{2}-\d{2})"
    r"(?:[Tt ](?P<minute>\d{2}:\d{2})(?P<second>:\d{2})?(?:[.,](?P<fraction>\d{1,9}))?"
    r"\s?(?:Z|z|UTC|(?P<sign>[+-])(?P<zone_hours>[01]\d):?(?P<zone_minutes>[0-5]\d)?)?)?$"
)
_PLAIN_LENGTH = len("2024-01-31T08:30:00")
_TRUE = ("true", "1", "yes", "y", "t")
_FALSE = ("false", "0", "no", "n", "f")


def texts(raw: Series) -> Series:
    """Text without the blanks around it, dtype String; null where there is none."""
    if raw.dtype.is_float():
        whole = raw.is_finite() & (raw == raw.round()) & (raw.abs() < 2.0**63)
        as_whole = raw.cast(pl.Int64, strict=False).cast(pl.String)
        return as_whole.zip_with(whole.fill_null(False), raw.fill_nan(None).cast(pl.String))
    text = raw.cast(pl.String, strict=False).str.strip_chars()
    return text.set(text == "", None)


def ids(raw: Series) -> Series:
    """Ids, dtype String: like `texts`, and a whole number loses its zero fraction, as in `trunkshow.eventlog.names`."""
    text = texts(raw)
    # The search is much cheaper than the replacement, which few sources need.
    if text.str.contains(".0", literal=True).any():
        return text.str.replace(r"^(-?[0-9]+)\.0+$", "$1")
    return text


def present(raw: Series) -> Series:
    """Whether there is a value at all, readable or not; dtype Boolean."""
    return texts(raw).is_not_null() | (raw.is_not_null() & pl.Series([raw.dtype.is_float()]))


def numbers(raw: Series) -> Series:
    """Finite numbers, dtype Float32; null where missing or not a finite number."""
    plain = texts(raw) if raw.dtype == pl.String else raw
    number = plain.cast(pl.Float64, strict=False).cast(pl.Float32, strict=False)
    # A minus zero is the same value as a zero, and shall look so.
    return number.set(~number.is_finite(), None).set(number == 0.0, 0.0)


def flags(raw: Series) -> Series:
    """Yes or no, dtype Boolean; null where missing or neither."""
    if raw.dtype == pl.Boolean:
        return raw
    text = ids(raw).str.to_lowercase()
    known = text.is_in([*_TRUE, *_FALSE])
    return text.is_in(_TRUE).set(~known.fill_null(False), None)


def milliseconds(raw: Series) -> Series:
    """Instants in milliseconds since the epoch, UTC, dtype Int64; null where missing or unreadable."""
    if isinstance(raw.dtype, pl.Datetime) or raw.dtype == pl.Date:
        return raw.cast(pl.Datetime("ms")).cast(pl.Int64) if raw.dtype == pl.Date else raw.dt.timestamp("ms")
    if raw.dtype.is_numeric():
        return _from_epoch(raw.cast(pl.Float64))
    text = texts(raw)
    result = _from_epoch(text.cast(pl.Float64, strict=False))
    for read in (_from_plain_iso, _from_any_iso):
        left = (result.is_null() & text.is_not_null()).arg_true()
        if len(left):
            result = result.scatter(left, read(text.gather(left)))
    return result


def _from_epoch(number: Series) -> Series:
    # Below 10^14 a float64 holds every whole number, so nothing is lost on the way.
    in_seconds = number.abs() < SECONDS_BELOW
    scaled = (number * 1000.0).zip_with(in_seconds.fill_null(False), number)
    readable = number.is_finite() & (number.abs() < MILLISECONDS_BELOW)
    return scaled.set(~readable, None).round().cast(pl.Int64)


def _from_plain_iso(text: Series) -> Series:
    """The commonest form, for which the parser is ten times faster than the pattern below."""
    plain = text.set(text.str.len_bytes() != _PLAIN_LENGTH, None)
    joined_by_t = plain.str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="ms", strict=False)
    joined_by_blank = plain.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="ms", strict=False)
    return joined_by_t.zip_with(joined_by_t.is_not_null(), joined_by_blank).cast(pl.Int64)


def _from_any_iso(text: Series) -> Series:
    part = pl.col
    plain = pl.concat_str(part("day"), pl.lit(" "), part("minute").fill_null("00:00"), part("second").fill_null(":00"))
    fraction = part("fraction").fill_null("0").str.pad_end(3, "0").str.slice(0, 3).cast(pl.Int64)
    hours = part("zone_hours").cast(pl.Int64).fill_null(0)
    minutes = part("zone_minutes").cast(pl.Int64).fill_null(0)
    sign = pl.when(part("sign") == "-").then(-1).otherwise(1)
    instant = plain.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="ms", strict=False).cast(pl.Int64)
    parts = text.str.extract_groups(_ISO).struct.unnest()
    return parts.select(instant + fraction - sign * (hours * 60 + minutes) * 60_000).to_series()
