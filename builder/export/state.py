"""What an export's folder says of itself: `export.json`, written after the files that it names. A value.

Files that it does not name are of nobody's concern: a killed export's. The builder reads what is named here.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from builder.errors import DatasetInvalid
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.lineage import Last, Lineage

FILE_NAME = "export.json"
SCHEMA = 1


@dataclass(frozen=True)
class Part:
    """A file of the export.

    Attributes:
        name: within the folder.
        rows: events in it.
    """

    name: str
    rows: int


@dataclass(frozen=True)
class Exported:
    """What was exported so far.

    Attributes:
        watermark: of the log, up to which it was read; None before anything was.
        events: parts with what says something of taste, oldest first.
        shown: parts with impressions and searches, oldest first.
        duplicates: events that were left out because they had come before.
        lost: records that the log had removed before they were exported, and events of no moment, of no router.
        forgotten: of the tombstones' log; everybody up to there is in `forgotten.json`, and in no part.
        items: new items in `items.parquet`.
        items_read: of the items' log, up to which they are in it.
        lineage: the last records that were read of the log.
    """

    watermark: Watermark | None = None
    events: tuple[Part, ...] = ()
    shown: tuple[Part, ...] = ()
    duplicates: int = 0
    lost: int = 0
    forgotten: Watermark | None = None
    items: int = 0
    items_read: Watermark | None = None
    lineage: Lineage = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Events in all parts."""
        return sum(part.rows for part in (*self.events, *self.shown))

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "schema": SCHEMA,
            "watermark": str(self.watermark or ""),
            "events": [asdict(part) for part in self.events],
            "shown": [asdict(part) for part in self.shown],
            "duplicates": self.duplicates,
            "lost": self.lost,
            "forgotten": str(self.forgotten or ""),
            "items": self.items,
            "items_read": str(self.items_read or ""),
            "lineage": {str(lane): list(last) for lane, last in self.lineage.items()},
        }

    def text(self) -> str:
        """As `export.json` has it."""
        return json.dumps(self.to_json(), indent=1, sort_keys=True) + "\n"


NOTHING = Exported()


def read(folder: Path) -> Exported | None:
    """What a folder says; None where it is no export's.

    Raises:
        DatasetInvalid: what it says cannot be read.
    """
    path = folder / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetInvalid(f"{path}: cannot be read ({error!s:.100})") from error
    try:
        return _parsed(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DatasetInvalid(f"{path}: is not what export-events writes ({error!r:.100})") from error


def _parsed(raw: dict[str, Any]) -> Exported:
    if raw["schema"] != SCHEMA:
        raise ValueError(f"schema {raw['schema']}; this release reads {SCHEMA}")
    return Exported(
        watermark=Watermark.parse(raw["watermark"]) if raw["watermark"] else None,
        events=_parts(raw["events"]),
        shown=_parts(raw["shown"]),
        duplicates=int(raw["duplicates"]),
        lost=int(raw["lost"]),
        forgotten=Watermark.parse(raw["forgotten"]) if raw.get("forgotten") else None,
        items=int(raw.get("items", 0)),
        items_read=Watermark.parse(raw["items_read"]) if raw.get("items_read") else None,
        lineage={int(lane): Last(int(at), str(digest)) for lane, (at, digest) in raw.get("lineage", {}).items()},
    )


def _parts(raw: list[dict[str, Any]]) -> tuple[Part, ...]:
    parts = tuple(Part(str(one["name"]), int(one["rows"])) for one in raw)
    if any(Path(part.name).name != part.name for part in parts):
        raise ValueError("a part outside of the folder")
    return parts
