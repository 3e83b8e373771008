"""What benchmarks of serving ask for: a personal slate of two carousels of ten."""

from __future__ import annotations

from cli.bench.judging import Wanted

WANTED = Wanted(("for-you", "because-you-liked"), 10)
