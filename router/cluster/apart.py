"""The lines to shards once more, counted apart: for who asks beside shoppers and is to leave no trace on them.

The connections are the same ones. What is in flight, how long answers take and what went wrong is kept apart, since it
decides whom shoppers are sent to and how long they wait. Opening, renewing and cutting a line stays with its owner.
"""

from __future__ import annotations

from collections.abc import Iterator

from router.cluster.shard_channel import Metadata, ShardChannel, ShardChannels, StreamCall, UnaryCall


class ChannelApart(ShardChannel):
    """A line of somebody else's.

    Args:
        line: that is asked over.
    """

    def __init__(self, line: ShardChannel) -> None:
        self.line = line
        super().__init__(line.address)

    def _open(self) -> None:
        """It is open already."""

    def predict(self, request: bytes, *, timeout: float | None = None, metadata: Metadata = ()) -> UnaryCall:
        """Predict over bytes."""
        return self.line.predict(request, timeout=timeout, metadata=metadata)

    def predict_batch(self, request: bytes, *, timeout: float | None = None, metadata: Metadata = ()) -> StreamCall:
        """PredictBatch over bytes."""
        return self.line.predict_batch(request, timeout=timeout, metadata=metadata)

    def watch(self, request: bytes) -> StreamCall:
        """Watch over bytes."""
        return self.line.watch(request)

    def observe(self, request: bytes, *, timeout: float | None = None) -> UnaryCall:
        """Observe over bytes."""
        return self.line.observe(request, timeout=timeout)

    def read_features(self, request: bytes, *, timeout: float | None = None, metadata: Metadata = ()) -> UnaryCall:
        """ReadFeatures over bytes."""
        return self.line.read_features(request, timeout=timeout, metadata=metadata)

    def renewed(self) -> bool:
        """Never here: its owner has it renewed."""
        return False

    async def close(self, grace_s: float | None = None) -> None:
        """Nothing: its owner cuts it."""


class ChannelsApart(ShardChannels):
    """All lines of somebody else's, as they are opened and cut.

    Args:
        lines: that are asked over.
    """

    def __init__(self, lines: ShardChannels) -> None:
        super().__init__()
        self._lines = lines
        self._apart: dict[str, ChannelApart] = {}

    @property
    def addresses(self) -> tuple[str, ...]:
        """Whom there is a line to."""
        return self._lines.addresses

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[ShardChannel]:
        return iter([self._of(line) for line in self._lines])

    def get(self, address: str) -> ShardChannel | None:
        """The line to an address; None where there is none, any more."""
        line = self._lines.get(address)
        return self._of(line) if line is not None else None

    def add(self, address: str) -> ShardChannel:
        """The line to an address, which its owner opens."""
        return self._of(self._lines.add(address))

    async def remove(self, address: str, grace_s: float = 1.0) -> None:
        """Keep nothing of it; its owner cuts it."""
        del grace_s
        self._apart.pop(address, None)

    async def close(self) -> None:
        """Keep nothing."""
        self._apart.clear()

    def _of(self, line: ShardChannel) -> ChannelApart:
        known = self._apart.get(line.address)
        if known is None or known.line is not line:  # what was known of a line that was cut says nothing of another
            known = self._apart[line.address] = ChannelApart(line)
            self._forget_the_cut()
        return known

    def _forget_the_cut(self) -> None:
        for address in [one for one in self._apart if self._lines.get(one) is None]:
            del self._apart[address]
