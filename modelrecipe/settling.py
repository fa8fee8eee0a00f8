"""Bytes go to the disk while a file is still being written, are read back and compared, and leave the page cache.

Linux begins to write on its own only after seconds, or when a tenth of the memory waits: a file of a gigabyte would be
computed first and written afterwards. And every page that the cache takes in costs time, on virtual machines more than
the disk itself: pages that are given back at once are used again.
"""

from __future__ import annotations

import io
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from isal import isal_zlib

from modelrecipe.errors import FileError
from modelrecipe.line import Line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typing_extensions import Buffer

WINDOW = 32 << 20
"""Bytes that are worth a visit to the disk."""
_PIECE = 1 << 20


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


class SettledFile(io.FileIO):
    """A file that settles window by window while it is written; see `settled`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "wb")
        self._path = path
        self._begun = self._position = self._crc = 0

    def begin(self, back: io.FileIO, reading: Line, syncing: Line) -> None:
        """Take what is needed: the same file, open for reading; who reads it back; who sends it to the disk."""
        self._back = back
        self._reading = reading
        self._syncing = syncing

    def write(self, content: Buffer, /) -> int:
        """Write all of `content`."""
        view = memoryview(content).cast("B")
        self._crc = isal_zlib.crc32(view, self._crc)
        count = 0
        while count < len(view):  # the system takes what fits the disk, or two gigabytes
            count += super().write(view[count:])
        self._position += count
        if self._position - self._begun >= WINDOW:
            self._end_window()
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go elsewhere, when what was written so far was read back: it may be written over now."""
        self.settle()
        self._begun = self._position = super().seek(offset, whence)
        return self._position

    def settle(self) -> None:
        """Until all that was written is read back."""
        self._end_window()
        self._syncing.wait()
        self._reading.wait()

    def _end_window(self) -> None:
        if self._position > self._begun:
            self._syncing.put(self._send, self._begun, self._position, self._crc)
        self._begun, self._crc = self._position, 0

    def _send(self, start: int, end: int, crc: int) -> None:
        if end - start >= WINDOW:
            try:
                getattr(os, "fdatasync", os.fsync)(self.fileno())
            except OSError as error:
                error.filename = str(self._path)  # the system's words do not say which file it was
                raise
        self._reading.put(self._look_back, start, end, crc)

    def _look_back(self, start: int, end: int, crc: int) -> None:
        if self._crc_of(start, end) != crc:
            raise FileError(
                f"'{self._path.name}' does not hold what was written to it",
                hint="its disk or the memory is faulty: write elsewhere",
            )
        if end - start >= WINDOW and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._back.fileno(), start, end - start, os.POSIX_FADV_DONTNEED)

    def _crc_of(self, start: int, end: int) -> int:
        crc, buffer = 0, memoryview(bytearray(min(_PIECE, end - start)))
        self._back.seek(start)
        while start < end and (count := self._back.readinto(buffer[: min(len(buffer), end - start)])):
            crc = isal_zlib.crc32(buffer[:count], crc)
            start += count
        return crc
