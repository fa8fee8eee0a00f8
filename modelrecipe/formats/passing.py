"""Bytes on their way from file to file: those of tensors are edited and hashed as they pass, piece by piece.

Reading, editing and writing happen in one thread, hashing in another, because both take about as long. Memory is a few
pieces, or one tensor where an edit has to see it whole. Knows neither layers nor containers.
"""

from __future__ import annotations

import itertools
import queue
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from isal import isal_zlib

from modelrecipe.errors import FileError
from modelrecipe.formats.hdf5.tensors import ContiguousSource, as_keras, to_stored
from modelrecipe.weights import hasher

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator, Sequence
    from typing import IO

    from typing_extensions import Buffer

    from modelrecipe.formats.extent import Extent
    from modelrecipe.weights import Tensor

_PIECE = 1 << 20
_WAITING = 8
_BUFFERS = _WAITING + 3
"""Those that wait, and one each being read, hashed and written: then the next may be read into the first."""


class Sink(Protocol):
    """What bytes are written to."""

    def write(self, content: Buffer, /) -> int:
        """Write bytes."""
        ...


@dataclass(frozen=True, kw_only=True)
class Region:
    """The bytes of one tensor.

    Args:
        offset: where they stand in the new file.
        source: where they stand in the old one, and as what.
        tensor: the edited tensor that takes their place; None where they stay.
    """

    offset: int
    source: ContiguousSource
    tensor: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Passed:
    """One tensor that was written, with digests as `weights.hasher` makes them.

    Args:
        region: what was written.
        before: of the old bytes; None where they were not of this machine's byte order.
        after: of the new bytes, likewise.
    """

    region: Region
    before: str | None
    after: str | None


def stream(base: Extent, regions: Sequence[Region], target: Sink, *, original: Extent | None = None) -> list[Passed]:
    """Write the bytes of `base` to `target`, those of the regions from where they come, edited and hashed.

    Args:
        base: what surrounds the regions.
        regions: tensors that do not overlap.
        target: takes the bytes.
        original: the file that the regions lie in, when `base` is a copy without them: only its checksum is compared.

    Raises:
        FileError: the bytes do not have the checksum that the zip records, or end early; or two tensors share some.
    """
    checked = original or base
    passed: list[_Passing] = []
    with base.open() as around, checked.open() as old, Hashing() as hashing:
        reader = _Reader(file=old, extent=checked)
        position = 0
        for region in sorted(regions, key=lambda region: region.offset):
            if region.offset < position:
                raise FileError(f"'{checked.file}' is damaged: two of its tensors share bytes")
            _fill(base, around, position, region.offset, target, reader)
            passed.append(_pass(region, reader, target, hashing))
            position = region.offset + region.source.size
        _fill(base, around, position, base.size, target, reader)
        reader.finish()
    checked.check()
    return [item.told() for item in passed]


def verify(extent: Extent) -> None:
    """Read all bytes of an extent that has a checksum, and compare it.

    Raises:
        FileError: the checksum is another, or the bytes end early.
    """
    if extent.crc is not None:
        with extent.open() as file:
            _Reader(file=file, extent=extent).finish()


def changed(extent: Extent) -> FileError:
    """What to say when a file ends before its time."""
    return FileError(f"'{extent.file}' changed while it was read", hint="run again")


def _fill(base: Extent, around: IO[bytes], start: int, end: int, target: Sink, reader: _Reader) -> None:
    """What stands between two tensors; where it comes from another file, the checked one passes by unseen."""
    own = min(end, reader.extent.size)
    if base is reader.extent:
        for piece in reader.take_in_turn(end - start):
            target.write(piece)
        return
    for _ in reader.take_in_turn(max(0, own - start)):
        pass
    around.seek(base.start + start)
    while start < end:
        piece = around.read(min(_PIECE, end - start))
        if not piece:
            raise changed(base)
        target.write(piece)
        start += len(piece)


@dataclass
class _Passing:
    region: Region
    before: Any
    after: Any

    def told(self) -> Passed:
        before = self.before.hexdigest() if self.before else None
        after = before if self.after is self.before else self.after.hexdigest() if self.after else None
        return Passed(region=self.region, before=before, after=after)


