"""A file in the making: headers are written in order, numbers by several threads and past the page cache.

Every page that the cache takes in costs processor time, on virtual machines more than the disk takes to write it, and
whoever writes a model seldom reads it next. What the disk asks of such writes: open(2), `O_DIRECT`.
"""

from __future__ import annotations

import errno
import io
import mmap
import os
import struct
import sys
from bisect import bisect_right
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typing_extensions import Buffer

BLOCK = 1 << 20
"""Bytes that go to the disk at once."""
RUN = 16 << 20
"""Bytes that one thread writes before another may take over."""
THREADS = 12
"""Most of them wait for the disk, which is fastest when it has several writes to choose from."""
_BLOCKS = 8
"""How many get memory together; it is taken when they are first written to."""
PAGE = mmap.PAGESIZE
"""What is written past the page cache begins and ends at multiples of this, in the file and in memory."""
LARGE = 16 << 20
"""Bytes that are worth it: a write past the page cache waits for the disk."""
_SHARE = 0x4020940D
"""What asks a file system to let two files share what they hold, see ioctl_ficlonerange(2)."""
_CANNOT = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)
"""How file systems say that they do not do such things."""


class NewFile(io.FileIO):
    """A file that is written in order, and in parts by several threads in between. To sync it is left to the caller.

    Args:
        path: where it stands; what stood there is gone.

    Raises:
        OSError: the system does not write there.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "wb")
        self._path = path
        self._blocks: list[memoryview] = []
        self._edges: list[tuple[int, bytes]] = []
        self._seeking = Lock()
        self._direct: int | None = None
        self._shared: list[tuple[int, int]] = []
        self._shares = sys.platform == "linux"

    def write(self, content: Buffer, /) -> int:
        """Write all of `content`; the system alone would take what fits the disk, or two gigabytes."""
        left = view = memoryview(content).cast("B")
        while left:
            left = left[super().write(left) :]
        return len(view)

    def close(self) -> None:
        """Close it."""
        if self._direct is not None:
            os.close(self._direct)
            self._direct = None
        super().close()

    def reserve(self, start: int, size: int) -> None:
        """Set room aside for parts, so that a full disk is known at once and no part waits for the file to grow.

        What is shared with another file needs none, so share first.

        Args:
            start: where the first one begins.
            size: bytes of all together.

        Raises:
            OSError: there is no room.
        """
        if size < LARGE or not hasattr(os, "O_DIRECT"):
            return
        try:
            if self._direct is None:
                self._direct = os.open(self._path, os.O_WRONLY | os.O_DIRECT)
            for place, end in self._unshared(start, start + size):
                first, last = _whole_pages(place, end)
                if first == last:
                    continue
                os.posix_fallocate(self.fileno(), first, PAGE)
                if _holds_data(self.fileno(), first):  # glibc wrote there, as it would into every page
                    break
                os.posix_fallocate(self.fileno(), first, last - first)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise

    def share(self, other: int, offset: int, start: int, size: int) -> None:
        """Take over bytes of another file without a copy of them, where the file system can, and only whole pages.

        Parts pass over what was taken over: they are given it as well, and do not write it.

        Args:
            other: descriptor of the other file.
            offset: where the bytes begin there.
            start: where they begin here, behind all that was shared before.
            size: how many they are.
        """
        first, last = _whole_pages(start, start + size)
        place = offset + first - start
        if not self._shares or first >= last or place % PAGE:
            return
        import fcntl

        try:
            fcntl.ioctl(self.fileno(), _SHARE, struct.pack("<qQQQ", other, place, last - first, first))
        except OSError:  # it cannot, or there is no room: then they are written
            self._shares = False
        else:
            self._shared.append((first, last))

    @contextmanager
    def part(self, start: int) -> Iterator[Part]:
        """A part of the file that one thread writes from `start` on, while others write others."""
        try:
            block = self._blocks.pop()
        except IndexError:
            block, *others = _new_blocks()
            self._blocks += others
        part = Part(self, start, block)
        yield part
        part.end()
        self._blocks.append(block)

    def join(self, end: int) -> None:
        """When all parts are written: what is written in order goes on at `end`."""
        for place, content in self._edges:
            self.seek(place)
            self.write(content)
        self._edges.clear()
        self.seek(end)

    def put(self, place: int, content: memoryview) -> None:
        """Write whole pages of memory to whole pages of the file, but for those that it shares with another file."""
        end = place + len(content)
        for start, stop in self._unshared(place, end):
            left = content[start - place : stop - place]
            while left:
                count = self._write_at(stop - len(left), left)
                left = left[count:]

    def put_later(self, place: int, content: bytes) -> None:
        """Write what has its page together with another part, when that is there too."""
        if any(self._unshared(place, place + len(content))):
            self._edges.append((place, content))

    def _unshared(self, place: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of a stretch that are no other file's."""
        known = self._shared
        for first, last in known[max(0, bisect_right(known, (place, place)) - 1) :]:
            if first >= end:
                break
            if place < first:
                yield place, first
            place = max(place, last)
        if place < end:
            yield place, end

    def _write_at(self, place: int, content: memoryview) -> int:
        direct = self._direct
        if direct is not None:
            try:
                return os.pwrite(direct, content, place)
            except OSError as error:
                if error.errno not in _CANNOT:
                    error.filename = str(self._path)  # the system's words do not say which file it was
                    raise
        with self._seeking:
            self.seek(place)
            return self.write(content)


