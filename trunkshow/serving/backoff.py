"""How long to wait before the next try: doubled with every failure in a row, and no longer than the longest."""

from __future__ import annotations

from dataclasses import dataclass

_DOUBLINGS_MAX = 32
"""The exponent is held down: 2.0 ** 1100 would be an error."""


@dataclass(frozen=True)
class Backoff:
    """Delays between tries.

    Attributes:
        first_s: after the first failure.
        longest_s: no delay is longer.
    """

    first_s: float
    longest_s: float

    def after(self, failures: int, chance: float = 0.0) -> float:
        """Seconds to wait after so many failures in a row, at least one.

        Args:
            failures: in a row, the last one among them.
            chance: drawn from [0, 1); half of that share is taken off, so that many who lost the same thing at the
                same time do not come back in step.
        """
        full = min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, _DOUBLINGS_MAX))
        return full * (1 - chance / 2)