def _pass(region: Region, reader: _Reader, target: Sink, hashing: Hashing) -> _Passing:
    """One tensor, read, edited, hashed and written."""
    source, tensor = region.source, region.tensor
    is_native = np.dtype(source.stored).isnative
    before = hasher(source.dtype, source.shape) if is_native else None
    if tensor is None:
        for piece in reader.take(source.size):
            hashing.put(before, piece)
            target.write(piece)
        return _Passing(region, before, before)
    after = hasher(source.dtype, source.shape) if is_native else None
    if tensor.source == source and tensor.is_elementwise:
        for piece in reader.take(source.size):
            hashing.put(before, piece)
            new = _edited(tensor, source, piece)
            hashing.put(after, new)
            target.write(new)
        return _Passing(region, before, after)
    for piece in reader.take(source.size):
        hashing.put(before, piece)
    new = _bytes_of(to_stored(tensor.read(), np.dtype(source.stored)))
    hashing.put(after, new)
    target.write(new)
    return _Passing(region, before, after)


def _edited(tensor: Tensor, source: ContiguousSource, piece: memoryview) -> memoryview:
    # The piece is still to be hashed, perhaps: an edit may not write into it.
    values = as_keras(np.frombuffer(piece.toreadonly(), np.dtype(source.stored)), source.dtype)
    return _bytes_of(to_stored(tensor.edited(values), np.dtype(source.stored)))


def _bytes_of(values: np.ndarray[Any, Any]) -> memoryview:
    return values.reshape(-1).view(np.uint8).data


@dataclass(kw_only=True)
class _Reader:
    """Reads an extent from its beginning to its end, into buffers that are used again and again."""

    file: io.BufferedReader
    extent: Extent
    position: int = 0
    crc: int = 0
    _buffers: Iterator[memoryview] = field(
        default_factory=lambda: itertools.cycle([memoryview(bytearray(_PIECE)) for _ in range(_BUFFERS)])
    )
    _between: memoryview = field(default_factory=lambda: memoryview(bytearray(_PIECE)))

    def __post_init__(self) -> None:
        self.file.seek(self.extent.start)

    def take(self, count: int) -> Iterator[memoryview]:
        """The next bytes in pieces. A piece is good until as many others as may wait were taken after it."""
        return self._read(count, self._buffers)

    def take_in_turn(self, count: int) -> Iterator[memoryview]:
        """The same for bytes that nobody hashes: a piece is good until the next, and none of the others is touched."""
        return self._read(count, itertools.repeat(self._between))

    def _read(self, count: int, buffers: Iterator[memoryview]) -> Iterator[memoryview]:
        end = self.position + count
        while self.position < end:
            buffer = next(buffers)[: min(_PIECE, end - self.position)]
            if self.file.readinto(buffer) < len(buffer):
                raise changed(self.extent)
            if self.extent.crc is not None:
                self.crc = isal_zlib.crc32(buffer, self.crc)
            self.position += len(buffer)
            yield buffer

    def finish(self) -> None:
        """Compare the checksum of all that was read."""
        for _ in self.take_in_turn(self.extent.size - self.position):
            pass
        if self.extent.crc is not None and self.crc != self.extent.crc:
            raise FileError(f"'{self.extent.file}' is damaged: the checksum of its weights does not match")


@dataclass
class Hashing:
    """A thread that hashes pieces in the order in which they are put; few may wait, so that memory stays small."""

    _pieces: queue.Queue[tuple[Any, Buffer] | None] = field(default_factory=lambda: queue.Queue(_WAITING))
    _thread: threading.Thread | None = None

    def __enter__(self) -> Hashing:
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pieces.put(None)
        if self._thread is not None:
            self._thread.join()

    def put(self, state: Any, piece: Buffer) -> None:
        """Hash a piece into `state`, later; nothing where there is no state."""
        if state is not None:
            self._pieces.put((state, piece))

    def _work(self) -> None:
        while (item := self._pieces.get()) is not None:
            state, piece = item
            state.update(piece)
