import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Interaction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INTERACTION_UNSPECIFIED: _ClassVar[Interaction]
    INTERACTION_VIEW: _ClassVar[Interaction]
    INTERACTION_CLICK: _ClassVar[Interaction]
    INTERACTION_CART: _ClassVar[Interaction]
    INTERACTION_ORDER: _ClassVar[Interaction]
    INTERACTION_RENTAL: _ClassVar[Interaction]
    INTERACTION_RETURN: _ClassVar[Interaction]
    INTERACTION_LIKE: _ClassVar[Interaction]
    INTERACTION_HIDE: _ClassVar[Interaction]
    INTERACTION_SEARCH: _ClassVar[Interaction]
    INTERACTION_IMPRESSION: _ClassVar[Interaction]
    INTERACTION_CONTENT_IMPRESSION: _ClassVar[Interaction]

class Channel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANNEL_UNSPECIFIED: _ClassVar[Channel]
    CHANNEL_WEB: _ClassVar[Channel]
    CHANNEL_APP: _ClassVar[Channel]
    CHANNEL_STORE: _ClassVar[Channel]
    CHANNEL_EMAIL: _ClassVar[Channel]
INTERACTION_UNSPECIFIED: Interaction
INTERACTION_VIEW: Interaction
INTERACTION_CLICK: Interaction
INTERACTION_CART: Interaction
INTERACTION_ORDER: Interaction
INTERACTION_RENTAL: Interaction
INTERACTION_RETURN: Interaction
INTERACTION_LIKE: Interaction
INTERACTION_HIDE: Interaction
INTERACTION_SEARCH: Interaction
INTERACTION_IMPRESSION: Interaction
INTERACTION_CONTENT_IMPRESSION: Interaction
CHANNEL_UNSPECIFIED: Channel
CHANNEL_WEB: Channel
CHANNEL_APP: Channel
CHANNEL_STORE: Channel
CHANNEL_EMAIL: Channel

class Event(_message.Message):
    __slots__ = ("event_id", "user_id", "item_id", "interaction", "timestamp", "value", "request_id", "carousel", "position", "channel", "context")
    class ContextEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    INTERACTION_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CAROUSEL_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    user_id: str
    item_id: str
    interaction: Interaction
    timestamp: _timestamp_pb2.Timestamp
    value: float
    request_id: str
    carousel: str
    position: int
    channel: Channel
    context: _containers.ScalarMap[str, str]
    def __init__(self, event_id: _Optional[str] = ..., user_id: _Optional[str] = ..., item_id: _Optional[str] = ..., interaction: _Optional[_Union[Interaction, str]] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., value: _Optional[float] = ..., request_id: _Optional[str] = ..., carousel: _Optional[str] = ..., position: _Optional[int] = ..., channel: _Optional[_Union[Channel, str]] = ..., context: _Optional[_Mapping[str, str]] = ...) -> None: ...

class RecordEventsRequest(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class RecordEventsResponse(_message.Message):
    __slots__ = ("recorded", "refused", "watermark")
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_FIELD_NUMBER: _ClassVar[int]
    recorded: int
    refused: _containers.RepeatedCompositeFieldContainer[RefusedEvent]
    watermark: str
    def __init__(self, recorded: _Optional[int] = ..., refused: _Optional[_Iterable[_Union[RefusedEvent, _Mapping]]] = ..., watermark: _Optional[str] = ...) -> None: ...

class RefusedEvent(_message.Message):
    __slots__ = ("index", "event_id", "field", "reason", "message")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    index: int
    event_id: str
    field: str
    reason: str
    message: str
    def __init__(self, index: _Optional[int] = ..., event_id: _Optional[str] = ..., field: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class StreamEventsRequest(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class StreamEventsResponse(_message.Message):
    __slots__ = ("recorded", "refused", "first_refused", "watermark")
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    FIRST_REFUSED_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_FIELD_NUMBER: _ClassVar[int]
    recorded: int
    refused: int
    first_refused: _containers.RepeatedCompositeFieldContainer[RefusedEvent]
    watermark: str
    def __init__(self, recorded: _Optional[int] = ..., refused: _Optional[int] = ..., first_refused: _Optional[_Iterable[_Union[RefusedEvent, _Mapping]]] = ..., watermark: _Optional[str] = ...) -> None: ...

class ForgetUserRequest(_message.Message):
    __slots__ = ("user_id",)
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    def __init__(self, user_id: _Optional[str] = ...) -> None: ...

class ForgetUserResponse(_message.Message):
    __slots__ = ("id", "timestamp", "watermark", "events_until", "places")
    ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_FIELD_NUMBER: _ClassVar[int]
    EVENTS_UNTIL_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    id: str
    timestamp: _timestamp_pb2.Timestamp
    watermark: str
    events_until: str
    places: _containers.RepeatedCompositeFieldContainer[Forgotten]
    def __init__(self, id: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., watermark: _Optional[str] = ..., events_until: _Optional[str] = ..., places: _Optional[_Iterable[_Union[Forgotten, _Mapping]]] = ...) -> None: ...

class Forgotten(_message.Message):
    __slots__ = ("place", "done", "message")
    PLACE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    place: str
    done: bool
    message: str
    def __init__(self, place: _Optional[str] = ..., done: _Optional[bool] = ..., message: _Optional[str] = ...) -> None: ...

class NewItem(_message.Message):
    __slots__ = ("id", "title", "category", "attributes", "available", "created", "occasions")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    OCCASIONS_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    category: str
    attributes: _containers.ScalarMap[str, str]
    available: bool
    created: _timestamp_pb2.Timestamp
    occasions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., category: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ..., available: _Optional[bool] = ..., created: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., occasions: _Optional[_Iterable[str]] = ...) -> None: ...

class RecordItemsRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[NewItem]
    def __init__(self, items: _Optional[_Iterable[_Union[NewItem, _Mapping]]] = ...) -> None: ...

class RecordItemsResponse(_message.Message):
    __slots__ = ("recorded", "refused", "watermark")
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_FIELD_NUMBER: _ClassVar[int]
    recorded: int
    refused: _containers.RepeatedCompositeFieldContainer[RefusedItem]
    watermark: str
    def __init__(self, recorded: _Optional[int] = ..., refused: _Optional[_Iterable[_Union[RefusedItem, _Mapping]]] = ..., watermark: _Optional[str] = ...) -> None: ...

class RefusedItem(_message.Message):
    __slots__ = ("index", "item_id", "field", "reason", "message")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    index: int
    item_id: str
    field: str
    reason: str
    message: str
    def __init__(self, index: _Optional[int] = ..., item_id: _Optional[str] = ..., field: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
