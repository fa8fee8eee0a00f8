"""Bytes of a file that are an HDF5 file of their own: the whole file, or a member that a zip stores uncompressed.

They are read in place, through a window. Knows neither HDF5 nor zip.
"""

from __future__ import annotations

import io
import os
from contextlib import contextmanager
from dataclasses import field
from typing import TYPE_CHECKING

from modelrecipe.errors import FileError
from modelrecipe.files import cannot_read
from modelrecipe.formats.hdf5 import global_heap
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typing_extensions import Buffer

_LARGEST_HEADER = 1 << 16
"""Bytes that libhdf5 reads of its own structures at once, before it knows how large they are; more are numbers."""
_PAGE = 4096
"""Bytes that are read ahead: libhdf5 asks for a few hundred at a time, thousands of times, often close together."""


@frozen(kw_only=False)
class Stamp:
    """What tells that a file is still the one that was opened."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """The stamp of the file as it is now.

        Raises:
            FileError: there is no such file any more.
        """
        try:
            found = path.stat()
        except OSError as error:
            raise cannot_read(path, error) from error
        return cls(found.st_size, found.st_mtime_ns)


@frozen
class Extent:
    """Where an HDF5 file lies.

    Args:
        file: the file that the user named.
        stamp: that file, as it was when the extent was found.
        offset: the first byte.
        size: number of bytes.
        crc: the checksum that a zip records for them.
        unpacked: a temporary file that holds the bytes instead, for a member that the zip compresses.
        keeper: whatever has to live as long as that temporary file is needed.
    """

    file: Path
    stamp: Stamp
    offset: int = 0
    size: int
    crc: int | None = None
    unpacked: Path | None = field(default=None, compare=False)
    keeper: object = field(default=None, compare=False, repr=False)

    @classmethod
    def whole(cls, path: Path) -> Extent:
        """All bytes of a file."""
        stamp = Stamp.of(path)
        return cls(file=path, stamp=stamp, size=stamp.size)

    def check(self) -> None:
        """Refuse to go on where the file is not the one any more that was opened first.

        Raises:
            FileError: its size or date differs.
        """
        if Stamp.of(self.file) != self.stamp:
            raise FileError(f"'{self.file}' changed while it was read", hint="run again")

    @contextmanager
    def open(self) -> Iterator[io.BufferedReader]:
        """The file that holds the bytes, read-only; the extent begins at `start`.

        Raises:
            FileError: the file changed, or is gone.
        """
        self.check()
        try:
            file = (self.unpacked or self.file).open("rb")
        except OSError as error:
            raise cannot_read(self.file, error) from error
        with file:
            yield file

    @property
    def start(self) -> int:
        """Where the bytes begin in the file that `open` gives."""
        return 0 if self.unpacked else self.offset

    @contextmanager
    def window(self) -> Iterator[io.BufferedIOBase]:
        """The bytes as a file of their own, seekable, which h5py opens."""
        with self.open() as file, io.BufferedReader(Window(file, self.start, self.size), _PAGE) as window:
            yield window


class Window(io.RawIOBase):
    """A part of an open file as if it were a file. Closing it leaves the file open."""

    def __init__(self, file: io.BufferedReader, start: int, size: int) -> None:
        super().__init__()
        self._file = file
        self._start = start
        self._size = size
        self._position = 0
        self._last = b""
        self._end = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move within the window; past its end nothing is read."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        """The position within the window."""
        return self._position

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill `buffer`, or as much of it as the window still holds."""
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self._size - self._position))
        if not wanted:
            return 0
        self._file.seek(self._start + self._position)
        count = self._file.readinto(view[:wanted])
        # What is read ahead may end within the first bytes of a heap, of which libhdf5 gets the rest by the next read.
        before = self._last if self._end == self._position else b""
        if count <= _LARGEST_HEADER:
            self._check_heaps(before + view[:count], self._position - len(before))
        self._position = self._end = self._position + count
        reach = len(global_heap.START) - 1
        self._last = (before + view[max(0, count - reach) : count])[-reach:]
        return count

    def _check_heaps(self, read: bytes, position: int) -> None:
        start = read.find(global_heap.START)
        while start >= 0:
            place = self._start + position + start
            global_heap.check_collection(self._file, place, self._start + self._size)
            start = read.find(global_heap.START, start + 1)
