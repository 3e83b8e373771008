"""`trunkshow.client.Client` for asyncio: the same arguments, values, limits and errors, awaited.

    async with AsyncClient("127.0.0.1:7450") as client:
        slate = await client.recommend("user-17")
        async for index, slate in client.recommend_batch([SlateRequest("a"), SlateRequest("b")]):
            print(index, slate.receipt.rung.name)

What each argument means is said in `trunkshow.client`. A client belongs to the event loop it was made in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Self

import grpc
import grpc.aio

from trunkshow import channel as wire
from trunkshow.answers import NO_ATTRIBUTES, SimilarItems, Slate, SlateRequest, filters, similar_items_request
from trunkshow.cluster import ClusterStatus
from trunkshow.errors import from_rpc_error
from trunkshow.events import Event, Recorded, noting, request_of, stream_of
from trunkshow.features import FeaturesAnswer, features_request
from trunkshow.forgetting import ForgetReceipt
from trunkshow.items import NewItem, RecordedItems, items_request
from trunkshow.receipts import Rung
from trunkshow.rival_batches import answers
from trunkshow.rival_rules import hedges
from trunkshow.rivals import raced
from trunkshow.targets import Routers
from trunkshow.v1 import cluster_pb2, events_pb2
from trunkshow.v1 import recommendation_pb2 as pb


class AsyncClient:
    """A client for asyncio; see `trunkshow.client.Client` for the arguments."""

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
        wire.check_target(target)
        self._identity = wire.identify(api_key, token)
        self._channel = open_channel(target, credentials, wire.OPTIONS)
        self._recording = open_channel(target, credentials, wire.RECORDING_OPTIONS)  # connects when it is used
        self._hedges = hedges(Routers(target).count)
        self._hedge = self._hedges[wire.RECOMMEND.path]

    def __repr__(self) -> str:
        return f"AsyncClient({self.target!r}, deadline_ms={self.deadline_ms:g})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        await self._channel.close()
        await self._recording.close()

    async def connect(self, timeout_s: float = wire.CONNECT_TIMEOUT_S) -> None:
        """Connect ahead of the first request, which then spends nothing of its deadline on it.

        Raises:
            Unavailable: nobody answered within `timeout_s`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._channel.channel_ready()
        except TimeoutError:
            raise wire.nobody_answered(self.target, timeout_s) from None

    async def recommend(
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
        """One user's slate; see `trunkshow.client.Client.recommend`."""
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
        return await self._slate(request.to_message(), self._deadline(deadline_ms), request_id)

    def recommend_batch(
        self,
        requests: Iterable[SlateRequest],
        *,
        request_id: str = "",
        deadline_ms: float = wire.BATCH_DEADLINE_MS,
    ) -> AsyncIterator[tuple[int, Slate]]:
        """Many users' slates, 1 to 1,000, each as soon as it is ready, with its place in `requests`.

        The call starts at once; closing the iterator cancels what is left of it.
        """
        method = wire.RECOMMEND_BATCH
        call = self._channel.unary_stream(method.path, method.request.SerializeToString, method.response.FromString)
        message = pb.RecommendBatchRequest(requests=[request.to_message() for request in requests], together=True)
        shown = (*wire.metadata(request_id), *self._identity())
        return _slates(
            answers(
                self._hedge,
                lambda asked, seconds: call(asked, timeout=seconds, metadata=shown),
                message,
                deadline_ms / 1e3,
            )
        )

    async def similar(
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
        """The items that go with one, nearest first; see `trunkshow.client.Client.similar`.

        Raises:
            NotFound: the catalogue does not know the item.
        """
        allowed = filters(categories, attributes, include_unavailable=include_unavailable)
        message = similar_items_request(item_id, items, allowed)
        return SimilarItems.from_message(
            await self._call(wire.SIMILAR_ITEMS, message, self._deadline(deadline_ms), request_id)
        )

    async def record(
        self, events: Event | Iterable[Event], *, request_id: str = "", deadline_ms: float = wire.RECORD_DEADLINE_MS
    ) -> Recorded:
        """Write what shoppers did to the event log; see `trunkshow.client.Client.record`.

        Raises:
            Unavailable: the router's event log does not answer, or it has none (reason NO_EVENT_LOG).
            Overloaded: there is no room for more events now.
        """
        return Recorded.from_message(
            await self._call(wire.RECORD_EVENTS, request_of(events), deadline_ms, request_id, self._recording)
        )

    async def stream(
        self, events: Iterable[Event], *, request_id: str = "", deadline_ms: float = wire.STREAM_DEADLINE_MS
    ) -> Recorded:
        """Write as many events as there are, as fast as the log takes them; see `trunkshow.client.Client.stream`."""
        method = wire.STREAM_EVENTS
        call = self._recording.stream_unary(method.path, method.request.SerializeToString, method.response.FromString)
        shown = (*wire.metadata(request_id), *self._identity())
        failed: list[BaseException] = []
        try:
            return Recorded.from_stream(await call(noting(stream_of(events), failed), deadline_ms / 1e3, shown))
        except (grpc.RpcError, asyncio.CancelledError) as error:
            # gRPC reads the events in a task of its own, and cancels the call where they could not be had.
            if failed:
                raise failed[0] from error
            raise from_rpc_error(error) if isinstance(error, grpc.RpcError) else error from error

    async def forget(self, user_id: str, *, deadline_ms: float = wire.RECORD_DEADLINE_MS) -> ForgetReceipt:
        """Forget a person; see `trunkshow.client.Client.forget`."""
        request = events_pb2.ForgetUserRequest(user_id=user_id)
        return ForgetReceipt.from_message(await self._call(wire.FORGET_USER, request, deadline_ms, "", self._recording))

    async def record_items(
        self, items: NewItem | Iterable[NewItem], *, deadline_ms: float = wire.RECORD_DEADLINE_MS
    ) -> RecordedItems:
        """Tell of new items; see `trunkshow.client.Client.record_items`.

        Raises:
            Unavailable: the items' log does not answer, or the router has none (reason NO_EVENT_LOG).
            Overloaded: there is no room for more items.
        """
        request = items_request(items)
        return RecordedItems.from_message(
            await self._call(wire.RECORD_ITEMS, request, deadline_ms, "", self._recording)
        )

    async def features(
        self,
        users: Iterable[str] = (),
        items: Iterable[str] = (),
        *,
        request_id: str = "",
        deadline_ms: float | None = None,
    ) -> FeaturesAnswer:
        """What users and items did lately; see `trunkshow.client.Client.features`."""
        message = features_request(users, items)
        return FeaturesAnswer.from_message(
            await self._call(wire.GET_FEATURES, message, self._deadline(deadline_ms), request_id)
        )

    async def status(self, *, deadline_ms: float = wire.STATUS_DEADLINE_MS) -> ClusterStatus:
        """The shards as the router sees them, and what it has served."""
        return ClusterStatus.from_message(
            await self._call(wire.GET_CLUSTER_STATUS, cluster_pb2.GetClusterStatusRequest(), deadline_ms, "")
        )

    async def _slate(self, message: pb.RecommendRequest, deadline_ms: float, request_id: str) -> Slate:
        return Slate.from_message(await self._call(wire.RECOMMEND, message, deadline_ms, request_id))

    def _deadline(self, deadline_ms: float | None) -> float:
        return self.deadline_ms if deadline_ms is None else deadline_ms

    async def _call(
        self,
        method: wire.Method[wire.Request, wire.Response],
        message: wire.Request,
        deadline_ms: float,
        request_id: str,
        channel: grpc.aio.Channel | None = None,
    ) -> wire.Response:
        channel = self._channel if channel is None else channel
        call = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
        shown = (*wire.metadata(request_id), *self._identity())
        try:
            if (hedge := self._hedges.get(method.path)) is not None:
                return await raced(
                    hedge,
                    lambda seconds: call(message, timeout=seconds, metadata=shown),
                    deadline_ms / 1e3,
                    waits=wire.waits(message),
                    by=wire.router_of,
                )
            return await call(message, timeout=deadline_ms / 1e3, metadata=shown)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error


def open_channel(target: str, credentials: grpc.ChannelCredentials | None, options: wire.Options) -> grpc.aio.Channel:
    """A channel for asyncio; it connects at the first call."""
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=options)
    return grpc.aio.secure_channel(target, credentials, options=options)


async def _slates(answered: AsyncGenerator[pb.RecommendBatchResponse]) -> AsyncIterator[tuple[int, Slate]]:
    try:
        async with aclosing(answered):
            async for answer in answered:
                yield answer.index, Slate.from_message(answer.response)
    except grpc.RpcError as error:
        raise from_rpc_error(error) from error
