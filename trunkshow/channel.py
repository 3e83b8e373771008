"""How a client reaches a router: the channel's options, and the methods with their messages.

Values that `trunkshow.client` and `trunkshow.async_client` share; nothing here connects by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import grpc
from google.protobuf.message import Message

from trunkshow.errors import InvalidArgument, Unavailable
from trunkshow.v1 import cluster_pb2, direct_pb2, events_pb2, features_pb2
from trunkshow.v1 import recommendation_pb2 as pb

DEADLINE_MS = 200.0
"""The router's own; it cuts a longer one to this."""

BATCH_DEADLINE_MS = 2_000.0
STATUS_DEADLINE_MS = 2_000.0
RECORD_DEADLINE_MS = 5_000.0
"""A router gives its log 2 s of it; in what is left gRPC asks again."""

STREAM_DEADLINE_MS = 600_000.0
CONNECT_TIMEOUT_S = 5.0

# Asking twice is harmless: a call that met a router on its way out goes to another one, within its deadline. What gRPC
# for Python does of this was tried (tests/contract/test_client_channel.py); hedgingPolicy and `timeout` are left out
# since it ignores the one and breaks on the other.
_SERVICE_CONFIG = {
    "loadBalancingConfig": [
        {
            # A router that fails more than half of at least five calls in half a second is left alone: the first time
            # for less than what lies between two restarts of a rolling deployment, since one that was restarted may be
            # among them, and be the only one while the next is; the second time, which takes twice as long, for longer
            # than keepalive needs to notice that one stands still. Meanwhile calls to it are hedged.
            "outlier_detection_experimental": {
                "interval": "0.5s",
                "baseEjectionTime": "4s",
                "maxEjectionTime": "30s",
                "maxEjectionPercent": 50,
                "failurePercentageEjection": {
                    "threshold": 50,
                    "enforcementPercentage": 100,
                    "minimumHosts": 2,
                    "requestVolume": 5,
                },
                "childPolicy": [{"round_robin": {}}],
            }
        }
    ],
    # A router says itself when it drains: nothing new is sent to it then.
    "healthCheckConfig": {"serviceName": "trunkshow.v1.RecommendationService"},
    # Where many calls fail, retries would only add to it: each failure costs a token, each success gives a tenth back,
    # and with half of them spent nothing is asked again. So many that a router which dies with a busy caller's calls
    # under way does not spend them: with 20 of them the eleventh such call failed.
    "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
    "methodConfig": [
        {
            "name": [
                {"service": "trunkshow.v1.RecommendationService"},
                {"service": "trunkshow.v1.ClusterService"},
                {"service": "trunkshow.v1.FeatureService"},
            ],
            "retryPolicy": {
                # Some 0.4 s in all, as far as the deadline allows: for as long connections may still be made to a
                # process that is going, and reset, where several share the port.
                "maxAttempts": 5,
                "initialBackoff": "0.01s",
                "maxBackoff": "0.2s",
                "backoffMultiplier": 4,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}

Options = tuple[tuple[str, Any], ...]

_CONNECTING: Options = (
    # gRPC would wait up to two minutes between attempts; a restarted router is to be found in about a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A router whose machine vanished is noticed in 3 s, not in TCP's 15 minutes: on Linux gRPC makes the
    # keepalive timeout the socket's TCP_USER_TIMEOUT, but only where keepalive is on. One that stands still answers no
    # ping, and gets no calls from 9 s on until it answers again. Servers allow a ping every 5 s.
    ("grpc.keepalive_time_ms", 6_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    # The same for the pings that gRPC sends of its own accord, to learn a connection's width: while one is out there is
    # no other, and it would wait for a minute.
    ("grpc.http2.ping_timeout_ms", 3_000),
    # Another channel's backoff in the same process must not hold this one up.
    ("grpc.use_local_subchannel_pool", 1),
    # The router is a neighbour; an HTTP proxy for the internet is never the way to it.
    ("grpc.enable_http_proxy", 0),
)
SHARD_OPTIONS = _CONNECTING
"""Of a line to a shard: nothing is asked twice there, since whoever asks has a router to go to."""

OPTIONS: Options = (*_CONNECTING, ("grpc.service_config", json.dumps(_SERVICE_CONFIG)))

# Events go over a connection of their own: a router whose log is down fails them all, and must not be left alone for
# that by callers who want slates. The same events may be sent again, since they are counted by their ids; a router
# that has no room says when (RESOURCE_EXHAUSTED), one whose log will never be there says so, too.
_RECORDING_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": "trunkshow.v1.EventService"},
    "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.1},
    "methodConfig": [
        {
            "name": [{"service": "trunkshow.v1.EventService"}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.05s",
                "maxBackoff": "0.5s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
            },
        }
    ],
}

RECORDING_OPTIONS: Options = (*_CONNECTING, ("grpc.service_config", json.dumps(_RECORDING_CONFIG)))

Metadata = tuple[tuple[str, str], ...]
Token = str | Callable[[], str]

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


class Method(NamedTuple, Generic[Request, Response]):
    """One method of the contract: its path and the messages that travel."""

    path: str
    request: type[Request]
    response: type[Response]


RECOMMEND = Method("/trunkshow.v1.RecommendationService/Recommend", pb.RecommendRequest, pb.RecommendResponse)
RECOMMEND_BATCH = Method(
    "/trunkshow.v1.RecommendationService/RecommendBatch", pb.RecommendBatchRequest, pb.RecommendBatchResponse
)
SIMILAR_ITEMS = Method(
    "/trunkshow.v1.RecommendationService/SimilarItems", pb.SimilarItemsRequest, pb.SimilarItemsResponse
)
RECORD_EVENTS = Method(
    "/trunkshow.v1.EventService/RecordEvents", events_pb2.RecordEventsRequest, events_pb2.RecordEventsResponse
)
STREAM_EVENTS = Method(
    "/trunkshow.v1.EventService/StreamEvents", events_pb2.StreamEventsRequest, events_pb2.StreamEventsResponse
)
FORGET_USER = Method(
    "/trunkshow.v1.EventService/ForgetUser", events_pb2.ForgetUserRequest, events_pb2.ForgetUserResponse
)
RECORD_ITEMS = Method(
    "/trunkshow.v1.EventService/RecordItems", events_pb2.RecordItemsRequest, events_pb2.RecordItemsResponse
)
GET_FEATURES = Method(
    "/trunkshow.v1.FeatureService/GetFeatures", features_pb2.GetFeaturesRequest, features_pb2.GetFeaturesResponse
)
GET_CLUSTER_STATUS = Method(
    "/trunkshow.v1.ClusterService/GetClusterStatus",
    cluster_pb2.GetClusterStatusRequest,
    cluster_pb2.GetClusterStatusResponse,
)

GET_ROUTES = Method("/trunkshow.v1.DirectService/GetRoutes", direct_pb2.GetRoutesRequest, direct_pb2.GetRoutesResponse)
WATCH_PLACEMENT = Method(
    "/trunkshow.v1.DirectService/WatchPlacement",
    direct_pb2.WatchPlacementRequest,
    direct_pb2.WatchPlacementResponse,
)
PREDICT = "/trunkshow.v1.ShardService/Predict"


def waits(message: Message) -> bool:
    """Whether an answer takes long by its caller's own wish."""
    return bool(getattr(message, "at_least_as_fresh", ""))


def router_of(answer: object) -> str:
    """Which router an answer is of, by its receipt; empty where it has none."""
    receipt = getattr(answer, "receipt", None)
    return str(receipt.router) if receipt is not None else ""


def metadata(request_id: str) -> tuple[tuple[str, str], ...]:
    """The metadata of one call; the router makes a request id where none is given.

    Raises:
        InvalidArgument: gRPC would not send it.
    """
    if not (request_id.isascii() and request_id.isprintable()):
        message = f"request_id: {request_id!r} cannot be sent; metadata takes printable ASCII alone"
        raise InvalidArgument(message, field="x-request-id")
    return (("x-request-id", request_id),) if request_id else ()


def identify(api_key: str, token: Token) -> Callable[[], Metadata]:
    """What a call carries to be let in by, made anew for each.

    Raises:
        InvalidArgument: there are two, or gRPC would not send it.
    """
    if api_key and token:
        raise InvalidArgument("api_key: given beside token; one of them is enough", field="api_key")
    for name, text in (("api_key", api_key), ("token", "" if callable(token) else token)):
        if not (text.isascii() and text.isprintable()):
            raise InvalidArgument(f"{name}: it cannot be sent; metadata takes printable ASCII alone", field=name)
    if callable(token):
        return lambda: (("authorization", f"Bearer {token()}"),)
    fixed = (("authorization", f"Bearer {token}"),) if token else (("x-api-key", api_key),) if api_key else ()
    return lambda: fixed


def tls_credentials(
    ca: Path | str | None = None, cert: Path | str | None = None, key: Path | str | None = None
) -> grpc.ChannelCredentials:
    """TLS from files, for a client's `credentials`.

    Args:
        ca: authorities that the router's certificate must come from, PEM; the system's where not given.
        cert: the caller's own certificate and what leads to its authority, PEM, where the router asks for one.
        key: its private key, PEM.

    Raises:
        OSError: a file cannot be read.
        ValueError: a certificate was given without its key, or the other way round.
    """
    if (cert is None) != (key is None):
        raise ValueError("a certificate and its key are given together, or neither")
    read = [None if one is None else Path(one).read_bytes() for one in (ca, key, cert)]
    return grpc.ssl_channel_credentials(*read)


def nobody_answered(target: str, timeout_s: float) -> Unavailable:
    """What is raised where no connection came about."""
    return Unavailable(f"no router answered at {target} within {timeout_s:g} s; is it running?")


def check_target(target: str) -> None:
    """Refuse an address that gRPC cannot even write down.

    Raises:
        InvalidArgument: it is empty, or holds half a surrogate pair.
    """
    try:
        target.encode()
    except UnicodeError:
        raise InvalidArgument(f"target: {target!r} is not text") from None
    if not target:
        raise InvalidArgument("target: none given; write HOST:PORT, such as 127.0.0.1:7450")


def open_channel(target: str, credentials: grpc.ChannelCredentials | None, options: Options = OPTIONS) -> grpc.Channel:
    """A blocking channel; it connects at the first call.

    Raises:
        InvalidArgument: the target is not an address.
    """
    check_target(target)
    if credentials is None:
        return grpc.insecure_channel(target, options=options)
    return grpc.secure_channel(target, credentials, options=options)
