"""A file in the making: headers are written in order, numbers by several threads and past the page cache.

Every page that the cache takes in costs processor time, on virtual machines more than the disk takes to write it, and
whoever writes a model seldom reads it next. Source of what the disk asks of such writes: open(2), `O_DIRECT`.
"""

from __future__ import annotations

import errno
import io
import mmap
import os
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typing_extensions import Buffer

_BLOCK = 4 << 20
"""Bytes that go to the disk at once."""
_PAGE = mmap.PAGESIZE
"""What is written past the page cache begins and ends at multiples of this, in the file and in memory."""


@contextmanager
def new_file(path: Path) -> Iterator[NewFile]:
    """An empty file, open for writing. To sync it is left to the caller.

    Raises:
        OSError: the system does not write there.
    """
    with NewFile(path) as file:
        try:
            yield file
        finally:
            file.end_direct()


class NewFile(io.FileIO):
    """What `new_file` gives: a file that is written in order, and in parts by several threads in between."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "wb")
        self._path = path
        self._blocks: list[mmap.mmap] = []
        self._edges: list[tuple[int, bytes]] = []
        self._lock = Lock()
        self._direct = _open_direct(path)
        self._is_direct = self._direct is not None

    def write(self, content: Buffer, /) -> int:
        """Write all of `content`; the system alone would take what fits the disk, or two gigabytes."""
        view = memoryview(content).cast("B")
        left = view
        while left:
            left = left[super().write(left) :]
        return len(view)

    @contextmanager
    def part(self, start: int) -> Iterator[Part]:
        """A part of the file that one thread writes from `start` on, while others write others."""
        try:
            block = self._blocks.pop()
        except IndexError:
            block = mmap.mmap(-1, _BLOCK)  # whose memory begins with a page
        part = Part(self, start, block)
        yield part
        part.end()
        del part  # and with it its view of the block
        self._blocks.append(block)

    def reserve(self, start: int, size: int) -> None:
        """Let the file system set room aside."""
        if self._is_direct and size:
            os.posix_fallocate(self.fileno(), start, size)

    def joined(self, end: int, _crc: int = 0, /) -> None:
        """When all parts are written: what is written in order goes on at `end`."""
        for place, content in self._edges:
            self.seek(place)
            self.write(content)
        self._edges.clear()
        self.seek(end)

    def put(self, place: int, content: memoryview) -> None:
        """Write whole pages of memory to whole pages of the file."""
        while content:
            count = self._write_at(place, content)
            place, content = place + count, content[count:]

    def put_later(self, place: int, content: bytes) -> None:
        """Write what shares its page with another part, when that is there too."""
        self._edges.append((place, content))

    def end_direct(self) -> None:
        """Close what is needed for parts alone."""
        if self._direct is not None:
            os.close(self._direct)
            self._direct = None

    def _write_at(self, place: int, content: memoryview) -> int:
        if self._is_direct and self._direct is not None:
            try:
                return os.pwrite(self._direct, content, place)
            except OSError as error:
                if error.errno != errno.EINVAL:  # how a file system says that it cannot
                    error.filename = str(self._path)  # the system's words do not say which file it was
                    raise
                self._is_direct = False
        with self._lock:
            self.seek(place)
            return self.write(content)


class Part:
    """Bytes of a file that lie behind one another; see `NewFile.part`."""

    def __init__(self, file: NewFile, start: int, block: mmap.mmap) -> None:
        self._file = file
        self._block = np.frombuffer(block, np.uint8)
        self._begun = self._filled = start % _PAGE
        self._place = start - self._begun

    def write(self, content: Buffer) -> None:
        """Write all of `content` behind the last."""
        left = np.frombuffer(memoryview(content), np.uint8)
        while left.size:
            piece = left[: _BLOCK - self._filled]
            self._block[self._filled : self._filled + piece.size] = piece
            self._filled += piece.size
            left = left[piece.size :]
            if self._filled == _BLOCK:
                self.end()

    def end(self) -> None:
        """Write what the block holds, and begin it anew."""
        first = min(self._filled, -(-self._begun // _PAGE) * _PAGE)
        last = max(first, self._filled - self._filled % _PAGE)
        for start, end in ((self._begun, first), (last, self._filled)):
            if start < end:
                self._file.put_later(self._place + start, self._block[start:end].tobytes())
        self._file.put(self._place + first, self._block[first:last].data)
        self._place += self._filled
        self._begun = self._filled = 0


def _open_direct(path: Path) -> int | None:
    """A descriptor that writes past the page cache; None where the system has none."""
    flag = getattr(os, "O_DIRECT", None)
    if flag is None:
        return None
    try:
        return os.open(path, os.O_WRONLY | flag)
    except OSError:
        return None
