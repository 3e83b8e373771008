"""The models, one file each, behind one protocol: fitted by the builder, asked by the shards, defined once."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from trunkshow.models.protocol import Arrays, Candidates, Model, Query, Shelf, Source, Training

GROUP = "trunkshow.models"


@cache
def installed() -> dict[str, type[Model]]:
    """Every installed model by name, ours and other packages', sorted by name.

    Raises:
        ImportError: an entry point that cannot be loaded is a broken installation; better now than under load.
    """
    found = {point.name: point.load() for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}
    for name, model in found.items():
        if model.name != name:
            message = f"the model {model!r} calls itself {model.name!r}, its entry point {name!r}"
            raise ImportError(message)
    return found


def runs_inline(model: Source) -> bool:
    """Whether a model may be asked on an event loop: ours, and those that promise it (`Model.inline`)."""
    return is_ours(model) or getattr(model, "inline", False) is True


def is_ours(model: Source) -> bool:
    """Whether a model is one of this package, and not plugged in."""
    return type(model).__module__.startswith(f"{__name__}.")


__all__ = [
    "Arrays",
    "Candidates",
    "Model",
    "Query",
    "Shelf",
    "Source",
    "Training",
    "installed",
    "is_ours",
    "runs_inline",
]
