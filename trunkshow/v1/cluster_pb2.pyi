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
    __slots__ = ("snapshot_version", "partitions", "partitions_covered", "shards", "rungs", "requests", "previous_version", "candidate", "store_reachable", "shed", "hedges", "concurrency_limit", "in_flight", "partitions_moved", "event_log")
    SNAPSHOT_VERSION_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_COVERED_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    RUNGS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_VERSION_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    STORE_REACHABLE_FIELD_NUMBER: _ClassVar[int]
    SHED_FIELD_NUMBER: _ClassVar[int]
    HEDGES_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_LIMIT_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_MOVED_FIELD_NUMBER: _ClassVar[int]
    EVENT_LOG_FIELD_NUMBER: _ClassVar[int]
    snapshot_version: str
    partitions: int
    partitions_covered: int
    shards: _containers.RepeatedCompositeFieldContainer[ReplicaStatus]
    rungs: _containers.RepeatedCompositeFieldContainer[RungCount]
    requests: int
    previous_version: str
    candidate: Candidate
    store_reachable: bool
    shed: int
    hedges: int
    concurrency_limit: int
    in_flight: int
    partitions_moved: int
    event_log: EventLogStatus
    def __init__(self, snapshot_version: _Optional[str] = ..., partitions: _Optional[int] = ..., partitions_covered: _Optional[int] = ..., shards: _Optional[_Iterable[_Union[ReplicaStatus, _Mapping]]] = ..., rungs: _Optional[_Iterable[_Union[RungCount, _Mapping]]] = ..., requests: _Optional[int] = ..., previous_version: _Optional[str] = ..., candidate: _Optional[_Union[Candidate, _Mapping]] = ..., store_reachable: _Optional[bool] = ..., shed: _Optional[int] = ..., hedges: _Optional[int] = ..., concurrency_limit: _Optional[int] = ..., in_flight: _Optional[int] = ..., partitions_moved: _Optional[int] = ..., event_log: _Optional[_Union[EventLogStatus, _Mapping]] = ...) -> None: ...

class EventLogStatus(_message.Message):
    __slots__ = ("url", "reachable", "position", "last_error", "forgotten")
    URL_FIELD_NUMBER: _ClassVar[int]
    REACHABLE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    url: str
    reachable: bool
    position: str
    last_error: str
    forgotten: str
    def __init__(self, url: _Optional[str] = ..., reachable: _Optional[bool] = ..., position: _Optional[str] = ..., last_error: _Optional[str] = ..., forgotten: _Optional[str] = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("snapshot_version", "phase", "share", "requests", "partitions_covered", "verdict")
    SNAPSHOT_VERSION_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_COVERED_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    snapshot_version: str
    phase: str
    share: float
    requests: int
    partitions_covered: int
    verdict: str
    def __init__(self, snapshot_version: _Optional[str] = ..., phase: _Optional[str] = ..., share: _Optional[float] = ..., requests: _Optional[int] = ..., partitions_covered: _Optional[int] = ..., verdict: _Optional[str] = ...) -> None: ...

class ReplicaStatus(_message.Message):
    __slots__ = ("address", "reachable", "status", "in_flight", "last_error", "p95_ms", "ejected")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    REACHABLE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    P95_MS_FIELD_NUMBER: _ClassVar[int]
    EJECTED_FIELD_NUMBER: _ClassVar[int]
    address: str
    reachable: bool
    status: _shard_pb2.ShardStatus
    in_flight: int
    last_error: str
    p95_ms: float
    ejected: bool
    def __init__(self, address: _Optional[str] = ..., reachable: _Optional[bool] = ..., status: _Optional[_Union[_shard_pb2.ShardStatus, _Mapping]] = ..., in_flight: _Optional[int] = ..., last_error: _Optional[str] = ..., p95_ms: _Optional[float] = ..., ejected: _Optional[bool] = ...) -> None: ...

class RungCount(_message.Message):
    __slots__ = ("rung", "carousels")
    RUNG_FIELD_NUMBER: _ClassVar[int]
    CAROUSELS_FIELD_NUMBER: _ClassVar[int]
    rung: _recommendation_pb2.Rung
    carousels: int
    def __init__(self, rung: _Optional[_Union[_recommendation_pb2.Rung, str]] = ..., carousels: _Optional[int] = ...) -> None: ...
