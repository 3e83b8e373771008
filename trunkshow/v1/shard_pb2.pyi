from trunkshow.v1 import events_pb2 as _events_pb2
from trunkshow.v1 import features_pb2 as _features_pb2
from trunkshow.v1 import recommendation_pb2 as _recommendation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ShardState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SHARD_STATE_UNSPECIFIED: _ClassVar[ShardState]
    SHARD_STATE_LOADING: _ClassVar[ShardState]
    SHARD_STATE_READY: _ClassVar[ShardState]
    SHARD_STATE_DRAINING: _ClassVar[ShardState]
    SHARD_STATE_DEGRADED: _ClassVar[ShardState]
SHARD_STATE_UNSPECIFIED: ShardState
SHARD_STATE_LOADING: ShardState
SHARD_STATE_READY: ShardState
SHARD_STATE_DRAINING: ShardState
SHARD_STATE_DEGRADED: ShardState

class ReadFeaturesRequest(_message.Message):
    __slots__ = ("user_ids", "item_ids")
    USER_IDS_FIELD_NUMBER: _ClassVar[int]
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    user_ids: _containers.RepeatedScalarFieldContainer[str]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user_ids: _Optional[_Iterable[str]] = ..., item_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ReadFeaturesResponse(_message.Message):
    __slots__ = ("users", "items")
    USERS_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[_features_pb2.Features]
    items: _containers.RepeatedCompositeFieldContainer[_features_pb2.Features]
    def __init__(self, users: _Optional[_Iterable[_Union[_features_pb2.Features, _Mapping]]] = ..., items: _Optional[_Iterable[_Union[_features_pb2.Features, _Mapping]]] = ...) -> None: ...

class PredictRequest(_message.Message):
    __slots__ = ("request", "snapshot_version", "partitions", "carousels", "vector", "rung")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_VERSION_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    CAROUSELS_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    RUNG_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    snapshot_version: str
    partitions: _containers.RepeatedScalarFieldContainer[int]
    carousels: _containers.RepeatedScalarFieldContainer[str]
    vector: bytes
    rung: _recommendation_pb2.Rung
    def __init__(self, request: _Optional[bytes] = ..., snapshot_version: _Optional[str] = ..., partitions: _Optional[_Iterable[int]] = ..., carousels: _Optional[_Iterable[str]] = ..., vector: _Optional[bytes] = ..., rung: _Optional[_Union[_recommendation_pb2.Rung, str]] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("slate", "missing", "rung", "waited_ms", "hidden", "had")
    SLATE_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    RUNG_FIELD_NUMBER: _ClassVar[int]
    WAITED_MS_FIELD_NUMBER: _ClassVar[int]
    HIDDEN_FIELD_NUMBER: _ClassVar[int]
    HAD_FIELD_NUMBER: _ClassVar[int]
    slate: bytes
    missing: _containers.RepeatedCompositeFieldContainer[Missing]
    rung: _recommendation_pb2.Rung
    waited_ms: float
    hidden: _containers.RepeatedScalarFieldContainer[str]
    had: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, slate: _Optional[bytes] = ..., missing: _Optional[_Iterable[_Union[Missing, _Mapping]]] = ..., rung: _Optional[_Union[_recommendation_pb2.Rung, str]] = ..., waited_ms: _Optional[float] = ..., hidden: _Optional[_Iterable[str]] = ..., had: _Optional[_Iterable[str]] = ...) -> None: ...

class Missing(_message.Message):
    __slots__ = ("carousel", "reason", "model")
    CAROUSEL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    carousel: str
    reason: _recommendation_pb2.Reason
    model: str
    def __init__(self, carousel: _Optional[str] = ..., reason: _Optional[_Union[_recommendation_pb2.Reason, str]] = ..., model: _Optional[str] = ...) -> None: ...

class PredictBatchRequest(_message.Message):
    __slots__ = ("requests", "together")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    TOGETHER_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[PredictRequest]
    together: bool
    def __init__(self, requests: _Optional[_Iterable[_Union[PredictRequest, _Mapping]]] = ..., together: _Optional[bool] = ...) -> None: ...

class PredictBatchResponse(_message.Message):
    __slots__ = ("index", "response", "also")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ALSO_FIELD_NUMBER: _ClassVar[int]
    index: int
    response: PredictResponse
    also: _containers.RepeatedCompositeFieldContainer[PredictBatchResponse]
    def __init__(self, index: _Optional[int] = ..., response: _Optional[_Union[PredictResponse, _Mapping]] = ..., also: _Optional[_Iterable[_Union[PredictBatchResponse, _Mapping]]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: ShardStatus
    def __init__(self, status: _Optional[_Union[ShardStatus, _Mapping]] = ...) -> None: ...

class ShardStatus(_message.Message):
    __slots__ = ("name", "state", "generations", "requests", "rss_bytes", "cancelled", "refused_work", "forgotten", "trends", "why_not_ready", "batch_users_max")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_WORK_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    TRENDS_FIELD_NUMBER: _ClassVar[int]
    WHY_NOT_READY_FIELD_NUMBER: _ClassVar[int]
    BATCH_USERS_MAX_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: ShardState
    generations: _containers.RepeatedCompositeFieldContainer[GenerationStatus]
    requests: int
    rss_bytes: int
    cancelled: int
    refused_work: int
    forgotten: str
    trends: Trends
    why_not_ready: str
    batch_users_max: int
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[ShardState, str]] = ..., generations: _Optional[_Iterable[_Union[GenerationStatus, _Mapping]]] = ..., requests: _Optional[int] = ..., rss_bytes: _Optional[int] = ..., cancelled: _Optional[int] = ..., refused_work: _Optional[int] = ..., forgotten: _Optional[str] = ..., trends: _Optional[_Union[Trends, _Mapping]] = ..., why_not_ready: _Optional[str] = ..., batch_users_max: _Optional[int] = ...) -> None: ...

