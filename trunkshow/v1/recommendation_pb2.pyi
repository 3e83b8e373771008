import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Rung(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RUNG_UNSPECIFIED: _ClassVar[Rung]
    RUNG_FRESH: _ClassVar[Rung]
    RUNG_SNAPSHOT: _ClassVar[Rung]
    RUNG_PREVIOUS: _ClassVar[Rung]
    RUNG_STAND_IN: _ClassVar[Rung]
    RUNG_SEGMENT: _ClassVar[Rung]
    RUNG_POPULAR: _ClassVar[Rung]

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASON_UNSPECIFIED: _ClassVar[Reason]
    REASON_USER_UNKNOWN: _ClassVar[Reason]
    REASON_NOTHING_IN_HAND: _ClassVar[Reason]
    REASON_FOLDED_IN: _ClassVar[Reason]
    REASON_CONTEXT_ITEM_UNKNOWN: _ClassVar[Reason]
    REASON_NO_REPLICA: _ClassVar[Reason]
    REASON_SHARD_FAILED: _ClassVar[Reason]
    REASON_SHARD_LATE: _ClassVar[Reason]
    REASON_PARTITION_MISSING: _ClassVar[Reason]
    REASON_CAROUSEL_EMPTY: _ClassVar[Reason]
    REASON_MODEL_FAILED: _ClassVar[Reason]
    REASON_SNAPSHOT_MISMATCH: _ClassVar[Reason]
    REASON_MODEL_LATE: _ClassVar[Reason]
    REASON_MODEL_NONSENSE: _ClassVar[Reason]
    REASON_CAROUSEL_SHORT: _ClassVar[Reason]
    REASON_OVERLOADED: _ClassVar[Reason]
    REASON_REDUCED_EFFORT: _ClassVar[Reason]
    REASON_CANARY: _ClassVar[Reason]
    REASON_STORE_UNREACHABLE: _ClassVar[Reason]
    REASON_PARTIAL_ABORTED: _ClassVar[Reason]
    REASON_ROUTER_FAILED: _ClassVar[Reason]
    REASON_NOT_AS_FRESH: _ClassVar[Reason]

class Partial(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PARTIAL_UNSPECIFIED: _ClassVar[Partial]
    PARTIAL_ALLOW: _ClassVar[Partial]
    PARTIAL_ABORT: _ClassVar[Partial]

class Effort(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EFFORT_UNSPECIFIED: _ClassVar[Effort]
    EFFORT_FULL: _ClassVar[Effort]
    EFFORT_REDUCED: _ClassVar[Effort]
    EFFORT_MINIMAL: _ClassVar[Effort]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_ANSWERED: _ClassVar[Outcome]
    OUTCOME_FAILED: _ClassVar[Outcome]
    OUTCOME_LATE: _ClassVar[Outcome]
    OUTCOME_CANCELLED: _ClassVar[Outcome]
    OUTCOME_NOT_HELD: _ClassVar[Outcome]
    OUTCOME_OVERLOADED: _ClassVar[Outcome]
RUNG_UNSPECIFIED: Rung
RUNG_FRESH: Rung
RUNG_SNAPSHOT: Rung
RUNG_PREVIOUS: Rung
RUNG_STAND_IN: Rung
RUNG_SEGMENT: Rung
RUNG_POPULAR: Rung
REASON_UNSPECIFIED: Reason
REASON_USER_UNKNOWN: Reason
REASON_NOTHING_IN_HAND: Reason
REASON_FOLDED_IN: Reason
REASON_CONTEXT_ITEM_UNKNOWN: Reason
REASON_NO_REPLICA: Reason
REASON_SHARD_FAILED: Reason
REASON_SHARD_LATE: Reason
REASON_PARTITION_MISSING: Reason
REASON_CAROUSEL_EMPTY: Reason
REASON_MODEL_FAILED: Reason
REASON_SNAPSHOT_MISMATCH: Reason
REASON_MODEL_LATE: Reason
REASON_MODEL_NONSENSE: Reason
REASON_CAROUSEL_SHORT: Reason
REASON_OVERLOADED: Reason
REASON_REDUCED_EFFORT: Reason
REASON_CANARY: Reason
REASON_STORE_UNREACHABLE: Reason
REASON_PARTIAL_ABORTED: Reason
REASON_ROUTER_FAILED: Reason
REASON_NOT_AS_FRESH: Reason
PARTIAL_UNSPECIFIED: Partial
PARTIAL_ALLOW: Partial
PARTIAL_ABORT: Partial
EFFORT_UNSPECIFIED: Effort
EFFORT_FULL: Effort
EFFORT_REDUCED: Effort
EFFORT_MINIMAL: Effort
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_ANSWERED: Outcome
OUTCOME_FAILED: Outcome
OUTCOME_LATE: Outcome
OUTCOME_CANCELLED: Outcome
OUTCOME_NOT_HELD: Outcome
OUTCOME_OVERLOADED: Outcome

class RecommendRequest(_message.Message):
    __slots__ = ("user_id", "surface", "context_item_ids", "carousels", "items_per_carousel", "exclude_item_ids", "filters", "include_seen", "partial", "worst_rung", "at_least_as_fresh")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    SURFACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    CAROUSELS_FIELD_NUMBER: _ClassVar[int]
    ITEMS_PER_CAROUSEL_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_SEEN_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_FIELD_NUMBER: _ClassVar[int]
    WORST_RUNG_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_AS_FRESH_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    surface: str
    context_item_ids: _containers.RepeatedScalarFieldContainer[str]
    carousels: _containers.RepeatedScalarFieldContainer[str]
    items_per_carousel: int
    exclude_item_ids: _containers.RepeatedScalarFieldContainer[str]
    filters: Filters
    include_seen: bool
    partial: Partial
    worst_rung: Rung
    at_least_as_fresh: str
    def __init__(self, user_id: _Optional[str] = ..., surface: _Optional[str] = ..., context_item_ids: _Optional[_Iterable[str]] = ..., carousels: _Optional[_Iterable[str]] = ..., items_per_carousel: _Optional[int] = ..., exclude_item_ids: _Optional[_Iterable[str]] = ..., filters: _Optional[_Union[Filters, _Mapping]] = ..., include_seen: _Optional[bool] = ..., partial: _Optional[_Union[Partial, str]] = ..., worst_rung: _Optional[_Union[Rung, str]] = ..., at_least_as_fresh: _Optional[str] = ...) -> None: ...

class Filters(_message.Message):
    __slots__ = ("categories", "attributes", "include_unavailable")
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    categories: _containers.RepeatedScalarFieldContainer[str]
    attributes: _containers.RepeatedCompositeFieldContainer[AttributeFilter]
    include_unavailable: bool
    def __init__(self, categories: _Optional[_Iterable[str]] = ..., attributes: _Optional[_Iterable[_Union[AttributeFilter, _Mapping]]] = ..., include_unavailable: _Optional[bool] = ...) -> None: ...

class AttributeFilter(_message.Message):
    __slots__ = ("name", "values")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class RecommendResponse(_message.Message):
    __slots__ = ("carousels", "receipt", "intent")
    CAROUSELS_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    INTENT_FIELD_NUMBER: _ClassVar[int]
    carousels: _containers.RepeatedCompositeFieldContainer[Carousel]
    receipt: Receipt
    intent: Intent
    def __init__(self, carousels: _Optional[_Iterable[_Union[Carousel, _Mapping]]] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ..., intent: _Optional[_Union[Intent, _Mapping]] = ...) -> None: ...

class Intent(_message.Message):
    __slots__ = ("interests", "window", "strength", "changed", "changed_at", "newest_event")
    INTERESTS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    STRENGTH_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_AT_FIELD_NUMBER: _ClassVar[int]
    NEWEST_EVENT_FIELD_NUMBER: _ClassVar[int]
    interests: _containers.RepeatedCompositeFieldContainer[Interest]
    window: str
    strength: float
    changed: bool
    changed_at: _timestamp_pb2.Timestamp
    newest_event: _timestamp_pb2.Timestamp
    def __init__(self, interests: _Optional[_Iterable[_Union[Interest, _Mapping]]] = ..., window: _Optional[str] = ..., strength: _Optional[float] = ..., changed: _Optional[bool] = ..., changed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., newest_event: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Interest(_message.Message):
    __slots__ = ("category", "share", "lift", "share_5m", "share_1h", "share_1d")
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    LIFT_FIELD_NUMBER: _ClassVar[int]
    SHARE_5M_FIELD_NUMBER: _ClassVar[int]
    SHARE_1H_FIELD_NUMBER: _ClassVar[int]
    SHARE_1D_FIELD_NUMBER: _ClassVar[int]
    category: str
    share: float
    lift: float
    share_5m: float
    share_1h: float
    share_1d: float
    def __init__(self, category: _Optional[str] = ..., share: _Optional[float] = ..., lift: _Optional[float] = ..., share_5m: _Optional[float] = ..., share_1h: _Optional[float] = ..., share_1d: _Optional[float] = ...) -> None: ...

class Carousel(_message.Message):
    __slots__ = ("id", "title", "source", "rung", "items")
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    RUNG_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    source: str
    rung: Rung
    items: _containers.RepeatedCompositeFieldContainer[Item]
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., source: _Optional[str] = ..., rung: _Optional[_Union[Rung, str]] = ..., items: _Optional[_Iterable[_Union[Item, _Mapping]]] = ...) -> None: ...

class Item(_message.Message):
    __slots__ = ("item_id", "score", "reason")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    score: float
    reason: str
    def __init__(self, item_id: _Optional[str] = ..., score: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("request_id", "rung", "reasons", "snapshot_version", "partitions_asked", "partitions_answered", "elapsed_ms", "stages", "effort", "attempts", "budget_ms", "hedged", "model_failures", "watermark", "events_folded", "watermark_age_ms", "kept_age_ms", "router")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RUNG_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_VERSION_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_ASKED_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_ANSWERED_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_MS_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    EFFORT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    BUDGET_MS_FIELD_NUMBER: _ClassVar[int]
    HEDGED_FIELD_NUMBER: _ClassVar[int]
    MODEL_FAILURES_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FOLDED_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_AGE_MS_FIELD_NUMBER: _ClassVar[int]
    KEPT_AGE_MS_FIELD_NUMBER: _ClassVar[int]
    ROUTER_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    rung: Rung
    reasons: _containers.RepeatedScalarFieldContainer[Reason]
    snapshot_version: str
    partitions_asked: int
    partitions_answered: int
    elapsed_ms: float
    stages: _containers.RepeatedCompositeFieldContainer[Stage]
    effort: Effort
    attempts: _containers.RepeatedCompositeFieldContainer[Attempt]
    budget_ms: float
    hedged: bool
    model_failures: _containers.RepeatedCompositeFieldContainer[ModelFailure]
    watermark: str
    events_folded: int
    watermark_age_ms: float
    kept_age_ms: float
    router: str
    def __init__(self, request_id: _Optional[str] = ..., rung: _Optional[_Union[Rung, str]] = ..., reasons: _Optional[_Iterable[_Union[Reason, str]]] = ..., snapshot_version: _Optional[str] = ..., partitions_asked: _Optional[int] = ..., partitions_answered: _Optional[int] = ..., elapsed_ms: _Optional[float] = ..., stages: _Optional[_Iterable[_Union[Stage, _Mapping]]] = ..., effort: _Optional[_Union[Effort, str]] = ..., attempts: _Optional[_Iterable[_Union[Attempt, _Mapping]]] = ..., budget_ms: _Optional[float] = ..., hedged: _Optional[bool] = ..., model_failures: _Optional[_Iterable[_Union[ModelFailure, _Mapping]]] = ..., watermark: _Optional[str] = ..., events_folded: _Optional[int] = ..., watermark_age_ms: _Optional[float] = ..., kept_age_ms: _Optional[float] = ..., router: _Optional[str] = ...) -> None: ...

class Stage(_message.Message):
    __slots__ = ("name", "ms", "budget_ms")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MS_FIELD_NUMBER: _ClassVar[int]
    BUDGET_MS_FIELD_NUMBER: _ClassVar[int]
    name: str
    ms: float
    budget_ms: float
    def __init__(self, name: _Optional[str] = ..., ms: _Optional[float] = ..., budget_ms: _Optional[float] = ...) -> None: ...

class Attempt(_message.Message):
    __slots__ = ("replica", "outcome", "ms", "rung", "hedge")
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    MS_FIELD_NUMBER: _ClassVar[int]
    RUNG_FIELD_NUMBER: _ClassVar[int]
    HEDGE_FIELD_NUMBER: _ClassVar[int]
    replica: str
    outcome: Outcome
    ms: float
    rung: Rung
    hedge: bool
    def __init__(self, replica: _Optional[str] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., ms: _Optional[float] = ..., rung: _Optional[_Union[Rung, str]] = ..., hedge: _Optional[bool] = ...) -> None: ...

class ModelFailure(_message.Message):
    __slots__ = ("carousel", "model", "reason")
    CAROUSEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    carousel: str
    model: str
    reason: Reason
    def __init__(self, carousel: _Optional[str] = ..., model: _Optional[str] = ..., reason: _Optional[_Union[Reason, str]] = ...) -> None: ...

class RecommendBatchRequest(_message.Message):
    __slots__ = ("requests", "together")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    TOGETHER_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[RecommendRequest]
    together: bool
    def __init__(self, requests: _Optional[_Iterable[_Union[RecommendRequest, _Mapping]]] = ..., together: _Optional[bool] = ...) -> None: ...

class RecommendBatchResponse(_message.Message):
    __slots__ = ("index", "response", "also")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ALSO_FIELD_NUMBER: _ClassVar[int]
    index: int
    response: RecommendResponse
    also: _containers.RepeatedCompositeFieldContainer[RecommendBatchResponse]
    def __init__(self, index: _Optional[int] = ..., response: _Optional[_Union[RecommendResponse, _Mapping]] = ..., also: _Optional[_Iterable[_Union[RecommendBatchResponse, _Mapping]]] = ...) -> None: ...

class SimilarItemsRequest(_message.Message):
    __slots__ = ("item_id", "items", "filters")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    items: int
    filters: Filters
    def __init__(self, item_id: _Optional[str] = ..., items: _Optional[int] = ..., filters: _Optional[_Union[Filters, _Mapping]] = ...) -> None: ...

class SimilarItemsResponse(_message.Message):
    __slots__ = ("carousel", "receipt")
    CAROUSEL_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    carousel: Carousel
    receipt: Receipt
    def __init__(self, carousel: _Optional[_Union[Carousel, _Mapping]] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ...) -> None: ...
