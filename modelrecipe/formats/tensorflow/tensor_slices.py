"""Variables that a checkpoint keeps in parts, as the partitioned variables of TensorFlow 1.

Source: `EncodeTensorNameSlice` in `tensorflow/core/util/saved_tensor_slice_util.cc`, and
`core/lib/strings/ordered_code.cc`.
"""

from __future__ import annotations

import math
from dataclasses import field, replace
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np

from modelrecipe.formats.tensorflow.protobuf_wire import Message, WireError
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_HEADER_BITS = (0, 0x80, 0xC000, 0xE000, 0xF000, 0xF800, 0xFC00, 0xFE00, 0xFF00, 0xFF80, 0xFFC0)
_WHOLE = -1


@frozen
class Piece:
    """One part of a variable.

    Args:
        start: of the part in each dimension.
        shape: sizes of the part.
        source: reads its numbers.
    """

    start: tuple[int, ...]
    shape: tuple[int, ...]
    source: Callable[[], NDArray[np.generic]] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, message: Message, whole: tuple[int, ...]) -> Piece:
        """A `TensorSliceProto` within a variable of the shape `whole`.

        Raises:
            WireError: it reaches out of it.
        """
        ends = _extents(message)
        if len(ends) != len(whole):
            raise WireError("a part of a tensor has another rank than the whole")
        starts = tuple(start for start, _ in ends)
        shape = tuple(size if length == _WHOLE else length for (_, length), size in zip(ends, whole, strict=True))
        if any(not 0 <= first <= first + size <= end for first, size, end in zip(starts, shape, whole, strict=True)):
            raise WireError("a part of a tensor reaches out of it")
        return cls(start=starts, shape=shape)

    def with_source(self, source: Callable[[], NDArray[np.generic]]) -> Piece:
        """The same part with what reads it."""
        return replace(self, source=source)


@frozen
class SlicedSource:
    """Puts a variable together from its parts.

    Args:
        name: of the variable.
        shape: of the whole.
        dtype: as Keras names it.
        pieces: the parts, which fill the whole exactly.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    pieces: tuple[Piece, ...]

    def __post_init__(self) -> None:
        # Each place once: boxes that overlap nowhere and have the size of the whole in sum fill it.
        if sum(math.prod(piece.shape) for piece in self.pieces) != math.prod(self.shape):
            raise WireError(f"the parts of '{self.name}' in it do not make up the whole")
        if any(_overlap(one, other) for at, one in enumerate(self.pieces) for other in self.pieces[:at]):
            raise WireError(f"the parts of '{self.name}' in it overlap")

    def __call__(self) -> NDArray[np.generic]:
        """The numbers of the whole."""
        values = np.zeros(self.shape, getattr(ml_dtypes, self.dtype, None) or self.dtype)
        for piece in self.pieces:
            if piece.source is not None:
                place = tuple(slice(first, first + size) for first, size in zip(piece.start, piece.shape, strict=True))
                values[place] = piece.source()
        return values


def _overlap(one: Piece, other: Piece) -> bool:
    return all(
        max(first, second) < min(first + size, second + length)
        for first, size, second, length in zip(one.start, one.shape, other.start, other.shape, strict=True)
    )


def _extents(message: Message) -> list[tuple[int, int]]:
    """Start and length in each dimension; a length of -1 is all of it."""
    return [(item.signed(1), item.signed(2) if item.has(2) else _WHOLE) for item in message.messages(1)]


def slice_key(name: str, message: Message) -> bytes:
    """The key under which the index lists a part of a variable."""
    extents = _extents(message)
    written = name.encode().replace(b"\0", b"\0\xff").replace(b"\xff", b"\xff\0") + b"\0\x01"
    if b"\0" in name.encode() or b"\xff" in name.encode():
        raise WireError("a variable in parts has a name that no key can be made of")
    ends = b"".join(_signed(number) for extent in extents for number in extent)
    return _unsigned(0) + written + _unsigned(len(extents)) + ends


def _unsigned(number: int) -> bytes:
    size = (number.bit_length() + 7) // 8
    return bytes([size]) + number.to_bytes(size, "big")


def _signed(number: int) -> bytes:
    """A number whose bytes sort as it does: the leading bits tell how many there are."""
    bits = (~number if number < 0 else number).bit_length() + 1
    size = -(-bits // 7)
    if size == 1:
        return bytes([0x80 ^ (number & 0xFF)])
    plain = bytearray(number.to_bytes(10, "big", signed=True)[10 - size :])
    mask = _HEADER_BITS[size].to_bytes(2, "big")
    plain[0] ^= mask[0]
    plain[1] ^= mask[1]
    return bytes(plain)
