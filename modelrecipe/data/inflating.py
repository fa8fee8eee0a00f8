"""Compressed files, unpacked once so that any place in them can be read: GZIP and ZLIB, as TFRecord files may be."""

from __future__ import annotations

import tempfile
import threading
import weakref
import zlib
from typing import IO, TYPE_CHECKING

from modelrecipe.errors import FileError
from modelrecipe.files import cannot_read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PIECE = 1 << 20
_EITHER = 32 + zlib.MAX_WBITS
"""Lets zlib find out itself whether a stream is GZIP or ZLIB."""
_LARGE, _RATIO = 4 * 2**30, 100
"""From this size on, a file that swells more than this is taken for a bomb; the limits of NumPy archives."""


class Inflated:
    """The content of a compressed file, in a temporary file without a name, which is gone with the process.

    Args:
        path: the compressed file.

    Raises:
        FileError: it cannot be read, is damaged or cut off, swells beyond reason, or there is no room for it.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this
        weakref.finalize(self, self._file.close)
        self.size = 0
        for piece in _pieces(path):
            self.size += len(piece)
            _refuse_bomb(path, self.size)
            try:
                self._file.write(piece)
            except OSError as error:
                what = f"'{path}' cannot be unpacked in '{tempfile.gettempdir()}': {error.strerror}"
                raise FileError(what, hint="make room there, set TMPDIR, or write it without compression") from error
        self._file.flush()

    def fileno(self) -> int:
        """The descriptor of the temporary file."""
        return self._file.fileno()

    def read(self, offset: int, size: int) -> bytes:
        """Bytes from a place on; may be asked for by several threads."""
        with self._lock:
            self._file.seek(offset)
            return self._file.read(size)


def _pieces(path: Path) -> Iterator[bytes]:
    """The unpacked content, at most 1 MB at a time; of several streams behind each other, all."""
    machine = zlib.decompressobj(_EITHER)
    try:
        with path.open("rb") as stream:
            while packed := stream.read(_PIECE):
                while packed:
                    machine = zlib.decompressobj(_EITHER) if machine.eof else machine
                    yield machine.decompress(packed, _PIECE)
                    packed = machine.unused_data if machine.eof else machine.unconsumed_tail
    except OSError as error:
        raise cannot_read(path, error) from error
    except zlib.error as error:
        raise FileError(f"'{path}' is damaged: {error}", hint="write it anew") from error
    while not machine.eof and (rest := machine.decompress(b"", _PIECE)):
        yield rest
    if not machine.eof:
        raise FileError(f"'{path}' is cut off", hint="write it anew")


def _refuse_bomb(path: Path, size: int) -> None:
    if size > _LARGE and size > _RATIO * path.stat().st_size:
        raise FileError(
            f"'{path}' swells from {path.stat().st_size:,} to more than {size:,} bytes",
            hint="write it without compression",
        )
