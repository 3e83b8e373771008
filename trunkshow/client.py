"""The client: what a backend service imports to ask the cluster for slates.

`Client` blocks, `AsyncClient` awaits; both take and return the values of `trunkshow.answers`, `trunkshow.events`,
`trunkshow.items` and `trunkshow.cluster` and raise the classes of `trunkshow.errors`. Behind them are grpcio and
protobuf alone.

    with Client("127.0.0.1:7450", deadline_ms=200) as client:
        slate = client.recommend("user-17", items=["sku-3", "sku-9"], surface="basket")
        for carousel in slate.carousels:
            print(carousel.title, [item.item_id for item in carousel.items])
        if slate.receipt.rung > Rung.SNAPSHOT:
            print("not the best slate:", [reason.name for reason in slate.receipt.reasons])
        client.record(Event("user-17", "sku-9", "click", request_id=slate.receipt.request_id))

A client holds one connection, and one more once it records; it may be shared between threads (`AsyncClient`: tasks),
and is meant to live as long as its service. A target of `dns:///name:port` balances over every address of that name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import grpc

from trunkshow import channel as wire
from trunkshow.answers import (
    NO_ATTRIBUTES,
    SimilarItems,
    Slate,
    SlateRequest,
    filters,
    similar_items_request,
)
from trunkshow.async_client import AsyncClient
from trunkshow.channel import tls_credentials
from trunkshow.cluster import ClusterStatus
from trunkshow.errors import PartialAborted, PermissionDenied, Unauthenticated, from_rpc_error
from trunkshow.events import Channel, Event, Interaction, Recorded, Refused, noting, request_of, stream_of
from trunkshow.features import Features, FeaturesAnswer, features_request
from trunkshow.forgetting import ForgetReceipt
from trunkshow.items import NewItem, RecordedItems, RefusedItem, items_request
from trunkshow.receipts import Reason, Receipt, Rung
from trunkshow.v1 import cluster_pb2, events_pb2
from trunkshow.v1 import recommendation_pb2 as pb

__all__ = [
    "AsyncClient",
    "Channel",
    "Client",
    "Event",
    "Features",
    "FeaturesAnswer",
    "Interaction",
    "NewItem",
    "PartialAborted",
    "PermissionDenied",
    "Reason",
    "Receipt",
    "Recorded",
    "RecordedItems",
    "Refused",
    "RefusedItem",
    "Rung",
    "SimilarItems",
    "Slate",
    "SlateRequest",
    "Unauthenticated",
    "tls_credentials",
]


class Client:
    """A blocking client.

    Every call raises `InvalidArgument`, `NotFound`, `DeadlineExceeded` or `Unavailable` (of which `PartialAborted` is
    the one that the caller asked for), or plain
    `TrunkshowError` for a status that has no class of its own. What cannot even be sent (a negative number, half a
    surrogate pair) raises `InvalidArgument` too, with the field's name, before anything is sent; of a batch, when
    it is called. An argument of another type than is written here raises `TypeError`.

    Args:
        target: the router: `host:port`, or any other name that gRPC resolves.
        deadline_ms: of `recommend` and `similar` where the call does not say; the router cuts it to 200.
        credentials: for TLS, such as `tls_credentials` makes of files; without them the connection is plain.
        api_key: that this caller is known by. Send one over a plain connection only where nobody listens in.
        token: a JSON web token instead, or a function that gives the newest one; it is called at every call.
    """

    def __init__(
        self,
        target: str,
        *,
        deadline_ms: float = wire.DEADLINE_MS,
        credentials: grpc.ChannelCredentials | None = None,
        api_key: str = "",
        token: wire.Token = "",
    ) -> None:
        self.target = target
        self.deadline_ms = deadline_ms
        self._channel = wire.open_channel(target, credentials)
        self._recording = wire.open_channel(target, credentials, wire.RECORDING_OPTIONS)  # connects when it is used
        self._identity = wire.identify(api_key, token)

    def __repr__(self) -> str:
        return f"Client({self.target!r}, deadline_ms={self.deadline_ms:g})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        self._channel.close()
        self._recording.close()

    def connect(self, timeout_s: float = wire.CONNECT_TIMEOUT_S) -> None:
        """Connect ahead of the first request, which then spends nothing of its deadline on it.

        Raises:
            Unavailable: nobody answered within `timeout_s`.
        """
        ready = grpc.channel_ready_future(self._channel)
        try:
            ready.result(timeout=timeout_s)
        except grpc.FutureTimeoutError:
            ready.cancel()
            raise wire.nobody_answered(self.target, timeout_s) from None

    def recommend(
        self,
        user_id: str,
        *,
        surface: str = "",
        items: Sequence[str] = (),
        carousels: Sequence[str] = (),
        items_per_carousel: int = 0,
        exclude: Sequence[str] = (),
        categories: Sequence[str] = (),
        attributes: Mapping[str, Sequence[str]] = NO_ATTRIBUTES,
        include_unavailable: bool = False,
        include_seen: bool = False,
        worst_rung: Rung | None = None,
        at_least_as_fresh: str = "",
        request_id: str = "",
        deadline_ms: float | None = None,
    ) -> Slate:
        """One user's slate.

        Args:
            user_id: whom the slate is for; a user nobody has seen is answered too.
            surface: where it is shown: home (the default), product, basket, last_call, search or email.
            items: in hand, newest first: session, basket, product page.
            carousels: wanted, in order; empty means the surface's own.
            items_per_carousel: 1 to 100; 0 means 10.
            exclude: items never shown.
            categories: any one of these; empty means all.
            attributes: for each name any one of its values.
            include_unavailable: also what the catalogue marks as not available.
            include_seen: also what the user already had.
            worst_rung: rather `PartialAborted` than a carousel of a lower rung; None takes what can be had.
            at_least_as_fresh: watermark of recorded events that are to be in the slate.
            request_id: comes back in the receipt and stands in the logs; made by the router where empty.
            deadline_ms: this call's own; the client's where None.
        """
        request = SlateRequest(
            user_id=user_id,
            surface=surface,
            items=items,
            carousels=carousels,
            items_per_carousel=items_per_carousel,
            exclude=exclude,
            categories=categories,
            attributes=attributes,
            include_unavailable=include_unavailable,
            include_seen=include_seen,
            worst_rung=worst_rung,
            at_least_as_fresh=at_least_as_fresh,
        )
        return self._slate(request.to_message(), self._deadline(deadline_ms), request_id)

    def recommend_batch(
        self,
        requests: Iterable[SlateRequest],
        *,
        request_id: str = "",
        deadline_ms: float = wire.BATCH_DEADLINE_MS,
    ) -> Iterator[tuple[int, Slate]]:
        """Many users' slates, 1 to 1,000, each as soon as it is ready, with its place in `requests`.

        The call starts at once; closing the iterator cancels what is left of it.
        """
        method = wire.RECOMMEND_BATCH
        call = self._channel.unary_stream(method.path, method.request.SerializeToString, method.response.FromString)
        message = pb.RecommendBatchRequest(requests=[request.to_message() for request in requests])
        return _slates(
            call(message, timeout=deadline_ms / 1e3, metadata=(*wire.metadata(request_id), *self._identity()))
        )

    def similar(
        self,
        item_id: str,
        items: int = 0,
        *,
        categories: Sequence[str] = (),
        attributes: Mapping[str, Sequence[str]] = NO_ATTRIBUTES,
        include_unavailable: bool = False,
        request_id: str = "",
        deadline_ms: float | None = None,
    ) -> SimilarItems:
        """The items that go with one, nearest first: 1 to 100 of them, 10 for 0.

        Raises:
            NotFound: the catalogue does not know the item.
        """
        allowed = filters(categories, attributes, include_unavailable=include_unavailable)
        message = similar_items_request(item_id, items, allowed)
        return SimilarItems.from_message(
            self._call(wire.SIMILAR_ITEMS, message, self._deadline(deadline_ms), request_id)
        )

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

    def features(
        self,
        users: Iterable[str] = (),
        items: Iterable[str] = (),
        *,
        request_id: str = "",
        deadline_ms: float | None = None,
    ) -> FeaturesAnswer:
        """What users and items did lately: counts in windows of 5 minutes to 30 days, the last price and category.

        Features of whom nobody could tell in time are `missing`, and the others are there.

        Args:
            users: at most 100; they need not be known.
            items: at most 100; with no users at least one.
            request_id: stands in the logs; made by the router where empty.
            deadline_ms: this call's own; the client's where None.
        """
        message = features_request(users, items)
        return FeaturesAnswer.from_message(
            self._call(wire.GET_FEATURES, message, self._deadline(deadline_ms), request_id)
        )

    def status(self, *, deadline_ms: float = wire.STATUS_DEADLINE_MS) -> ClusterStatus:
        """The shards as the router sees them, and what it has served."""
        return ClusterStatus.from_message(
            self._call(wire.GET_CLUSTER_STATUS, cluster_pb2.GetClusterStatusRequest(), deadline_ms, "")
        )

    def _slate(self, message: pb.RecommendRequest, deadline_ms: float, request_id: str) -> Slate:
        return Slate.from_message(self._call(wire.RECOMMEND, message, deadline_ms, request_id))

    def _deadline(self, deadline_ms: float | None) -> float:
        return self.deadline_ms if deadline_ms is None else deadline_ms

    def _call(
        self,
        method: wire.Method[wire.Request, wire.Response],
        message: wire.Request,
        deadline_ms: float,
        request_id: str,
        channel: grpc.Channel | None = None,
    ) -> wire.Response:
        channel = self._channel if channel is None else channel
        call = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
        try:
            return call(message, timeout=deadline_ms / 1e3, metadata=(*wire.metadata(request_id), *self._identity()))
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error


def _slates(call: Any) -> Iterator[tuple[int, Slate]]:
    try:
        for answer in call:
            yield answer.index, Slate.from_message(answer.response)
    except grpc.RpcError as error:
        raise from_rpc_error(error) from error
    finally:
        call.cancel()
