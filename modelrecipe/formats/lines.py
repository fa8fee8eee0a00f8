"""Threads that pieces of a file go through on their way: one hashes them, one writes them, each in order."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import IO, TYPE_CHECKING, Any, Protocol

from modelrecipe.errors import FileError
from modelrecipe.line import Line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

    from modelrecipe.formats.extent import Extent

PIECE = 1 << 20
"""Bytes that are read at once: more do not fit the processor's cache, fewer cost more calls."""


class Sink(Protocol):
    """What bytes are written to."""

    def write(self, content: Buffer, /) -> int:
        """Write bytes."""
        ...


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Where pieces go."""

    hashing: Line
    writing: Line
    target: Sink

    def hash(self, state: Any, piece: Buffer) -> None:
        """Hash a piece into `state`; nothing where there is no state."""
        if state is not None:
            self.hashing.put(state.update, piece)

    def write(self, piece: Buffer) -> None:
        """Write a piece behind the last one."""
        self.writing.put(self.target.write, piece)

    def copy(self, base: Extent, file: IO[bytes], start: int, end: int) -> None:
        """Write what stands between two places of an extent.

        Raises:
            FileError: the file ends before.
        """
        file.seek(base.start + start)
        while start < end:
            piece = file.read(min(PIECE, end - start))
            if not piece:
                raise changed(base)
            self.write(piece)
            start += len(piece)

    def wait(self) -> None:
        """Until all that was put is done: before a whole tensor is read, the last one need not be held any more."""
        self.hashing.wait()
        self.writing.wait()


@contextmanager
def lines_to(target: Sink) -> Iterator[Lines]:
    """Two lines, for the time of the block; at its end everything is hashed and written."""
    _keep_pieces()
    with Line() as hashing, Line() as writing:
        yield Lines(hashing=hashing, writing=writing, target=target)


@cache
def _keep_pieces() -> None:
    """Let the GNU C library keep pieces that are given back, so that the system need not make their pages anew.

    It does so with what is smaller than the largest that was given back before, up to 32 MB; see mallopt(3),
    M_MMAP_THRESHOLD. These bytes are never touched, so they take no memory.
    """
    bytearray(8 << 20)


def changed(extent: Extent) -> FileError:
    """What to say when a file ends before its time."""
    return FileError(f"'{extent.file}' changed while it was read", hint="run again")
