"""Protocol buffers, field by field, as TensorFlow's files hold them.

The four messages that are read have a dozen fields among them. Reading these by number needs no generated code, which
only TensorFlow's own package has, and every length is checked against what is there before it is believed.
"""

from __future__ import annotations

import struct
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING

from modelrecipe.errors import FileError
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT = 10
_MOST_FIELDS = 1 << 22
_Value = int | memoryview


class WireError(FileError):
    """Bytes that are no protocol buffer; whoever knows the file says so in its own words."""


def read_varint(data: memoryview, position: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and the position behind it.

    Raises:
        WireError: the data end within it, or it is longer than 64 bits.
    """
    value = 0
    for shift, byte in enumerate(data[position : position + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * shift)
        if not byte & 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position + shift + 1
    raise WireError("a number in it has no end")


@frozen(kw_only=False)
class Message:
    """One message, of which nothing but the fields of its own level is read.

    Args:
        data: its bytes.
    """

    data: memoryview = field(default=memoryview(b""), repr=False)

    @cached_property
    def _fields(self) -> Mapping[int, Sequence[_Value]]:
        found: dict[int, list[_Value]] = {}
        position, end, count = 0, len(self.data), 0
        while position < end:
            count += 1
            if count > _MOST_FIELDS:
                raise WireError(f"a message in it has more than {_MOST_FIELDS} fields")
            tag, position = read_varint(self.data, position)
            value, position = self._value(tag & 7, position)
            found.setdefault(tag >> 3, []).append(value)
        return found

    def _value(self, kind: int, position: int) -> tuple[_Value, int]:
        if kind == _VARINT:
            return read_varint(self.data, position)
        if kind == _BYTES:
            size, position = read_varint(self.data, position)
        elif kind in _FIXED:
            size = _FIXED[kind]
        else:
            raise WireError(f"a field in it is of the unknown kind {kind}")
        if size > len(self.data) - position:
            raise WireError("a field in it is longer than what is there")
        value = self.data[position : position + size]
        return (value if kind == _BYTES else int.from_bytes(value, "little")), position + size

    def integer(self, number: int, default: int = 0) -> int:
        """A number; of several the last one, as the format says."""
        value = self._last(number)
        if value is None:
            return default
        if isinstance(value, memoryview):
            raise WireError(f"field {number} in it is no number")
        return value

    def signed(self, number: int, default: int = 0) -> int:
        """A number that may be below zero, which is written in two's complement."""
        value = self.integer(number, default)
        return value - (1 << 64) if value >> 63 else value

    def raw(self, number: int) -> memoryview:
        """Bytes; none where the field is absent."""
        value = self._last(number)
        if value is None:
            return memoryview(b"")
        return _as_bytes(number, value)

    def text(self, number: int) -> str:
        """Text; empty where the field is absent.

        Raises:
            WireError: it is not UTF-8.
        """
        return as_text(self.raw(number))

    def has(self, number: int) -> bool:
        """Whether the field is there."""
        return number in self._fields

    def message(self, number: int) -> Message:
        """A message; an empty one where the field is absent."""
        return Message(self.raw(number))

    def messages(self, number: int) -> list[Message]:
        """All messages of a repeated field."""
        return [Message(_as_bytes(number, value)) for value in self._fields.get(number, ())]

    def texts(self, number: int) -> list[str]:
        """All texts of a repeated field."""
        return [as_text(_as_bytes(number, value)) for value in self._fields.get(number, ())]

    def mapping(self, number: int) -> dict[str, Message]:
        """A map of messages, which is written as a repeated message of key and value."""
        return {item.text(1): item.message(2) for item in self.messages(number)}

    def _last(self, number: int) -> _Value | None:
        values = self._fields.get(number)
        return values[-1] if values else None


def _as_bytes(number: int, value: _Value) -> memoryview:
    if isinstance(value, int):
        raise WireError(f"field {number} in it is a number instead of bytes")
    return value


def as_text(data: memoryview) -> str:
    """Bytes as text.

    Raises:
        WireError: they are not UTF-8.
    """
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise WireError("a text in it is not UTF-8") from error


def unpack_unsigned(data: memoryview, position: int, form: str) -> int:
    """A number of fixed width.

    Raises:
        WireError: the data end within it.
    """
    try:
        return struct.unpack_from(form, data, position)[0]
    except struct.error as error:
        raise WireError("it ends within a number") from error
