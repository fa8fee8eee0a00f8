"""Writes zips whose members are stored as they are: what `.keras` files are made of.

`zipfile` writes them too, but takes longer to sum up the bytes than to write them. Source of the layout: PKWARE,
`APPNOTE.TXT` 6.3.10, sections 4.3 (order), 4.4 (fields) and 4.5.3 (sizes of 4 GiB and more).
"""

from __future__ import annotations

import struct
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from isal import isal_zlib

from modelrecipe.new_file import LARGE, PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

    from modelrecipe.new_file import NewFile

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s4B4HL2L5H2L")
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_SIZES_64 = 1
_ALIGNED = struct.Struct("<3H")
_ALIGNMENT = 0xD935
"""An extra field that is there to fill room; Android's `zipalign` names it so."""
_LIMIT = 0xFFFFFFFF
_MOST_MEMBERS = 0xFFFF
_PLAIN, _LARGE = 20, 45
_UTF8 = 0x800
_DATE = (1980 - 1980) << 9 | 1 << 5 | 1
_MODE = 0o600 << 16


@dataclass
class Member:
    """One member on its way: takes bytes, and knows their number and checksum.

    Args:
        file: the zip.
        name: the member's name, encoded.
        offset: where its local header stands.
        is_beyond: whether its header has room for sizes that do not fit 32 bits.
        padding: what its header has at the end, so that its bytes begin further back.
        size: how many bytes it has so far.
        crc: CRC-32 of them.
    """

    file: NewFile
    name: bytes
    offset: int
    is_beyond: bool = False
    padding: bytes = b""
    size: int = 0
    crc: int = 0

    def write(self, content: Buffer) -> int:
        """Write bytes."""
        view = memoryview(content).cast("B")
        self.crc = isal_zlib.crc32(view, self.crc)
        self.size += len(view)
        return self.file.write(view)

    def add(self, size: int, crc: int) -> None:
        """Count bytes that were written behind the last ones by others, who have their checksum."""
        self.crc = isal_zlib.crc32_combine(self.crc, crc, size)
        self.size += size

    def local(self) -> bytes:
        """The header in front of its bytes."""
        extra = struct.pack("<2H2Q", _SIZES_64, 16, self.size, self.size) if self.is_beyond else b""
        size = _LIMIT if self.is_beyond else self.size
        version = _LARGE if self.is_beyond else _PLAIN
        lengths = len(self.name), len(extra) + len(self.padding)
        head = (b"PK\x03\x04", version, _flags(self), 0, 0, _DATE, self.crc, size, size, *lengths)
        return _LOCAL.pack(*head) + self.name + extra + self.padding

    @property
    def is_large(self) -> bool:
        """Whether its sizes or its place do not fit 32 bits."""
        return _is_beyond(self.size) or _is_beyond(self.offset)


@dataclass
class StoredZip:
    """A zip that is written from its beginning to its end. Equal members give equal bytes: all have one date.

    Args:
        file: takes it.
    """

    file: NewFile
    members: list[Member] = field(default_factory=list)

    @contextmanager
    def member(self, name: str, size: int, *, like: int | None = None) -> Iterator[Member]:
        """A new member to write into.

        Args:
            name: its name.
            size: how many bytes will be written, at most; whether the header has room for large numbers hangs on it.
            like: where its bytes begin in another file with which they may share pages; here they begin at the same
                place within a page, if they are many.
        """
        made = Member(self.file, name.encode(), self.file.tell(), is_beyond=_is_beyond(size))
        if like is not None and size >= LARGE:
            made.padding = _padding((like - made.offset - len(made.local())) % PAGE)
        self.file.write(made.local())
        yield made
        end = self.file.tell()
        self.file.seek(made.offset)
        self.file.write(made.local())
        self.file.seek(end)
        self.members.append(made)

    def close(self) -> None:
        """Write the directory of all members behind the last one; the file itself stays open."""
        start = self.file.tell()
        for member in self.members:
            self.file.write(_central(member))
        self.file.write(_end(len(self.members), start, self.file.tell() - start))


def _padding(count: int) -> bytes:
    """An extra field of so many bytes, or of a page more where they are too few for one."""
    if not count:
        return b""
    count += PAGE if count < _ALIGNED.size else 0
    return _ALIGNED.pack(_ALIGNMENT, count - 4, PAGE).ljust(count, b"\0")


def _is_beyond(number: int) -> bool:
    """Whether 32 bits do not hold a number; the largest that they would hold says that it stands elsewhere."""
    return number >= _LIMIT


def _flags(member: Member) -> int:
    return 0 if member.name.isascii() else _UTF8


def _central(member: Member) -> bytes:
    size, offset, extra, version = member.size, member.offset, b"", _PLAIN
    if member.is_large:
        extra = struct.pack("<2H3Q", _SIZES_64, 24, size, size, offset)
        size, offset, version = _LIMIT, _LIMIT, _LARGE
    head = (b"PK\x01\x02", version, 3, version, 0, _flags(member), 0, 0, _DATE, member.crc, size, size)
    return _CENTRAL.pack(*head, len(member.name), len(extra), 0, 0, 0, _MODE, offset) + member.name + extra


def _end(count: int, start: int, size: int) -> bytes:
    large = b""
    is_large = count >= _MOST_MEMBERS or _is_beyond(start) or _is_beyond(size)
    if is_large:
        large = _END_64.pack(b"PK\x06\x06", _END_64.size - 12, _LARGE, _LARGE, 0, 0, count, count, size, start)
        large += _LOCATOR_64.pack(b"PK\x06\x07", 0, start + size, 1)
    short = (_MOST_MEMBERS, _MOST_MEMBERS, _LIMIT, _LIMIT) if is_large else (count, count, size, start)
    return large + _END.pack(b"PK\x05\x06", 0, 0, *short, 0)
