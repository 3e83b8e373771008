"""What a blocking client writes: events, new items, and whom to forget. See `trunkshow.client`."""

from __future__ import annotations

from collections.abc import Iterable

import grpc

from trunkshow import channel as wire
from trunkshow.errors import from_rpc_error
from trunkshow.events import Event, Recorded, noting, request_of, stream_of
from trunkshow.forgetting import ForgetReceipt
from trunkshow.items import NewItem, RecordedItems, items_request
from trunkshow.line import Line
from trunkshow.v1 import events_pb2


class Recorder(Line):
    """The calls that write, over the connection that is theirs."""

    def record(
        self, events: Event | Iterable[Event], *, request_id: str = "", deadline_ms: float = wire.RECORD_DEADLINE_MS
    ) -> Recorded:
        """Write what shoppers did to the event log: one event, or 1 to 1,000; each is recorded or refused by itself.

        What the answer counts as recorded is durable, and in the user's next slate within a second. Where this raises
        `Unavailable`, `Overloaded` or `DeadlineExceeded`, it is not known whether the events are in the log: record
        the same `Event` objects again, they have their ids and count once. Within the deadline that is done here.

        Raises:
            Unavailable: the router's event log does not answer, or it has none (reason NO_EVENT_LOG).
            Overloaded: there is no room for more events now.
        """
        return Recorded.from_message(
            self._call(wire.RECORD_EVENTS, request_of(events), deadline_ms, request_id, self._recording)
        )

    def stream(
        self, events: Iterable[Event], *, request_id: str = "", deadline_ms: float = wire.STREAM_DEADLINE_MS
    ) -> Recorded:
        """Write as many events as there are, as fast as the log takes them; the answer sums up.

        Events are taken from the iterable a little ahead of the log. Where this raises, some are in the log: stream the
        same `Event` objects again.
        """
        method = wire.STREAM_EVENTS
        call = self._recording.stream_unary(method.path, method.request.SerializeToString, method.response.FromString)
        failed: list[BaseException] = []
        shown = (*wire.metadata(request_id), *self._identity())
        try:
            return Recorded.from_stream(call(noting(stream_of(events), failed), deadline_ms / 1e3, shown))
        except grpc.RpcError as error:
            # gRPC reads the events on a thread of its own, and says no more than that they could not be had.
            raise failed[0] if failed else from_rpc_error(error) from error

    def forget(self, user_id: str, *, deadline_ms: float = wire.RECORD_DEADLINE_MS) -> ForgetReceipt:
        """Forget a person: what they did up to now is in no slate from then on, nor in the next export and build.

        What is recorded of the same id afterwards is of somebody new. It needs the role of an operator. Where this
        raises `Unavailable` or `DeadlineExceeded`, do it again.
        """
        request = events_pb2.ForgetUserRequest(user_id=user_id)
        return ForgetReceipt.from_message(self._call(wire.FORGET_USER, request, deadline_ms, "", self._recording))

    def record_items(
        self, items: NewItem | Iterable[NewItem], *, deadline_ms: float = wire.RECORD_DEADLINE_MS
    ) -> RecordedItems:
        """Tell of items that no build has seen yet: one, or 1 to 1,000; each is recorded or refused by itself.

        What the answer counts as recorded is durable, in new arrivals within a moment, and in slates of those whose
        taste it is by its attributes. The same item again replaces it; one that is not available is withdrawn. It needs
        the role of an operator.

        Raises:
            Unavailable: the items' log does not answer, or the router has none (reason NO_EVENT_LOG).
            Overloaded: there is no room for more items.
        """
        request = items_request(items)
        return RecordedItems.from_message(self._call(wire.RECORD_ITEMS, request, deadline_ms, "", self._recording))
