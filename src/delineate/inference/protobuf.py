"""The fields of a protobuf message, found by their lengths alone.

Source: the encoding described at protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
MAXIMUM_FIELDS = 1_000_000  # of one message


class DamagedError(ValueError):
    """Bytes that are no message."""


@dataclass(frozen=True)
class _Field:
    number: int
    value: int | memoryview  # of a varint, or the bytes


class Message:
    """A message.

    Args:
        content: Its bytes; they are not copied.

    Attributes:
        view: Likewise.

    Raises:
        DamagedError: The bytes are no message.
    """

    def __init__(self, content: bytes | memoryview) -> None:
        self.view = memoryview(content)
        self._fields: list[_Field] = list(self._walk())

    def messages(self, number: int) -> Iterator[Message]:
        """The messages in a field, in order.

        Raises:
            DamagedError: One is none.
        """
        for field in self._fields:
            if field.number == number:
                if isinstance(field.value, int):
                    raise DamagedError("a number stands for a message")
                yield Message(field.value)

    def text(self, number: int) -> str:
        """The text in a field, the last where there are several; "" without one.

        Raises:
            DamagedError: It is none.
        """
        values = [field.value for field in self._fields if field.number == number]
        if not values:
            return ""
        if isinstance(values[-1], int):
            raise DamagedError("a number stands for a text")
        try:
            return str(values[-1], "utf-8")
        except UnicodeDecodeError as error:
            raise DamagedError("a text is no UTF-8") from error

    def number(self, number: int) -> int:
        """The greatest number in a field; 0 without one.

        Raises:
            DamagedError: It is none.
        """
        values = [field.value for field in self._fields if field.number == number]
        if not all(isinstance(value, int) for value in values):
            raise DamagedError("a text stands for a number")
        return max((value for value in values if isinstance(value, int)), default=0)

    def _walk(self) -> Iterator[_Field]:
        at, end = 0, len(self.view)
        for _ in range(MAXIMUM_FIELDS):
            if at == end:
                return
            key, at = self._varint(at)
            number, kind = key >> 3, key & 7
            if key >> 32:  # others see but its lower bits
                raise DamagedError("a field has no number that there is")
            if kind == _VARINT:
                value, at = self._varint(at)
                yield _Field(number, value)
                continue
            if kind == _BYTES:
                length, at = self._varint(at)
            elif kind in _FIXED:
                length = _FIXED[kind]
            else:
                raise DamagedError("a field is of an unknown kind")
            if length > end - at:
                raise DamagedError("it is cut off")
            yield _Field(number, self.view[at : at + length])
            at += length
        if at != end:
            raise DamagedError("it has too many fields")

    def _varint(self, at: int) -> tuple[int, int]:
        """A number of up to ten bytes, and where it ends."""
        value = 0
        for shift in range(0, 70, 7):
            if at >= len(self.view):
                raise DamagedError("it is cut off")
            byte = self.view[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
        raise DamagedError("a number is too long")
