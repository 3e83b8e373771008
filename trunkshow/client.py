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

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing

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
from trunkshow.events import Channel, Event, Interaction, Recorded, Refused
from trunkshow.features import Features, FeaturesAnswer, features_request
from trunkshow.items import NewItem, RecordedItems, RefusedItem
from trunkshow.receipts import Reason, Receipt, Rung
from trunkshow.recorder import Recorder
from trunkshow.rival_batches import answers_blocking
from trunkshow.v1 import cluster_pb2
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


class Client(Recorder):
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
        message = pb.RecommendBatchRequest(requests=[request.to_message() for request in requests], together=True)
        shown = (*wire.metadata(request_id), *self._identity())
        return _slates(
            answers_blocking(
                self._hedge,
                lambda asked, seconds: call(asked, timeout=seconds, metadata=shown),
                message,
                deadline_ms / 1e3,
            )
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


def _slates(answered: Generator[pb.RecommendBatchResponse]) -> Iterator[tuple[int, Slate]]:
    try:
        with closing(answered):
            for answer in answered:
                yield answer.index, Slate.from_message(answer.response)
    except grpc.RpcError as error:
        raise from_rpc_error(error) from error
