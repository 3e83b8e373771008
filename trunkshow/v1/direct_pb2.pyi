from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetRoutesRequest(_message.Message):
    __slots__ = ("user_ids",)
    USER_IDS_FIELD_NUMBER: _ClassVar[int]
    user_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class GetRoutesResponse(_message.Message):
    __slots__ = ("snapshot_version", "partitions", "life_ms", "grant", "forgotten")
    SNAPSHOT_VERSION_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    LIFE_MS_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    snapshot_version: str
    partitions: _containers.RepeatedScalarFieldContainer[int]
    life_ms: int
    grant: str
    forgotten: str
    def __init__(self, snapshot_version: _Optional[str] = ..., partitions: _Optional[_Iterable[int]] = ..., life_ms: _Optional[int] = ..., grant: _Optional[str] = ..., forgotten: _Optional[str] = ...) -> None: ...

class WatchPlacementRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchPlacementResponse(_message.Message):
    __slots__ = ("placement",)
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    placement: Placement
    def __init__(self, placement: _Optional[_Union[Placement, _Mapping]] = ...) -> None: ...

class Placement(_message.Message):
    __slots__ = ("snapshot_version", "holders", "carousels", "has_occasions", "forgotten", "deadline_ms", "has_trends")
    SNAPSHOT_VERSION_FIELD_NUMBER: _ClassVar[int]
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    CAROUSELS_FIELD_NUMBER: _ClassVar[int]
    HAS_OCCASIONS_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    HAS_TRENDS_FIELD_NUMBER: _ClassVar[int]
    snapshot_version: str
    holders: _containers.RepeatedCompositeFieldContainer[Holder]
    carousels: _containers.RepeatedScalarFieldContainer[str]
    has_occasions: bool
    forgotten: str
    deadline_ms: float
    has_trends: bool
    def __init__(self, snapshot_version: _Optional[str] = ..., holders: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ..., carousels: _Optional[_Iterable[str]] = ..., has_occasions: _Optional[bool] = ..., forgotten: _Optional[str] = ..., deadline_ms: _Optional[float] = ..., has_trends: _Optional[bool] = ...) -> None: ...

class Holder(_message.Message):
    __slots__ = ("address", "partitions")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    address: str
    partitions: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, address: _Optional[str] = ..., partitions: _Optional[_Iterable[int]] = ...) -> None: ...
