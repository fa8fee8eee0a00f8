"""Threads that pieces of a file go through on their way: one hashes them, one writes them, each in order.

What is put into a line is done later; few pieces may wait, so that memory stays small. Bytes are never changed after
they were put, so that both lines may look at the same ones.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol

from modelrecipe.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Buffer

    from modelrecipe.formats.extent import Extent

PIECE = 1 << 20
"""Bytes that are read at once: more do not fit the processor's cache, fewer cost more calls."""
_WAITING = 8


class Sink(Protocol):
    """What bytes are written to."""

    def write(self, content: Buffer, /) -> int:
        """Write bytes."""
        ...


class Line:
    """A thread that does jobs in the order in which they are put."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._waiting: deque[Future[object]] = deque()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown(cancel_futures=kind is not None)
        if kind is None:
            self.wait()

    def put(self, job: Callable[[Buffer], object], piece: Buffer) -> None:
        """Do a job with a piece, later.

        Raises:
            Exception: what an earlier job raised.
        """
        if len(self._waiting) >= _WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(job, piece))

    def wait(self) -> None:
        """Until all jobs are done.

        Raises:
            Exception: what one of them raised.
        """
        while self._waiting:
            self._waiting.popleft().result()


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
    with Line() as hashing, Line() as writing:
        yield Lines(hashing=hashing, writing=writing, target=target)


def changed(extent: Extent) -> FileError:
    """What to say when a file ends before its time."""
    return FileError(f"'{extent.file}' changed while it was read", hint="run again")
