"""Bytes go to the disk while a file is still being written, are read back and compared, and leave the page cache.

Linux begins to write on its own only after seconds, or when a tenth of the memory waits: a file of a gigabyte would be
computed first and written afterwards. And every page that the cache takes in costs time, on virtual machines more than
the disk itself: pages that are given back at once are used again.
"""

from __future__ import annotations

import io
import mmap
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from isal import isal_zlib

from modelrecipe.errors import FileError
from modelrecipe.line import Line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typing_extensions import Buffer

WINDOW = 32 << 20
"""Bytes that are worth a visit to the disk."""
_PIECE = 4 << 20
_LARGE = 1 << 16
"""Bytes of a single write that nobody asks for soon: numbers. Less are headers, which are read at the end."""
_IN_PLACE: dict[str, Any] = (
    {"flags": mmap.MAP_PRIVATE | mmap.MAP_POPULATE, "prot": mmap.PROT_READ}  # all pages at once, not one by one
    if hasattr(mmap, "MAP_POPULATE")
    else {"access": mmap.ACCESS_READ}
)


@contextmanager
def settled(path: Path) -> Iterator[SettledFile]:
    """A new file, open for writing; at the end of the block all of it was read back.

    Its last bytes are the caller's to sync.

    Raises:
        FileError: the file does not hold what was written.
        OSError: the disk did not take it.
    """
    with SettledFile(path) as file, path.open("rb", buffering=0) as back, Line() as reading, Line() as syncing:
        file.begin(back, reading, syncing)
        yield file
        file.settle()


@dataclass
class _Window:
    """Bytes that go to the disk together.

    Args:
        start: where they begin in the file.
        end: where they end.
        crc: their checksum.
        numbers: parts of them, as start and end, that were written in large pieces.
    """

    start: int = 0
    end: int = 0
    crc: int = 0
    numbers: list[tuple[int, int]] = field(default_factory=list)

    @property
    def is_large(self) -> bool:
        return self.end - self.start >= WINDOW


class SettledFile(io.FileIO):
    """A file that settles window by window while it is written; see `settled`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "wb")
        self._path = path
        self._window = _Window()

    def begin(self, back: io.FileIO, reading: Line, syncing: Line) -> None:
        """Take what is needed: the same file, open for reading; who reads it back; who sends it to the disk."""
        self._back = back
        self._reading = reading
        self._syncing = syncing

    def write(self, content: Buffer, /) -> int:
        """Write all of `content`."""
        view = memoryview(content).cast("B")
        window, count = self._window, 0
        while count < len(view):  # the system takes what fits the disk, or two gigabytes
            count += super().write(view[count:])
        window.crc = isal_zlib.crc32(view, window.crc)
        if count >= _LARGE:
            window.numbers.append((window.end, window.end + count))
        window.end += count
        if window.is_large:
            self._end_window()
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go elsewhere, when what was written so far was read back: it may be written over now."""
        self.settle()
        position = super().seek(offset, whence)
        self._window = _Window(position, position)
        return position

    def settle(self) -> None:
        """Until all that was written is read back."""
        self._end_window()
        self._syncing.wait()
        self._reading.wait()

    def _end_window(self) -> None:
        window = self._window
        if window.end > window.start:
            self._syncing.put(self._send, window)
        self._window = _Window(window.end, window.end)

    def _send(self, window: _Window) -> None:
        if window.is_large:
            try:
                getattr(os, "fdatasync", os.fsync)(self.fileno())
            except OSError as error:
                error.filename = str(self._path)  # the system's words do not say which file it was
                raise
        self._reading.put(self._look_back, window)

    def _look_back(self, window: _Window) -> None:
        if self._crc_of(window.start, window.end) != window.crc:
            raise FileError(
                f"'{self._path.name}' does not hold what was written to it",
                hint="its disk or the memory is faulty: write elsewhere",
            )
        if window.is_large and hasattr(os, "posix_fadvise"):
            for start, end in window.numbers:
                os.posix_fadvise(self._back.fileno(), start, end - start, os.POSIX_FADV_DONTNEED)

    def _crc_of(self, start: int, end: int) -> int | None:
        """The checksum of what the file holds there, looked at in place; None where it ends before."""
        if os.fstat(self._back.fileno()).st_size < end:
            return None  # to look behind the end of a file would end the process
        crc = 0
        while start < end:
            first = start - start % mmap.ALLOCATIONGRANULARITY
            size = min(_PIECE, end - first)
            with mmap.mmap(self._back.fileno(), size, offset=first, **_IN_PLACE) as piece, memoryview(piece) as view:
                crc = isal_zlib.crc32(view[start - first :], crc)
            start = first + size
        return crc