class Part:
    """Bytes of a file that lie behind one another; see `NewFile.part`."""

    def __init__(self, file: NewFile, start: int, block: memoryview) -> None:
        self._file = file
        self._block = block
        self._begun = self._filled = start % PAGE
        self._place = start - self._begun

    def write(self, content: Buffer) -> None:
        """Write all of `content`, which is made of bytes, behind the last."""
        left = memoryview(content)
        while left:
            space = self.space(len(left))
            space[:] = left[: len(space)]
            left = left[len(space) :]
            self.took(len(space))

    def space(self, limit: int) -> memoryview:
        """Where the next bytes go, up to `limit` of them; who fills it says so with `took`."""
        return self._block[self._filled : min(BLOCK, self._filled + limit)]

    def took(self, count: int) -> None:
        """So many bytes were put where `space` said."""
        self._filled += count
        if self._filled == BLOCK:
            self.end()

    def end(self) -> None:
        """Write what the block holds, and begin it anew."""
        first, last = _whole_pages(self._begun, self._filled)
        for start, end in ((self._begun, first), (last, self._filled)):
            if start < end:
                self._file.put_later(self._place + start, self._block[start:end].tobytes())
        self._file.put(self._place + first, self._block[first:last])
        self._place += self._filled
        self._begun = self._filled = 0


def _new_blocks() -> list[memoryview]:
    """Memory for blocks, each from the beginning of a page: of few large pages where the system has such.

    A disk is told of a block page by page, and of a large page at once.
    """
    size = _BLOCKS * BLOCK
    if hasattr(mmap, "MADV_HUGEPAGE"):
        room = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with suppress(OSError):  # of a system that was made without
            room.madvise(mmap.MADV_HUGEPAGE)
    else:
        room = mmap.mmap(-1, size)
    return [memoryview(room)[start : start + BLOCK] for start in range(0, size, BLOCK)]


def _whole_pages(start: int, end: int) -> tuple[int, int]:
    """The pages between two places, as start and end; where there are none, both are the end."""
    first = min(end, -(-start // PAGE) * PAGE)
    return first, max(first, end - end % PAGE)


def _holds_data(file: int, start: int) -> bool:
    """Whether something was written behind a place, where only room may have been set aside."""
    try:
        return os.lseek(file, start, os.SEEK_DATA) >= start
    except OSError:
        return False
    finally:
        os.lseek(file, start, os.SEEK_SET)