class Trends(_message.Message):
    __slots__ = ("known_from_ms", "known_to_ms", "lists")
    KNOWN_FROM_MS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_TO_MS_FIELD_NUMBER: _ClassVar[int]
    LISTS_FIELD_NUMBER: _ClassVar[int]
    known_from_ms: int
    known_to_ms: int
    lists: _containers.RepeatedCompositeFieldContainer[TrendList]
    def __init__(self, known_from_ms: _Optional[int] = ..., known_to_ms: _Optional[int] = ..., lists: _Optional[_Iterable[_Union[TrendList, _Mapping]]] = ...) -> None: ...

class TrendList(_message.Message):
    __slots__ = ("segment", "item_ids", "surges", "observed", "expected", "windows")
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    SURGES_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    segment: str
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    surges: _containers.RepeatedScalarFieldContainer[float]
    observed: _containers.RepeatedScalarFieldContainer[float]
    expected: _containers.RepeatedScalarFieldContainer[float]
    windows: _containers.RepeatedCompositeFieldContainer[TrendWindow]
    def __init__(self, segment: _Optional[str] = ..., item_ids: _Optional[_Iterable[str]] = ..., surges: _Optional[_Iterable[float]] = ..., observed: _Optional[_Iterable[float]] = ..., expected: _Optional[_Iterable[float]] = ..., windows: _Optional[_Iterable[_Union[TrendWindow, _Mapping]]] = ...) -> None: ...

class TrendWindow(_message.Message):
    __slots__ = ("half_life_s", "surges", "observed", "expected", "counts")
    HALF_LIFE_S_FIELD_NUMBER: _ClassVar[int]
    SURGES_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    half_life_s: float
    surges: _containers.RepeatedScalarFieldContainer[float]
    observed: _containers.RepeatedScalarFieldContainer[float]
    expected: _containers.RepeatedScalarFieldContainer[float]
    counts: _containers.RepeatedCompositeFieldContainer[InteractionCounts]
    def __init__(self, half_life_s: _Optional[float] = ..., surges: _Optional[_Iterable[float]] = ..., observed: _Optional[_Iterable[float]] = ..., expected: _Optional[_Iterable[float]] = ..., counts: _Optional[_Iterable[_Union[InteractionCounts, _Mapping]]] = ...) -> None: ...

class InteractionCounts(_message.Message):
    __slots__ = ("interaction", "counts")
    INTERACTION_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    interaction: _events_pb2.Interaction
    counts: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, interaction: _Optional[_Union[_events_pb2.Interaction, str]] = ..., counts: _Optional[_Iterable[float]] = ...) -> None: ...

class GenerationStatus(_message.Message):
    __slots__ = ("snapshot_version", "warm", "loading", "refused", "stand_ins", "surplus", "why_refused", "refused_stand_ins", "loading_stand_ins")
    SNAPSHOT_VERSION_FIELD_NUMBER: _ClassVar[int]
    WARM_FIELD_NUMBER: _ClassVar[int]
    LOADING_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    STAND_INS_FIELD_NUMBER: _ClassVar[int]
    SURPLUS_FIELD_NUMBER: _ClassVar[int]
    WHY_REFUSED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_STAND_INS_FIELD_NUMBER: _ClassVar[int]
    LOADING_STAND_INS_FIELD_NUMBER: _ClassVar[int]
    snapshot_version: str
    warm: _containers.RepeatedScalarFieldContainer[int]
    loading: _containers.RepeatedScalarFieldContainer[int]
    refused: _containers.RepeatedScalarFieldContainer[int]
    stand_ins: _containers.RepeatedScalarFieldContainer[int]
    surplus: _containers.RepeatedScalarFieldContainer[int]
    why_refused: str
    refused_stand_ins: _containers.RepeatedScalarFieldContainer[int]
    loading_stand_ins: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, snapshot_version: _Optional[str] = ..., warm: _Optional[_Iterable[int]] = ..., loading: _Optional[_Iterable[int]] = ..., refused: _Optional[_Iterable[int]] = ..., stand_ins: _Optional[_Iterable[int]] = ..., surplus: _Optional[_Iterable[int]] = ..., why_refused: _Optional[str] = ..., refused_stand_ins: _Optional[_Iterable[int]] = ..., loading_stand_ins: _Optional[_Iterable[int]] = ...) -> None: ...

class ObserveRequest(_message.Message):
    __slots__ = ("held", "leaving")
    HELD_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    held: _containers.RepeatedCompositeFieldContainer[Held]
    leaving: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, held: _Optional[_Iterable[_Union[Held, _Mapping]]] = ..., leaving: _Optional[_Iterable[str]] = ...) -> None: ...

class Held(_message.Message):
    __slots__ = ("snapshot_version", "partitions", "others")
    SNAPSHOT_VERSION_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    OTHERS_FIELD_NUMBER: _ClassVar[int]
    snapshot_version: str
    partitions: _containers.RepeatedScalarFieldContainer[int]
    others: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, snapshot_version: _Optional[str] = ..., partitions: _Optional[_Iterable[int]] = ..., others: _Optional[_Iterable[int]] = ...) -> None: ...

class ObserveResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
