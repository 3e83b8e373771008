import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from trunkshow.v1 import events_pb2 as _events_pb2
from trunkshow.v1 import recommendation_pb2 as _recommendation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetFeaturesRequest(_message.Message):
    __slots__ = ("user_ids", "item_ids")
    USER_IDS_FIELD_NUMBER: _ClassVar[int]
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    user_ids: _containers.RepeatedScalarFieldContainer[str]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user_ids: _Optional[_Iterable[str]] = ..., item_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class GetFeaturesResponse(_message.Message):
    __slots__ = ("users", "items", "request_id", "attempts", "elapsed_ms")
    USERS_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_MS_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[Features]
    items: _containers.RepeatedCompositeFieldContainer[Features]
    request_id: str
    attempts: _containers.RepeatedCompositeFieldContainer[_recommendation_pb2.Attempt]
    elapsed_ms: float
    def __init__(self, users: _Optional[_Iterable[_Union[Features, _Mapping]]] = ..., items: _Optional[_Iterable[_Union[Features, _Mapping]]] = ..., request_id: _Optional[str] = ..., attempts: _Optional[_Iterable[_Union[_recommendation_pb2.Attempt, _Mapping]]] = ..., elapsed_ms: _Optional[float] = ...) -> None: ...

class Features(_message.Message):
    __slots__ = ("id", "known", "windows", "last_price", "last_category", "moment", "known_from", "watermark", "replica", "missing")
    ID_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    LAST_PRICE_FIELD_NUMBER: _ClassVar[int]
    LAST_CATEGORY_FIELD_NUMBER: _ClassVar[int]
    MOMENT_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FROM_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    id: str
    known: bool
    windows: _containers.RepeatedCompositeFieldContainer[WindowCounts]
    last_price: float
    last_category: str
    moment: _timestamp_pb2.Timestamp
    known_from: _timestamp_pb2.Timestamp
    watermark: str
    replica: str
    missing: _recommendation_pb2.Reason
    def __init__(self, id: _Optional[str] = ..., known: _Optional[bool] = ..., windows: _Optional[_Iterable[_Union[WindowCounts, _Mapping]]] = ..., last_price: _Optional[float] = ..., last_category: _Optional[str] = ..., moment: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., known_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., watermark: _Optional[str] = ..., replica: _Optional[str] = ..., missing: _Optional[_Union[_recommendation_pb2.Reason, str]] = ...) -> None: ...

class WindowCounts(_message.Message):
    __slots__ = ("window", "begins", "complete", "counts")
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    BEGINS_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    window: str
    begins: _timestamp_pb2.Timestamp
    complete: bool
    counts: _containers.RepeatedCompositeFieldContainer[InteractionCount]
    def __init__(self, window: _Optional[str] = ..., begins: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., complete: _Optional[bool] = ..., counts: _Optional[_Iterable[_Union[InteractionCount, _Mapping]]] = ...) -> None: ...

class InteractionCount(_message.Message):
    __slots__ = ("interaction", "count")
    INTERACTION_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    interaction: _events_pb2.Interaction
    count: int
    def __init__(self, interaction: _Optional[_Union[_events_pb2.Interaction, str]] = ..., count: _Optional[int] = ...) -> None: ...
