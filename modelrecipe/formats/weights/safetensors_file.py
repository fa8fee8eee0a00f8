"""Safetensors files: a JSON header with name, type, shape and place of every tensor, and then their bytes.

Read without the package of that name, whose loaders want a framework; the format is eight bytes of length, the header,
the numbers (https://github.com/huggingface/safetensors). Every place is checked against the file before it is used.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from modelrecipe.errors import FileError
from modelrecipe.formats.extent import Extent
from modelrecipe.formats.hdf5.tensors import ContiguousSource, StoredTensor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LENGTH = 8
_LARGEST_HEADER = 1 << 26
_METADATA = "__metadata__"
_TYPES: Mapping[str, tuple[str, str, int]] = {
    "BOOL": ("|b1", "bool", 1),
    "U8": ("|u1", "uint8", 1),
    "I8": ("|i1", "int8", 1),
    "F8_E4M3": ("|V1", "float8_e4m3fn", 1),
    "F8_E5M2": ("|V1", "float8_e5m2", 1),
    "U16": ("<u2", "uint16", 2),
    "I16": ("<i2", "int16", 2),
    "F16": ("<f2", "float16", 2),
    "BF16": ("|V2", "bfloat16", 2),
    "U32": ("<u4", "uint32", 4),
    "I32": ("<i4", "int32", 4),
    "F32": ("<f4", "float32", 4),
    "U64": ("<u8", "uint64", 8),
    "I64": ("<i8", "int64", 8),
    "F64": ("<f8", "float64", 8),
}


def is_safetensors(start: bytes, size: int) -> bool:
    """Whether a file of `size` bytes that begins so can be one."""
    length = int.from_bytes(start[:_LENGTH], "little")
    return len(start) > _LENGTH and 2 <= length <= size - _LENGTH and start[_LENGTH : _LENGTH + 1] == b"{"


def read(path: Path) -> tuple[StoredTensor, ...]:
    """The headers of all tensors, in the order of their bytes.

    Raises:
        FileError: the file is damaged: its header is no JSON, or tells of places or sizes that cannot be.
    """
    extent = Extent.whole(path)
    with extent.open() as file:
        length = int.from_bytes(file.read(_LENGTH), "little")
        if length > min(_LARGEST_HEADER, extent.size - _LENGTH):
            raise _damaged(path, f"its header would have {length} bytes")
        raw = file.read(length)
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"its header is not JSON ({error})") from error
    if not isinstance(header, dict):
        raise _damaged(path, "its header is not a JSON object")
    start = _LENGTH + length
    found = [_tensor(extent, start, name, facts) for name, facts in header.items() if name != _METADATA]
    found.sort(key=lambda tensor: tensor.source.offset if isinstance(tensor.source, ContiguousSource) else 0)
    return tuple(found)


def _tensor(extent: Extent, start: int, name: str, facts: Any) -> StoredTensor:
    if not isinstance(facts, dict):
        raise _damaged(extent.file, f"'{name}' is no JSON object")
    kind, shape, place = str(facts.get("dtype")), _sizes(facts.get("shape")), _sizes(facts.get("data_offsets"))
    if kind not in _TYPES:
        raise FileError(f"'{extent.file}' is refused: '{name}' in it is of an unknown type '{kind}'")
    if shape is None or place is None or len(place) != 2:
        raise _damaged(extent.file, f"'{name}' has no shape or no place")
    stored, dtype, width = _TYPES[kind]
    size = math.prod(shape) * width
    if place[1] - place[0] != size or start + place[1] > extent.size:
        raise _damaged(extent.file, f"'{name}' needs {size} bytes, but stands at {place[0]} to {place[1]}")
    source = ContiguousSource(extent=extent, offset=start + place[0], shape=shape, stored=stored, dtype=dtype)
    return StoredTensor(path=name, shape=shape, dtype=dtype, source=source)


def _sizes(value: Any) -> tuple[int, ...] | None:
    is_one = isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)
    return tuple(value) if is_one else None


def _damaged(path: Path, what: str) -> FileError:
    return FileError(f"'{path}' is a truncated or damaged safetensors file: {what}")
