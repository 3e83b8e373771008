"""What can go wrong in the builder, one class per outcome.

Each message is one line, fit for a person: it names the file, and the row, column or key, and what to do.
The command line prints it and exits with 2; everything else that is raised is a bug.
"""


class BuildError(Exception):
    """Wrong input; the message is one line fit for a person; the command line exits with 2."""


class DatasetInvalid(BuildError):
    """The dataset's TOML file, or what one of its sources is made of, cannot be understood."""


class SourceMissing(BuildError):
    """A file that the dataset names does not exist, cannot be opened, or a glob matches nothing."""


class ColumnMissing(BuildError):
    """A column that the dataset names is not in the file."""


class SourceEmpty(BuildError):
    """A file has not even a header, or all event files together hold no event."""


class TimestampUnreadable(BuildError):
    """A file has timestamps, and not one of them can be read."""


class InteractionUnknown(BuildError):
    """An event's interaction type has no weight in `[interactions]`."""


class TooManyBadRows(BuildError):
    """The share of bad rows is past `[ingest] bad_rows_share_max`."""


class WorkersLost(BuildError):
    """Workers that were to do a build's tasks are not there, or died over one of them."""


class DaskMissing(BuildError):
    """Workers are asked for, and Dask is not installed."""
