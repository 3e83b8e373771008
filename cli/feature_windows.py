"""`trunkshow feature-windows`: features as `GetFeatures` tells them, of the past, as a table to train on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cyclopts import Parameter

from cli import output
from cli.ask import Json
from cli.output import UsageError


@Parameter(name="*")
@dataclass(frozen=True)
class FeatureWindowsOptions:
    """Whose features, at which moment, and where to."""

    out: Path
    """Parquet file to write; one that is there is replaced."""

    at: str = ""
    """A moment, ISO 8601 or seconds since 1970: everybody of whom there was an event in the 30 days before."""

    rows: Path | None = None
    """Instead a Parquet file with columns `user`, `item` or both, and `timestamp`: each row gets its own features."""

    json: Json = False
    """Print what was done as JSON, and nothing else."""


def feature_windows(dataset: Path, /, *, options: FeatureWindowsOptions) -> None:
    """Count feature windows from an export of the event log, by the definitions that serving uses.

    Args:
        dataset: the data set file that `trunkshow export-events` made, or another with a [log] export.
        options: whose, when, and where to.
    """
    if bool(options.at) == bool(options.rows):
        raise UsageError("--at or --rows: give one of the two")
    try:
        import polars as pl

        from builder import feature_table
        from builder.dataset import load_dataset
        from builder.ingest import values
    except ImportError as error:
        raise UsageError(f"the builder is not installed ({error.name}); install trunkshow[builder]") from error
    history = feature_table.read(load_dataset(dataset))
    if options.rows is not None:
        table = feature_table.of_rows(history, _read(options.rows))
    else:
        at_ms = values.milliseconds(pl.Series([options.at]))[0]
        if at_ms is None:
            raise UsageError(f"--at {options.at} is no time; write it as 2026-01-31T08:30:00Z")
        table = feature_table.of_everybody(history, at_ms)
        table = table.insert_column(2, pl.lit(datetime.fromtimestamp(at_ms / 1000, UTC)).alias("timestamp"))
    try:
        table.write_parquet(options.out)
    except OSError as error:
        raise UsageError(f"--out {options.out}: cannot be written ({error.strerror})") from error
    done: dict[str, Any] = {"file": str(options.out), "rows": table.height, "events": len(history.events)}
    if options.json:
        output.show_json(done)
    else:
        output.show(
            f"counted {done['events']:,} events; features of [bold]{done['rows']:,}[/] rows are in {done['file']}"
        )


def _read(path: Path) -> Any:
    import polars as pl

    try:
        return pl.read_parquet(path, glob=False, hive_partitioning=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UsageError(f"--rows {path}: cannot be read ({error!s:.100})") from error
