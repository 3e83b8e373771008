"""One table of a TOML file, read with checks: each key known, each value of the right type and range.

Every failure is a `DatasetInvalid` that names the file, the table, the key and what was expected. Which keys
there are, and what they mean, is left to `builder.dataset`.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.errors import DatasetInvalid


@dataclass(frozen=True)
class TomlTable:
    """A table's values, the name by which its errors call it, and the file that it is in."""

    values: Mapping[str, Any]
    title: str
    file: str

    @classmethod
    def load(cls, path: Path) -> TomlTable:
        """Read a whole TOML file as its top table.

        Raises:
            DatasetInvalid: The file cannot be read, or is not TOML.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise DatasetInvalid(f"{path}: cannot be read ({reason}); give the path of a dataset file") from error
        try:
            return cls(tomllib.loads(text), "the top of the file", path.name)
        except tomllib.TOMLDecodeError as error:
            raise DatasetInvalid(f"{path.name}: is not valid TOML: {' '.join(str(error).split())}") from error
        except RecursionError as error:
            raise DatasetInvalid(f"{path.name}: is not valid TOML: it is nested too deep") from error

    def with_keys(self, known: Collection[str]) -> TomlTable:
        """This table, once it is sure that it holds no key but the known ones.

        Raises:
            DatasetInvalid: An unknown key; the closest known one is suggested.
        """
        for key in self.values:
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
                hint = f'did you mean "{close[0]}"?' if close else f"the keys are {', '.join(sorted(known))}"
                raise DatasetInvalid(f'{self.file}: {self.title} has an unknown key "{key}"; {hint}')
        return self

    def wrong(self, key: str, expected: str) -> DatasetInvalid:
        """The error for a value that is absent or not what was expected."""
        found = f"is {_shown(self.values[key])}" if key in self.values else "is missing"
        return DatasetInvalid(f'{self.file}: "{key}" in {self.title} {found}; expected {expected}')

    def text(self, key: str, expected: str) -> str:
        """A required, non-blank text."""
        value = self.values.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(key, expected)
        return value

    def text_or_none(self, key: str, expected: str) -> str | None:
        """An optional text."""
        return self.text(key, expected) if key in self.values else None

    def character(self, key: str, default: str) -> str:
        """A text of one ASCII character that can separate fields."""
        value = self.values.get(key, default)
        if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in '"\r\n':
            raise self.wrong(key, 'one ASCII character, such as ";"')
        return value

    def texts(self, key: str, expected: str) -> tuple[str, ...]:
        """An optional text or list of texts, as a tuple; empty when absent."""
        value = self.values.get(key, [])
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(one, str) and one.strip() for one in values):
            raise self.wrong(key, expected)
        return tuple(values)

    def flag(self, key: str, default: bool) -> bool:
        """An optional boolean."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def number(self, key: str, default: float, low: float = -math.inf, high: float = math.inf) -> float:
        """An optional finite number in `[low, high]`."""
        value = self.values.get(key, default)
        wanted = "a number" if math.isinf(low) else f"a number of at least {low:g}"
        wanted += "" if math.isinf(high) else f" and at most {high:g}"
        # bool is an int to Python, not to a person.
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.wrong(key, wanted)
        if not low <= value <= high:
            raise self.wrong(key, wanted)
        return float(value)

    def table(self, key: str) -> TomlTable | None:
        """An optional table below this one."""
        if key not in self.values:
            return None
        value = self.values[key]
        if not isinstance(value, dict):
            raise self.wrong(key, f"a table: [{key}]")
        return TomlTable(value, f"[{key}]", self.file)

    def tables(self, key: str, expected: str) -> tuple[TomlTable, ...]:
        """A required list of tables below this one, at least one."""
        value = self.values.get(key)
        if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
            raise self.wrong(key, expected)
        number = [""] if len(value) == 1 else [f" number {place}" for place in range(1, len(value) + 1)]
        return tuple(TomlTable(one, f"[[{key}]]{which}", self.file) for one, which in zip(value, number, strict=True))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
