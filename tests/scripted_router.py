"""A router that answers from a script: real gRPC on a free port, no shards behind it. Not a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from trunkshow.errors import FIELD_KEY, PUSHBACK_KEY, REASON_KEY, InvalidArgument, TrunkshowError
from trunkshow.v1 import cluster_pb2, events_pb2, features_pb2, shard_pb2
from trunkshow.v1 import recommendation_pb2 as pb

SLATE = pb.RecommendResponse(
    carousels=[
        pb.Carousel(
            id="for-you",
            title="For you",
            source="ials",
            rung=pb.RUNG_SNAPSHOT,
            items=[
                pb.Item(item_id="hat", score=0.75, reason="Matches your taste"),
                pb.Item(item_id="coat", score=0.5, reason="Goes with [bold]hat[/]"),
            ],
        ),
        pb.Carousel(
            id="popular",
            title="Popular right now",
            source="popularity",
            rung=pb.RUNG_POPULAR,
            items=[pb.Item(item_id="scarf", score=1234, reason="Popular with everyone")],
        ),
    ],
    receipt=pb.Receipt(
        request_id="r-1",
        rung=pb.RUNG_SNAPSHOT,
        reasons=[pb.REASON_SHARD_LATE, pb.REASON_PARTITION_MISSING],
        snapshot_version="v1",
        partitions_asked=4,
        partitions_answered=3,
        elapsed_ms=12.5,
        stages=[pb.Stage(name="predict", ms=8.25), pb.Stage(name="shard", ms=10.5)],
    ),
)
SIMILAR = pb.SimilarItemsResponse(
    carousel=pb.Carousel(
        id="similar-items", title="Goes with hat", source="item-neighbours", items=[pb.Item(item_id="cap")]
    ),
    receipt=pb.Receipt(request_id="r-2", rung=pb.RUNG_SNAPSHOT, snapshot_version="v1"),
)
FEATURES = features_pb2.GetFeaturesResponse(
    users=[
        features_pb2.Features(
            id="ann",
            known=True,
            windows=[
                features_pb2.WindowCounts(
                    window="1h",
                    begins={"seconds": 1_700_000_000},
                    complete=True,
                    counts=[features_pb2.InteractionCount(interaction=events_pb2.INTERACTION_CLICK, count=3)],
                ),
                features_pb2.WindowCounts(
                    window="1d",
                    begins={"seconds": 1_699_920_000},
                    counts=[
                        features_pb2.InteractionCount(interaction=events_pb2.INTERACTION_CLICK, count=1234),
                        features_pb2.InteractionCount(interaction=events_pb2.INTERACTION_CONTENT_IMPRESSION, count=2),
                        features_pb2.InteractionCount(interaction=events_pb2.INTERACTION_UNSPECIFIED, count=1),
                    ],
                ),
            ],
            last_price=19.5,
            last_category="hats [warm]",
            moment={"seconds": 1_700_003_600},
            known_from={"seconds": 1_699_990_000},
            watermark="log/0:7",
            replica="10.0.0.1:7451",
        ),
        features_pb2.Features(id="bob", missing=pb.REASON_SHARD_LATE),
    ],
    items=[features_pb2.Features(id="coat", moment={"seconds": 1_700_003_600}, replica="10.0.0.1:7451")],
    request_id="r-3",
    attempts=[pb.Attempt(replica="10.0.0.1:7451", outcome=pb.OUTCOME_ANSWERED, ms=2.5)],
    elapsed_ms=3.5,
)
STATUS = cluster_pb2.GetClusterStatusResponse(
    snapshot_version="v1",
    partitions=4,
    partitions_covered=4,
    shards=[
        cluster_pb2.ReplicaStatus(
            address="10.0.0.1:7451",
            reachable=True,
            in_flight=2,
            status=shard_pb2.ShardStatus(
                name="10.0.0.1:7451",
                state=shard_pb2.SHARD_STATE_READY,
                generations=[shard_pb2.GenerationStatus(snapshot_version="v1", warm=[0, 1, 2, 3], refused=[7])],
                requests=17,
                rss_bytes=3 << 20,
            ),
        ),
        cluster_pb2.ReplicaStatus(address="10.0.0.2:7451", reachable=False, last_error="UNAVAILABLE"),
    ],
    rungs=[cluster_pb2.RungCount(rung=pb.RUNG_SNAPSHOT, carousels=40)],
    requests=20,
)


@dataclass
class Seen:
    """A call as it arrived.

    Attributes:
        live: whether it is under way still: neither answered nor called off.
    """

    request: Any
    metadata: dict[str, str]
    time_remaining_s: float
    live: Callable[[], bool]


@dataclass
class ScriptedRouter:
    """What the router answers, and what it was asked. An answer that is an exception is raised.

    Attributes:
        target: its address.
        answers: by method; tests put others in.
            "Record" is None while events are taken; an iterator gives what becomes of one try after the other.
        seen: every call, oldest first.
        events: that were recorded; an event without a user is refused.
    """

    target: str = ""
    answers: dict[str, Any] = field(
        default_factory=lambda: {
            "Recommend": SLATE,
            "SimilarItems": SIMILAR,
            "GetClusterStatus": STATUS,
            "GetFeatures": FEATURES,
            "Record": None,
        }
    )
    seen: list[Seen] = field(default_factory=list)
    events: list[events_pb2.Event] = field(default_factory=list)

    def _unary(self, name: str, request: Any, context: grpc.ServicerContext) -> Any:
        self._note(request, context)
        return self._give(self.answers[name], context)

    def _batch(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        self._note(request, context)
        # Last first: a batch is answered in any order.
        answers = [
            pb.RecommendBatchResponse(index=index, response=self._give(self.answers["Recommend"], context))
            for index in reversed(range(len(request.requests)))
        ]
        if request.together:  # by threes
            for at in range(0, len(answers), 3):
                answers[at].also.extend(answers[at + 1 : at + 3])
            answers = answers[::3]
        yield from answers

    def _record(self, request: Any, context: grpc.ServicerContext) -> events_pb2.RecordEventsResponse:
        self._note(request, context)
        self._take_or_fail(context)
        if not 1 <= len(request.events) <= 1000:
            self._give(InvalidArgument(f"events: {len(request.events)} given", field="events"), context)
        return self._recorded(request.events)

    def _stream(self, requests: Iterator[Any], context: grpc.ServicerContext) -> events_pb2.StreamEventsResponse:
        self._take_or_fail(context)
        recorded, refused = 0, []
        for request in requests:
            self._note(request, context)
            answer = self._recorded(request.events)
            recorded += answer.recorded
            refused.extend(answer.refused)
        mark = f"scripted/0:{len(self.events)}"
        return events_pb2.StreamEventsResponse(
            recorded=recorded, refused=len(refused), first_refused=refused[:100], watermark=mark
        )

    def _recorded(self, events: Sequence[events_pb2.Event]) -> events_pb2.RecordEventsResponse:
        right = [one for one in events if one.user_id]
        refused = [
            events_pb2.RefusedEvent(
                index=index,
                event_id=one.event_id,
                field=f"events[{index}].user_id",
                reason="USER_ID_EMPTY",
                message=f"events[{index}].user_id: empty",
            )
            for index, one in enumerate(events)
            if not one.user_id
        ]
        self.events.extend(right)
        mark = f"scripted/0:{len(self.events)}" if right else ""
        return events_pb2.RecordEventsResponse(recorded=len(right), refused=refused, watermark=mark)

    def _take_or_fail(self, context: grpc.ServicerContext) -> None:
        scripted = self.answers["Record"]
        self._give(next(scripted, None) if isinstance(scripted, Iterator) else scripted, context)

    def _note(self, request: Any, context: grpc.ServicerContext) -> None:
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        self.seen.append(Seen(request, metadata, context.time_remaining() or 0.0, context.is_active))

    def _give(self, answer: Any, context: grpc.ServicerContext) -> Any:
        if isinstance(answer, TrunkshowError):
            after = answer.retry_after_ms
            advice = () if after is None else ((PUSHBACK_KEY, str(after)),)
            context.set_trailing_metadata(((REASON_KEY, answer.reason), (FIELD_KEY, answer.field), *advice))
            context.abort(answer.code, answer.message)
        return answer() if callable(answer) else answer

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Its methods as gRPC takes them."""

        def unary(name: str, asked: Any, answered: Any) -> Any:
            def answer(request: Any, context: grpc.ServicerContext) -> Any:
                return self._unary(name, request, context)

            return grpc.unary_unary_rpc_method_handler(answer, asked.FromString, answered.SerializeToString)

        batch = grpc.unary_stream_rpc_method_handler(
            self._batch, pb.RecommendBatchRequest.FromString, pb.RecommendBatchResponse.SerializeToString
        )
        stream = grpc.stream_unary_rpc_method_handler(
            self._stream,
            events_pb2.StreamEventsRequest.FromString,
            events_pb2.StreamEventsResponse.SerializeToString,
        )
        record = grpc.unary_unary_rpc_method_handler(
            self._record,
            events_pb2.RecordEventsRequest.FromString,
            events_pb2.RecordEventsResponse.SerializeToString,
        )
        asked, answered = cluster_pb2.GetClusterStatusRequest, cluster_pb2.GetClusterStatusResponse
        return [
            grpc.method_handlers_generic_handler(
                "trunkshow.v1.RecommendationService",
                {
                    "Recommend": unary("Recommend", pb.RecommendRequest, pb.RecommendResponse),
                    "SimilarItems": unary("SimilarItems", pb.SimilarItemsRequest, pb.SimilarItemsResponse),
                    "RecommendBatch": batch,
                },
            ),
            grpc.method_handlers_generic_handler(
                "trunkshow.v1.EventService", {"RecordEvents": record, "StreamEvents": stream}
            ),
            grpc.method_handlers_generic_handler(
                "trunkshow.v1.FeatureService",
                {
                    "GetFeatures": unary(
                        "GetFeatures", features_pb2.GetFeaturesRequest, features_pb2.GetFeaturesResponse
                    )
                },
            ),
            grpc.method_handlers_generic_handler(
                "trunkshow.v1.ClusterService", {"GetClusterStatus": unary("GetClusterStatus", asked, answered)}
            ),
        ]


Serve = Callable[[str], ScriptedRouter]


@contextmanager
def scripted_router(
    listen: str = "127.0.0.1:0",
    more: Sequence[grpc.GenericRpcHandler] = (),
    credentials: grpc.ServerCredentials | None = None,
) -> Iterator[ScriptedRouter]:
    """A router that listens until the block is left, with what else it is to answer; by TLS with credentials."""
    router = ScriptedRouter()
    server = grpc.server(ThreadPoolExecutor(8), options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers([*router.handlers(), *more])
    port = server.add_secure_port(listen, credentials) if credentials else server.add_insecure_port(listen)
    router.target = f"127.0.0.1:{port}"
    server.start()
    try:
        yield router
    finally:
        server.stop(None).wait()
