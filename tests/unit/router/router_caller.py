"""A backend service that calls a router under test; the fixture `start` gives one. Not a test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc.aio

from trunkshow.v1 import cluster_pb2, events_pb2, features_pb2
from trunkshow.v1 import recommendation_pb2 as pb

NOBODY = "127.0.0.1:1"
"""A port on which nobody listens."""


class Caller:
    """A backend service that calls the router."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    async def raw(self, method: str, request: bytes, **options: Any) -> bytes:
        """One call of RecommendationService over bytes."""
        answer = await self.channel.unary_unary(f"/trunkshow.v1.RecommendationService/{method}")(request, **options)
        return bytes(answer)

    async def recommend(self, user: str = "u0", request_id: str = "", **fields: Any) -> pb.RecommendResponse:
        """Recommend."""
        metadata = (("x-request-id", request_id),) if request_id else None
        request = pb.RecommendRequest(user_id=user, **fields)
        return pb.RecommendResponse.FromString(
            await self.raw("Recommend", request.SerializeToString(), metadata=metadata)
        )

    async def similar(self, item: str, **fields: Any) -> pb.SimilarItemsResponse:
        """SimilarItems."""
        request = pb.SimilarItemsRequest(item_id=item, **fields)
        return pb.SimilarItemsResponse.FromString(await self.raw("SimilarItems", request.SerializeToString()))

    async def batch(
        self, requests: list[pb.RecommendRequest], timeout_s: float | None = None, *, together: bool = False
    ) -> list[pb.RecommendBatchResponse]:
        """RecommendBatch, to its end: the messages as they came."""
        call = self.channel.unary_stream("/trunkshow.v1.RecommendationService/RecommendBatch")
        data = pb.RecommendBatchRequest(requests=requests, together=together).SerializeToString()
        return [pb.RecommendBatchResponse.FromString(answer) async for answer in call(data, timeout=timeout_s)]

    async def record(self, *events: events_pb2.Event) -> events_pb2.RecordEventsResponse:
        """RecordEvents."""
        data = events_pb2.RecordEventsRequest(events=events).SerializeToString()
        answer = await self.channel.unary_unary("/trunkshow.v1.EventService/RecordEvents")(data)
        return events_pb2.RecordEventsResponse.FromString(answer)

    async def forget(self, user_id: str) -> events_pb2.ForgetUserResponse:
        """ForgetUser."""
        data = events_pb2.ForgetUserRequest(user_id=user_id).SerializeToString()
        answer = await self.channel.unary_unary("/trunkshow.v1.EventService/ForgetUser")(data)
        return events_pb2.ForgetUserResponse.FromString(answer)

    async def features(self, timeout_s: float | None = None, **fields: Any) -> features_pb2.GetFeaturesResponse:
        """GetFeatures."""
        data = features_pb2.GetFeaturesRequest(**fields).SerializeToString()
        call = self.channel.unary_unary("/trunkshow.v1.FeatureService/GetFeatures")
        return features_pb2.GetFeaturesResponse.FromString(await call(data, timeout=timeout_s))

    async def status(self) -> cluster_pb2.GetClusterStatusResponse:
        """GetClusterStatus."""
        answer = await self.channel.unary_unary("/trunkshow.v1.ClusterService/GetClusterStatus")(b"")
        return cluster_pb2.GetClusterStatusResponse.FromString(answer)


Start = Callable[..., Awaitable[Caller]]

TWO = ["for-you", "popular"]
"""Carousels to ask for."""


def ids(made: pb.Carousel) -> list[str]:
    """What a carousel shows."""
    return [item.item_id for item in made.items]
