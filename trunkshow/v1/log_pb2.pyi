import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from trunkshow.v1 import events_pb2 as _events_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Record(_message.Message):
    __slots__ = ("received", "events", "forget", "items")
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    FORGET_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    received: _timestamp_pb2.Timestamp
    events: _containers.RepeatedCompositeFieldContainer[_events_pb2.Event]
    forget: Forget
    items: _containers.RepeatedCompositeFieldContainer[_events_pb2.NewItem]
    def __init__(self, received: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., events: _Optional[_Iterable[_Union[_events_pb2.Event, _Mapping]]] = ..., forget: _Optional[_Union[Forget, _Mapping]] = ..., items: _Optional[_Iterable[_Union[_events_pb2.NewItem, _Mapping]]] = ...) -> None: ...

class Forget(_message.Message):
    __slots__ = ("id", "user_id", "timestamp", "events_until")
    ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    EVENTS_UNTIL_FIELD_NUMBER: _ClassVar[int]
    id: str
    user_id: str
    timestamp: _timestamp_pb2.Timestamp
    events_until: str
    def __init__(self, id: _Optional[str] = ..., user_id: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., events_until: _Optional[str] = ...) -> None: ...
