from trunkshow.v1 import recommendation_pb2 as _recommendation_pb2
from trunkshow.v1 import shard_pb2 as _shard_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetClusterStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetClusterStatusResponse(_message.Message):
    __slots__ = ("snapshot_version", "partitions", "partitions_covered", "shards", "rungs", "requests")
    SNAPSHOT_VERSION_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_COVERED_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    RUNGS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    snapshot_version: str
    partitions: int
    partitions_covered: int
    shards: _containers.RepeatedCompositeFieldContainer[ReplicaStatus]
    rungs: _containers.RepeatedCompositeFieldContainer[RungCount]
    requests: int
    def __init__(self, snapshot_version: _Optional[str] = ..., partitions: _Optional[int] = ..., partitions_covered: _Optional[int] = ..., shards: _Optional[_Iterable[_Union[ReplicaStatus, _Mapping]]] = ..., rungs: _Optional[_Iterable[_Union[RungCount, _Mapping]]] = ..., requests: _Optional[int] = ...) -> None: ...

class ReplicaStatus(_message.Message):
    __slots__ = ("address", "reachable", "status", "in_flight", "last_error")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    REACHABLE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    address: str
    reachable: bool
    status: _shard_pb2.ShardStatus
    in_flight: int
    last_error: str
    def __init__(self, address: _Optional[str] = ..., reachable: _Optional[bool] = ..., status: _Optional[_Union[_shard_pb2.ShardStatus, _Mapping]] = ..., in_flight: _Optional[int] = ..., last_error: _Optional[str] = ...) -> None: ...

class RungCount(_message.Message):
    __slots__ = ("rung", "carousels")
    RUNG_FIELD_NUMBER: _ClassVar[int]
    CAROUSELS_FIELD_NUMBER: _ClassVar[int]
    rung: _recommendation_pb2.Rung
    carousels: int
    def __init__(self, rung: _Optional[_Union[_recommendation_pb2.Rung, str]] = ..., carousels: _Optional[int] = ...) -> None: ...
