"""The structures of an HDF5 file in the form that Keras' files have: the oldest one, everything in its usual place.

Each is checked against what h5py writes, byte by byte where that is always the same. What differs in any way, though
HDF5 may allow it, is no plain form: `NotPlainError` sends the reader to the library, which alone may call a file
damaged. Source: HDF5 File Format Specification 3.0, sections II.A (superblock), III.A.1 (trees), III.B to III.E (symbol
tables and heaps), IV.A.1.a (object headers) and IV.A.2 (messages). Knows neither groups of layers nor tensors.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING

from modelrecipe.formats.hdf5 import global_heap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

NIL, CONTINUATION, SYMBOL_TABLE, ATTRIBUTE, MODIFIED = 0x00, 0x10, 0x11, 0x0C, 0x12
"""Messages that say nothing, that lead to more of them, that make an object a group, and that any object may have."""
_FLAGS = (0, 1, 4)
"""Of messages: none, that it never changes, and that it is not to be shared; shared ones stand elsewhere."""
_ZEROS = bytes(3)
NOWHERE = 2**64 - 1
_PAGE = 4096
_MOST_PAGES = 2048
_MOST_BYTES = 1 << 20
"""Of one structure; a plain file has none that is larger."""
_MOST_CHUNKS = 64
_DEEPEST_TREE = 16
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_VERSIONS = (0, 0, 0, 0, 0, 8, 8, 0)
"""Of the parts of a superblock, and how many bytes places and sizes take."""
_START = struct.Struct("<8s8BHHIQQQQQQIIQQ")
_HEADER = struct.Struct("<BxHIII")
_MESSAGE = struct.Struct("<HHB3s")
_HEAP = struct.Struct("<4sIQQQ")
_NODE = struct.Struct("<4sBBHQQ")
_TABLE = struct.Struct("<4sBBH")
_LINK = struct.Struct("<QQII16s")
_PAIR = struct.Struct("<QQ")
_NUMBER = struct.Struct("<Q")
_OBJECT = struct.Struct("<HHIQ")
_FREE_END = 1
"""What the last free room of a heap has instead of a place."""


class NotPlainError(Exception):
    """Something differs from what plain files have; nothing is said of whether that is right."""


class PlainFile:
    """Reads structures of a file that claims to be plain.

    Args:
        file: the file that it lies in.
        start: where it begins there.
        size: how many bytes it has.

    Raises:
        NotPlainError: it begins otherwise.
    """

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file = file
        self._start = start
        self._read: list[tuple[int, int]] = []
        self._pages: dict[int, bytes] = {}
        self._texts: dict[int, dict[int, bytes]] = {}
        self._heaps: set[int] = set()
        self._headers: dict[int, list[tuple[int, bytes]]] = {}
        self.size = size
        self.root, self._in_table, self._in_node = self._begin()

    def _begin(self) -> tuple[int, int, int]:
        fields = _START.unpack(self.read(0, _START.size))
        expect(fields[0] == _SIGNATURE and fields[1:9] == _VERSIONS)
        in_table, in_node, flags, base, free, end, driver, _, header, cached, zeros, tree, heap = fields[9:]
        expect((flags, base, free, driver, zeros) == (0, 0, NOWHERE, NOWHERE, 0))
        expect(end <= self.size and 0 < in_table < 1 << 10 and 0 < in_node < 1 << 10)
        expect(cached == 0 or (cached == 1 and self.table_of(header) == (tree, heap)))
        self.size = end
        return header, in_table, in_node

    def read(self, place: int, count: int) -> bytes:
        """So many bytes from a place on."""
        expect(count <= _MOST_BYTES and place + count <= self.size)
        self._read.append((place, place + count))
        page, within = divmod(place, _PAGE)
        held = self._pages.get(page)
        if held is None:
            if len(self._pages) == _MOST_PAGES:
                self._pages.clear()
            held = self._pages[page] = self._at(page * _PAGE, _PAGE)
        found = held[within : within + count]
        if len(found) < count:
            found = self._at(place, count)
            expect(len(found) == count)
        return found

    def _at(self, place: int, count: int) -> bytes:
        self._file.seek(self._start + place)
        return self._file.read(count)

    def expect_apart(self, numbers: Iterable[tuple[int, int]]) -> None:
        """No numbers stand where structures do: who writes other numbers leaves those as they are.

        Args:
            numbers: where they begin and end.
        """
        structures = sorted(self._read)
        starts = [start for start, _ in structures]
        ends = [0, *accumulate((end for _, end in structures), max)]
        expect(all(ends[bisect_left(starts, end)] <= start for start, end in numbers))

    def messages(self, place: int) -> list[tuple[int, bytes]]:
        """The messages in the header of an object, each with its kind."""
        if (known := self._headers.pop(place, None)) is not None:
            return known
        version, count, references, size, zeros = _HEADER.unpack(self.read(place, _HEADER.size))
        expect((version, references, zeros) == (1, 1, 0))
        found: list[tuple[int, bytes]] = []
        total = 0
        chunks = [(place + _HEADER.size, size)]
        for number, (start, length) in enumerate(chunks):
            expect(number < _MOST_CHUNKS)
            chunk = self.read(start, length)
            position = 0
            while position < length:
                expect(position + _MESSAGE.size <= length)
                kind, extent, flags, zeros = _MESSAGE.unpack_from(chunk, position)
                position += _MESSAGE.size
                message = chunk[position : position + extent]
                position += extent
                expect(flags in _FLAGS and zeros == _ZEROS and extent % 8 == 0 and position <= length)
                total += 1
                if kind == CONTINUATION:
                    expect(extent == _PAIR.size)
                    chunks.append(_PAIR.unpack(message))
                elif kind != NIL:
                    found.append((kind, message))
        expect(total == count)
        return found

    def table_of(self, place: int) -> tuple[int, int] | None:
        """Where the tree and the heap of a group are; None for what is no group."""
        found = self._headers[place] = self.messages(place)
        return table_in(found)

    def links(self, tree: int, heap: int) -> Iterator[tuple[bytes, int]]:
        """The names in a group, in order, and where the headers of the objects are."""
        names = self._names(heap)
        before = b""
        for name, place in self._below(tree, names, None, NOWHERE, NOWHERE):
            expect(name > before)
            before = name
            yield name, place

    def _below(self, place: int, names: bytes, level: int | None, left: int, right: int) -> Iterator[tuple[bytes, int]]:
        """The links below one node of a tree; `left` and `right` are the keys that stand beside it in the one above."""
        signature, kind, found_level, used, _, _ = _NODE.unpack(self.read(place, _NODE.size))
        whole = self.read(place + _NODE.size, self._in_node * 32 + 8)
        expect(signature == b"TREE" and kind == 0 and used <= 2 * self._in_node)
        expect(found_level <= _DEEPEST_TREE if level is None else found_level == level and used > 0)
        keys = [_NUMBER.unpack_from(whole, 16 * number)[0] for number in range(used + 1)]
        expect(level is None or (keys[0] == left and keys[-1] == right))
        for number in range(used):
            child = _NUMBER.unpack_from(whole, 16 * number + 8)[0]
            if found_level:
                yield from self._below(child, names, found_level - 1, keys[number], keys[number + 1])
                continue
            links = self._table(child, names)
            expect(name_at(names, keys[number]) < links[0][0])
            expect(name_at(names, keys[number + 1]) == links[-1][0])
            yield from links

    def _table(self, place: int, names: bytes) -> list[tuple[bytes, int]]:
        signature, version, zero, count = _TABLE.unpack(self.read(place, _TABLE.size))
        expect(signature == b"SNOD" and (version, zero) == (1, 0) and 0 < count <= 2 * self._in_table)
        raw = self.read(place + _TABLE.size, 2 * self._in_table * _LINK.size)
        found: list[tuple[bytes, int]] = []
        for name, header, cached, zeros, scratch in _LINK.iter_unpack(raw[: count * _LINK.size]):
            expect(zeros == 0)
            expect(cached == 0 or (cached == 1 and self.table_of(header) == _PAIR.unpack(scratch)))
            found.append((name_at(names, name), header))
        return found

    def _names(self, heap: int) -> bytes:
        """The texts of a local heap, whose list of free room leads through it in order."""
        signature, version, size, free, place = _HEAP.unpack(self.read(heap, _HEAP.size))
        expect(signature == b"HEAP" and version == 0 and heap not in self._heaps)
        self._heaps.add(heap)
        names = self.read(place, size)
        for _ in range(size // _PAIR.size + 1):
            if free == _FREE_END:
                return names
            expect(free + _PAIR.size <= size)
            following, room = _PAIR.unpack_from(names, free)
            expect(room >= _PAIR.size and free + room <= size)
            free = following
        raise NotPlainError

    def text(self, heap: int, number: int, size: int) -> str:
        """A text in the global heap."""
        objects = self._texts.get(heap)
        if objects is None:
            objects = self._texts[heap] = self._collection(heap)
        raw = objects.get(number, b"")
        expect(len(raw) == size and b"\0" not in raw)
        return plain_text(raw)

    def _collection(self, place: int) -> dict[int, bytes]:
        head = len(global_heap.START) + 3
        start = self.read(place, head + _NUMBER.size)
        expect(start[:head] == global_heap.START + bytes(3))
        size = _NUMBER.unpack_from(start, head)[0]
        raw = self.read(place, size)
        found: dict[int, bytes] = {}
        here = len(start)
        while here + _OBJECT.size <= size:
            number, _, zeros, length = _OBJECT.unpack_from(raw, here)
            if number == 0:
                expect(here + length == size)
                break
            here += _OBJECT.size
            expect(zeros == 0 and number not in found and here + length <= size)
            found[number] = raw[here : here + length]
            here += -(-length // 8) * 8
        return found


def table_in(messages: list[tuple[int, bytes]]) -> tuple[int, int] | None:
    """Where the tree and the heap of a group are, told by its header; None where that has none."""
    found = [message for kind, message in messages if kind == SYMBOL_TABLE]
    if not found:
        return None
    expect(len(found) == 1 and len(found[0]) == _PAIR.size)
    tree, heap = _PAIR.unpack(found[0])
    return tree, heap


def name_at(names: bytes, place: int) -> bytes:
    """The text of a local heap that begins at a place."""
    end = names.find(b"\0", place)
    expect(end >= 0)
    return names[place:end]


def plain_text(raw: bytes) -> str:
    """Text that can be shown as it is."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise NotPlainError from error
    expect(text.isprintable())
    return text


def expect(is_so: bool) -> None:
    """Leave the file to the library where something is not as it is in plain files."""
    if not is_so:
        raise NotPlainError
