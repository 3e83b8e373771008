"""Any message of a protobuf type: every field any value of its type, or a plausible one, or not there."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

PLAUSIBLE = (
    "user-0003",
    "item-0004",
    "for-you",
    "popular",
    "occasions",
    "occasion:wedding",
    "home",
    "taste 1",
    "colour",
)
LIST_MAX = 4
"""Lists beyond the contract's limits are a test's of the limits, not ours: what is long is slow to draw."""

_INTEGERS = {
    FieldDescriptor.TYPE_UINT32: st.one_of(st.integers(0, 3), st.integers(0, 2**32 - 1)),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
}
_TEXT = st.one_of(st.sampled_from(PLAUSIBLE), st.text(max_size=300))


def any_message(descriptor: Descriptor) -> st.SearchStrategy[Message]:
    """Messages of this type."""
    fields = {field.name: _field(field) for field in descriptor.fields}
    kind = GetMessageClass(descriptor)
    return st.fixed_dictionaries({}, optional=fields).map(lambda values: kind(**values))


def any_bytes(descriptor: Descriptor) -> st.SearchStrategy[bytes]:
    """Bytes that are such a message, nearly one, or none at all."""
    whole = any_message(descriptor).map(lambda message: message.SerializeToString())
    return st.one_of(
        whole, st.builds(_spoilt, whole, st.integers(0, 2**16), st.binary(max_size=3)), st.binary(max_size=200)
    )


def _spoilt(data: bytes, at: int, put: bytes) -> bytes:
    at %= len(data) + 1
    return data[:at] + put + data[at + 1 :]


def _field(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
        key, value = (_value(one) for one in field.message_type.fields)
        return st.dictionaries(key, value, max_size=LIST_MAX)
    one = _value(field)
    return st.lists(one, max_size=LIST_MAX) if field.is_repeated else one


def _value(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return any_message(field.message_type)
    if field.type == FieldDescriptor.TYPE_STRING:
        return _TEXT
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=300)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if field.type == FieldDescriptor.TYPE_ENUM:
        return st.integers(-2, 40)
    return _INTEGERS.get(field.type, st.floats(width=32))
