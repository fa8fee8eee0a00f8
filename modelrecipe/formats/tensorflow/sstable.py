"""Tables of sorted keys, the container of a TensorFlow checkpoint's `.index` file.

A table is blocks of entries whose keys share prefixes, an index block that says where they lie, and a footer that says
where the index lies. Source: `tensorflow/core/lib/io/format.cc`, `block.cc` and `table.cc`. Knows bytes, not tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from modelrecipe.formats.tensorflow.crc32c import crc32c, masked
from modelrecipe.formats.tensorflow.protobuf_wire import WireError, read_varint, unpack_unsigned

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_TRAILER = 5
_RESTART = 4


def read_table(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Every key with its value, in the table's order.

    Raises:
        WireError: the table is damaged, or compressed.
    """
    if len(data) < _FOOTER or unpack_unsigned(data, len(data) - 8, "<Q") != MAGIC:
        raise WireError("it does not end as a table does")
    footer = data[len(data) - _FOOTER :]
    meta, position = _handle(footer, 0)
    index, _ = _handle(footer, position)
    _block(data, *meta)  # nothing in it is needed, but it tells of damage
    before: bytes | None = None
    for _, value in _entries(_block(data, *index)):
        inner, _ = _handle(value, 0)
        for key, content in _entries(_block(data, *inner)):
            if before is not None and key <= before:
                raise WireError("its keys are not in order")
            before = key
            yield key, content


def _handle(data: memoryview, position: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and the position behind them."""
    offset, position = read_varint(data, position)
    size, position = read_varint(data, position)
    return (offset, size), position


def _block(data: memoryview, offset: int, size: int) -> memoryview:
    """A block's entries with their restarts, once its checksum has been found right."""
    if offset + size + _TRAILER > len(data) - _FOOTER:
        raise WireError("a block reaches past its end")
    content, kind = data[offset : offset + size], data[offset + size]
    if kind != 0:
        raise WireError("it is compressed, which no TensorFlow writes by default")
    stored = unpack_unsigned(data, offset + size + 1, "<I")
    if masked(crc32c(np.frombuffer(data[offset : offset + size + 1], np.uint8))) != stored:
        raise WireError("a block has another checksum than is recorded")
    return content


def _entries(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Keys and values; each key names how much it shares with the one before."""
    restarts = unpack_unsigned(block, len(block) - _RESTART, "<I") if len(block) >= _RESTART else 0
    end = len(block) - _RESTART * (restarts + 1)
    if not restarts or end < 0:
        raise WireError("a block has no restarts")
    position, key = 0, b""
    while position < end:
        shared, position = read_varint(block, position)
        fresh, position = read_varint(block, position)
        size, position = read_varint(block, position)
        if shared > len(key) or fresh + size > end - position:
            raise WireError("an entry is longer than its block")
        key = key[:shared] + bytes(block[position : position + fresh])
        position += fresh
        yield key, block[position : position + size]
        position += size
