"""Bytes on their way into a new file, in runs that a few threads take one after another.

Where each tensor goes is known before, so none has to wait for the last: a thread reads a piece, edits, hashes and
writes it while it is in the processor's cache.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from isal import isal_zlib

from modelrecipe.errors import FileError
from modelrecipe.frozen import frozen
from modelrecipe.new_file import RUN, THREADS

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from typing_extensions import Buffer

    from modelrecipe.formats.extent import Extent
    from modelrecipe.new_file import NewFile, Part

PIECE = 1 << 20
"""Bytes that are read at once: all that is made of them should fit the processor's cache together."""


class Placed(Protocol):
    """A tensor that has its place in the new file."""

    @property
    def offset(self) -> int:
        """Where its bytes begin."""
        ...

    @property
    def size(self) -> int:
        """How many they are."""
        ...


_Placed = TypeVar("_Placed", bound=Placed)
_Done = TypeVar("_Done")


@frozen(kw_only=False)
class Run(Generic[_Placed]):
    """Bytes of the new file that are written one after another.

    Args:
        start: where they begin.
        end: where they end.
        tensors: those in it, in order.
    """

    start: int
    end: int
    tensors: Sequence[_Placed]

    @property
    def size(self) -> int:
        """How many they are."""
        return self.end - self.start


@dataclass
class Out:
    """Where one run goes.

    Args:
        part: takes it.
        place: where the next piece will stand in the new file.
        whole: who holds this may have a whole tensor in memory, of all that write the file.
        crc: the checksum of what went there.
    """

    part: Part
    place: int
    whole: Lock
    crc: int = 0

    def write(self, piece: Buffer) -> None:
        """Write a piece behind the last one."""
        self.crc = isal_zlib.crc32(piece, self.crc)
        self.part.write(piece)
        self.place += memoryview(piece).nbytes

    def space(self, limit: int) -> memoryview:
        """Where the next bytes go; who fills it says so with `took`."""
        return self.part.space(limit)

    def took(self, piece: memoryview) -> None:
        """The bytes that were put where `space` said."""
        self.crc = isal_zlib.crc32(piece, self.crc)
        self.part.took(len(piece))
        self.place += len(piece)

    def copy(self, base: Extent, file: io.BufferedReader, start: int, end: int) -> None:
        """Write what stands between two places of an extent.

        Raises:
            FileError: the file ends before.
        """
        file.seek(base.start + start)
        for piece in pieces(file, end - start, base):
            self.write(piece)


def in_runs(
    tensors: Sequence[_Placed], size: int, file: NewFile, pass_run: Callable[[Run[_Placed], Out], _Done]
) -> tuple[list[_Done], int]:
    """Write bytes run by run, behind what the file holds.

    Args:
        tensors: those among the bytes, in order and without overlap.
        size: how many bytes there are in all.
        file: takes them.
        pass_run: writes the bytes of a run; several threads do.

    Returns:
        What `pass_run` gave for each run, in order, and the checksum of all bytes.
    """
    begin, whole = file.tell(), Lock()

    def work(run: Run[_Placed]) -> tuple[_Done, int]:
        with file.part(begin + run.start) as part:
            out = Out(part, run.start, whole)
            return pass_run(run, out), out.crc

    runs = [*_runs(tensors, size)]
    file.reserve(begin, size)
    with ThreadPoolExecutor(THREADS) as pool:
        done = [*pool.map(work, runs)]
    file.join(begin + size)
    crc = joined_crc((crc, run.size) for run, (_, crc) in zip(runs, done, strict=True))
    return [one for one, _ in done], crc


def _runs(tensors: Sequence[_Placed], size: int) -> Iterator[Run[_Placed]]:
    start = 0
    waiting: list[_Placed] = []
    for tensor in tensors:
        waiting.append(tensor)
        end = tensor.offset + tensor.size
        if end - start >= RUN:
            yield Run(start, end, waiting)
            start, waiting = end, []
    if start < size:
        yield Run(start, size, waiting)


def joined_crc(parts: Iterable[tuple[int, int]]) -> int:
    """The checksum of bytes that lie behind one another, from the checksum and number of each part."""
    whole = 0
    for crc, size in parts:
        whole = isal_zlib.crc32_combine(whole, crc, size)
    return whole


def pieces(file: io.BufferedReader, size: int, extent: Extent) -> Iterator[memoryview]:
    """The next bytes of a file; a piece may be written to, and is gone when the next one is asked for.

    Args:
        file: is read from where it stands.
        size: how many bytes.
        extent: what they belong to.

    Raises:
        FileError: the file ends before.
    """
    room = memoryview(bytearray(max(0, min(PIECE, size))))
    for start in range(0, size, PIECE):
        piece = room[: min(PIECE, size - start)]
        if file.readinto(piece) < len(piece):
            raise changed(extent)
        yield piece


def changed(extent: Extent) -> FileError:
    """What to say when a file ends before its time."""
    return FileError(f"'{extent.file}' changed while it was read", hint="run again")
