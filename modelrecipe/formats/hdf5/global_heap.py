"""Collections of HDF5's global heap, where texts of attributes lie: checked before libhdf5 walks over them.

Its walk never ends where an object has no length (seen in HDF5 1.14: an index and a size of zero), and nothing stops C
code from outside. Format: HDF5 File Format Specification 3.0, section III.E.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

START = b"GCOL\x01"
_RESERVED = 3
"""Bytes behind it that shall be zero, which libhdf5 does not look at."""
_SIZE = struct.Struct("<Q")
_OBJECT = struct.Struct("<HHIQ")
_MOST_OBJECTS = 1 << 17


def check_collection(file: BinaryIO, position: int, end: int) -> None:
    """Walk over the objects of one collection as libhdf5 will.

    Args:
        file: is read from.
        position: where the collection begins.
        end: of the HDF5 part of the file.

    Raises:
        OSError: the walk would not end, or lead out of the file.
    """
    here = position + len(START) + _RESERVED
    file.seek(here)
    size = _unpack(_SIZE, file.read(_SIZE.size))
    stop = position + (size[0] if size else 0)
    if stop > end:
        raise OSError("a heap is longer than the file")
    here += _SIZE.size
    for _ in range(_MOST_OBJECTS):
        if here + _OBJECT.size > stop:
            return
        file.seek(here)
        header = _unpack(_OBJECT, file.read(_OBJECT.size))
        if header is None:
            return
        index, _, _, length = header
        needed = _OBJECT.size + (length + 7) // 8 * 8 if index else length
        if needed < _OBJECT.size or here + needed > stop:
            raise OSError("an object in a heap has an impossible length")
        here += needed
    raise OSError(f"a heap holds more than {_MOST_OBJECTS} objects")


def _unpack(form: struct.Struct, raw: bytes) -> tuple[int, ...] | None:
    return form.unpack(raw) if len(raw) == form.size else None
