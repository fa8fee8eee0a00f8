"""The checksum CRC-32C, fast enough for weights: many pieces of the data at once, whose sums are put together.

Polynomial 0x1EDC6F41, reflected 0x82F63B78 (RFC 3720, appendix B.4).
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_POLYNOMIAL = 0x82F63B78
_ALL = 0xFFFFFFFF
_MASK_DELTA = 0xA282EAD8


@functools.cache
def _table() -> NDArray[np.uint32]:
    """What each byte does to the sum."""
    sums = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        sums = np.where(sums & 1, (sums >> 1) ^ np.uint32(_POLYNOMIAL), sums >> 1).astype(np.uint32)
    return sums


@functools.cache
def _plain_table() -> tuple[int, ...]:
    return tuple(int(value) for value in _table())


@functools.cache
def _zeros(power: int) -> tuple[int, ...]:
    """What 2**power zero bytes do to each bit of a sum: a matrix over two elements, by columns."""
    if power == 0:
        table = _plain_table()
        return tuple(table[(1 << bit) & 0xFF] ^ ((1 << bit) >> 8) for bit in range(32))
    half = _zeros(power - 1)
    return tuple(_times(half, column) for column in half)


def _times(matrix: tuple[int, ...], word: int) -> int:
    product = 0
    for bit in range(32):
        if word >> bit & 1:
            product ^= matrix[bit]
    return product


def _times_all(matrix: tuple[int, ...], words: NDArray[np.uint32]) -> NDArray[np.uint32]:
    product = np.zeros_like(words)
    for bit in range(32):
        product ^= np.where(words >> np.uint32(bit) & np.uint32(1), np.uint32(matrix[bit]), np.uint32(0))
    return product


def crc32c(data: NDArray[np.uint8]) -> int:
    """The checksum of bytes."""
    # Pieces of one length, a power of two in number and in size; what is left over goes byte by byte.
    power = max(0, math.floor(math.log2(max(1, data.size // 64)) / 2))
    size = 1 << power
    lanes = 1 << math.floor(math.log2(max(1, data.size // size)))
    head = data[: lanes * size] if data.size >= 4096 else data[:0]
    total = _pieces(head.reshape(lanes, size), power) if head.size else _ALL
    rest = data[head.size :]
    if rest.size >= 4096:
        # The sum of both parts: the first one moved on by as many zeros as the second is long.
        return _moved(total ^ _ALL, rest.size) ^ crc32c(rest)
    table = _plain_table()
    for byte in rest.tolist():
        total = table[(total ^ byte) & 0xFF] ^ (total >> 8)
    return total ^ _ALL


def _pieces(pieces: NDArray[np.uint8], power: int) -> int:
    """The running sum after all pieces; each begins at zero but the first."""
    table = _table()
    sums = np.zeros(len(pieces), np.uint32)
    sums[0] = _ALL
    for column in np.ascontiguousarray(pieces.T):
        sums = table[(sums ^ column) & 0xFF] ^ (sums >> np.uint32(8))
    while len(sums) > 1:
        sums = _times_all(_zeros(power), sums[0::2]) ^ sums[1::2]
        power += 1
    return int(sums[0])


def _moved(total: int, count: int) -> int:
    """A sum after `count` zero bytes."""
    for power in range(count.bit_length()):
        if count >> power & 1:
            total = _times(_zeros(power), total)
    return total


def masked(total: int) -> int:
    """A checksum as TensorFlow stores it, so that sums of data with sums in them stay telling (`lib/hash/crc32c.h`)."""
    return (((total >> 15) | (total << 17)) + _MASK_DELTA) & _ALL
