"""Bytes on their way from file to file: those of tensors are edited and hashed as they pass, piece by piece.

Reading and editing happen in one thread, hashing in a second and writing in a third, because all take about as long.
Memory is a few pieces, or one tensor where an edit has to see it whole. Knows neither layers nor containers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from isal import isal_zlib

from modelrecipe.errors import FileError
from modelrecipe.formats.hdf5.tensors import ContiguousSource, as_keras, to_stored
from modelrecipe.formats.lines import PIECE, changed, lines_to
from modelrecipe.weights import hasher

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator, Sequence
    from typing import IO

    from modelrecipe.formats.extent import Extent
    from modelrecipe.formats.lines import Lines, Sink
    from modelrecipe.weights import Tensor


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
    with base.open() as around, checked.open() as old, lines_to(target) as lines:
        reader = _Reader(file=old, extent=checked)
        position = 0
        for region in sorted(regions, key=lambda region: region.offset):
            if region.offset < position:
                raise FileError(f"'{checked.file}' is damaged: two of its tensors share bytes")
            _fill(base, around, position, region.offset, lines, reader)
            passed.append(_pass(region, reader, lines))
            position = region.offset + region.source.size
        _fill(base, around, position, base.size, lines, reader)
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


def _fill(base: Extent, around: IO[bytes], start: int, end: int, lines: Lines, reader: _Reader) -> None:
    """What stands between two tensors; where it comes from another file, the checked one passes by unseen."""
    if base is reader.extent:
        for piece in reader.take(end - start):
            lines.write(piece)
        return
    for _ in reader.take(max(0, min(end, reader.extent.size) - start)):
        pass
    lines.copy(base, around, start, end)


@dataclass
class _Passing:
    region: Region
    before: Any
    after: Any

    def told(self) -> Passed:
        before = self.before.hexdigest() if self.before else None
        after = before if self.after is self.before else self.after.hexdigest() if self.after else None
        return Passed(region=self.region, before=before, after=after)


def _pass(region: Region, reader: _Reader, lines: Lines) -> _Passing:
    """One tensor, read, edited, hashed and written."""
    source, tensor = region.source, region.tensor
    is_native = np.dtype(source.stored).isnative
    before = hasher(source.dtype, source.shape) if is_native else None
    if tensor is None:
        for piece in reader.take(source.size):
            lines.hash(before, piece)
            lines.write(piece)
        return _Passing(region, before, before)
    after = hasher(source.dtype, source.shape) if is_native else None
    if tensor.source == source and tensor.is_elementwise:
        for piece in reader.take(source.size):
            lines.hash(before, piece)
            new = _edited(tensor, source, piece)
            lines.hash(after, new)
            lines.write(new)
        return _Passing(region, before, after)
    for piece in reader.take(source.size):
        lines.hash(before, piece)
    new = bytes_of(to_stored(tensor.read(), np.dtype(source.stored)))
    lines.hash(after, new)
    lines.write(new)
    lines.wait()  # one whole tensor at a time is enough to hold in memory
    return _Passing(region, before, after)


def _edited(tensor: Tensor, source: ContiguousSource, piece: bytes) -> memoryview:
    values = as_keras(np.frombuffer(piece, np.dtype(source.stored)), source.dtype)
    return bytes_of(to_stored(tensor.edited(values), np.dtype(source.stored)))


def bytes_of(values: np.ndarray[Any, Any]) -> memoryview:
    """An array as the bytes that it is made of."""
    return values.reshape(-1).view(np.uint8).data


@dataclass(kw_only=True)
class _Reader:
    """Reads an extent from its beginning to its end."""

    file: io.BufferedReader
    extent: Extent
    position: int = 0
    crc: int = 0

    def __post_init__(self) -> None:
        self.file.seek(self.extent.start)

    def take(self, count: int) -> Iterator[bytes]:
        """The next bytes in pieces."""
        end = self.position + count
        while self.position < end:
            wanted = min(PIECE, end - self.position)
            piece = self.file.read(wanted)
            if len(piece) < wanted:
                raise changed(self.extent)
            if self.extent.crc is not None:
                self.crc = isal_zlib.crc32(piece, self.crc)
            self.position += len(piece)
            yield piece

    def finish(self) -> None:
        """Compare the checksum of all that was read."""
        for _ in self.take(self.extent.size - self.position):
            pass
        if self.extent.crc is not None and self.crc != self.extent.crc:
            raise FileError(f"'{self.extent.file}' is damaged: the checksum of its weights does not match")
