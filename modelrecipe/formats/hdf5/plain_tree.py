"""The headers of an HDF5 file of the plain form: what h5py tells of it, in a fourth of the time.

A file of any other form is left to `walk`, with the same result; see `plain_form`.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

from modelrecipe.formats.hdf5.plain_form import (
    ATTRIBUTE,
    MODIFIED,
    NOWHERE,
    SYMBOL_TABLE,
    NotPlainError,
    PlainFile,
    expect,
    plain_text,
    table_in,
)
from modelrecipe.formats.hdf5.tensors import ContiguousSource, DatasetSource, Group, StoredTensor

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from modelrecipe.formats.extent import Extent
    from modelrecipe.formats.hdf5.tensors import Source

_DEEPEST = 64
_SPACE, _TYPE, _FILL, _LAYOUT = 0x01, 0x03, 0x05, 0x08
_OF_TENSORS = {_SPACE, _TYPE, _FILL, _LAYOUT}
_OF_ALL = {ATTRIBUTE, MODIFIED}
_FILLS = {bytes((2, early, when, is_set, 0, 0, 0, 0)) for early in (1, 2, 3) for when in (0, 1, 2) for is_set in (0, 1)}
"""Values for numbers that were never written: none of their own, told by version 2 of the message."""
_PLACE = struct.Struct("<BBQQ")
_TEXT = struct.Struct("<IQI")
_LABEL = (
    struct.pack("<BBHHH8s", 1, 0, 5, 20, 8, b"name"),
    # A text of any length, UTF-8 or ASCII, made of characters; then a scalar, and where the text is.
    *(struct.pack("<4BIIIHH", 0x19, 0x01, code, 0, 16, 0x10, 1, 0, 8) for code in (1, 0)),
    struct.pack("<8B", 1, 0, 0, 0, 0, 0, 0, 0),
)


def tree_of_plain(extent: Extent, skip: Collection[str]) -> Group:
    """The headers of everything in a file but the groups `skip` at its root.

    Raises:
        NotPlainError: something about the file is unusual.
    """
    with extent.open() as file:
        walk = _Walk(extent, PlainFile(file, extent.start, extent.size))
        root = walk.group(walk.file.messages(walk.file.root), "", skip)
        sources = [item.source for item in root.below() if isinstance(item.source, ContiguousSource)]
        walk.file.expect_apart((source.offset, source.offset + source.size) for source in sources)
        return root


def names_of_plain(extent: Extent) -> frozenset[str]:
    """The names at the root of a file.

    Raises:
        NotPlainError: something about the file is unusual.
    """
    with extent.open() as file:
        plain = PlainFile(file, extent.start, extent.size)
        table = plain.table_of(plain.root)
        expect(table is not None)
        return frozenset(plain_text(name) for name, _ in plain.links(*table)) if table else frozenset()


class _Walk:
    """The pass over all headers."""

    def __init__(self, extent: Extent, file: PlainFile) -> None:
        self.extent = extent
        self.file = file
        self.met: set[int] = {file.root}

    def group(self, messages: list[tuple[int, bytes]], path: str, skip: Collection[str] = ()) -> Group:
        table = table_in(messages)
        expect(table is not None and path.count("/") <= _DEEPEST)
        expect(all(kind == SYMBOL_TABLE or kind in _OF_ALL for kind, _ in messages))
        groups: dict[str, Group] = {}
        tensors: dict[str, StoredTensor] = {}
        for raw, place in self.file.links(*table) if table else ():
            name = plain_text(raw)
            if name in skip:
                continue
            expect(place not in self.met and "/" not in name)
            self.met.add(place)
            inner = f"{path}/{name}" if path else name
            found = self.file.messages(place)
            if any(kind == SYMBOL_TABLE for kind, _ in found):
                groups[name] = self.group(found, inner)
            else:
                tensors[name] = self.tensor(found, inner)
        label = self.label(messages) if path.endswith("vars") else None
        return Group(path=path, label=label, groups=groups, tensors=tensors)

    def tensor(self, messages: list[tuple[int, bytes]], path: str) -> StoredTensor:
        told = {kind: message for kind, message in messages if kind in _OF_TENSORS}
        expect(len(told) == len(_OF_TENSORS) == sum(kind not in _OF_ALL for kind, _ in messages))
        expect(told[_FILL] in _FILLS and len(told[_LAYOUT]) >= _PLACE.size)
        shape = _shape(told[_SPACE])
        stored, dtype = _named_type(told[_TYPE])
        version, layout, offset, size = _PLACE.unpack_from(told[_LAYOUT])
        expect((version, layout) == (3, 1) and size == math.prod(shape) * int(stored[2:]))
        expect((offset == NOWHERE) == (size == 0))
        source: Source
        if size:
            expect(offset + size <= self.file.size)
            source = ContiguousSource(extent=self.extent, offset=offset, shape=shape, stored=stored, dtype=dtype)
        else:
            source = DatasetSource(extent=self.extent, path=path, dtype=dtype)
        return StoredTensor(path=path, shape=shape, dtype=dtype, source=source)

    def label(self, messages: list[tuple[int, bytes]]) -> str | None:
        """The attribute `name`; a group that has others is not plain."""
        found = [message for kind, message in messages if kind == ATTRIBUTE]
        if not found:
            return None
        start, *texts, scalar = _LABEL
        message = found[0]
        expect(len(found) == 1)
        for text in texts:
            head = start + text.ljust(24, b"\0") + scalar
            if message.startswith(head) and len(message) >= len(head) + _TEXT.size:
                size, heap, number = _TEXT.unpack_from(message, len(head))
                return self.file.text(heap, number, size)
        raise NotPlainError


def _shape(message: bytes) -> tuple[int, ...]:
    """Sizes, as version 1 of the message tells them; the largest ones that may be are the same."""
    expect(len(message) >= 8)
    version, rank, has_largest = message[:3]
    count = rank * (1 + has_largest)
    expect(version == 1 and has_largest <= 1 and rank <= 32 and len(message) == 8 + 8 * count)
    expect(not any(message[3:8]))
    sizes = struct.unpack_from(f"<{count}Q", message, 8)
    expect(not has_largest or sizes[:rank] == sizes[rank:])
    return sizes[:rank]


def _named_type(message: bytes) -> tuple[str, str]:
    """A type of numbers: numpy's code, and its name."""
    found = _TYPES.get(message)
    if found is None:
        raise NotPlainError
    return found


def _types() -> Mapping[bytes, tuple[str, str]]:
    """Every message that tells of a plain type of numbers."""
    found: dict[bytes, tuple[str, str]] = {}
    for is_big, order in enumerate("<>"):
        for size in (1, 2, 4, 8):
            for is_signed, letter, name in ((0, "u", "uint"), (1, "i", "int")):
                message = struct.pack("<4BIHH", 0x10, 8 * is_signed | is_big, 0, 0, size, 0, 8 * size)
                found.setdefault(_padded(message), (f"{order if size > 1 else '|'}{letter}{size}", f"{name}{8 * size}"))
        for size, exponent, mantissa in ((2, 5, 10), (4, 8, 23), (8, 11, 52)):
            bits, bias = 8 * size, (1 << exponent - 1) - 1
            parts = (0, bits, mantissa, exponent, 0, mantissa, bias)
            message = struct.pack("<4BIHH4BI", 0x11, 0x20 | is_big, bits - 1, 0, size, *parts)
            found[_padded(message)] = (f"{order}f{size}", f"float{bits}")
    return found


def _padded(message: bytes) -> bytes:
    return message.ljust(-(-len(message) // 8) * 8, b"\0")


_TYPES = _types()
