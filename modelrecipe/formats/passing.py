"""Bytes on their way from file to file: those of tensors are edited and hashed as they pass, piece by piece.

Memory is a few pieces, or one tensor where an edit has to see it whole. Knows neither layers nor containers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from isal import isal_zlib

from modelrecipe.errors import FileError
from modelrecipe.formats.hdf5.tensors import ContiguousSource, as_keras, to_stored
from modelrecipe.formats.runs import PIECE, changed, in_runs, joined_crc, pieces
from modelrecipe.frozen import frozen
from modelrecipe.weights import hasher

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator, Sequence

    import numpy as np
    from typing_extensions import Buffer

    from modelrecipe.formats.extent import Extent
    from modelrecipe.formats.runs import Out, Run
    from modelrecipe.new_file import NewFile
    from modelrecipe.weights import Tensor


@frozen
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

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.source.size


@frozen
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


@frozen
class Streamed:
    """Bytes that were written.

    Args:
        passed: the tensors among them.
        size: how many they are.
        crc: their checksum.
    """

    passed: list[Passed]
    size: int
    crc: int


def stream(base: Extent, regions: Sequence[Region], file: NewFile, *, original: Extent | None = None) -> Streamed:
    """Write the bytes of `base` behind what `file` holds, those of the regions from where they come, edited and hashed.

    Args:
        base: what surrounds the regions.
        regions: tensors that do not overlap.
        file: takes the bytes.
        original: the file that the regions lie in, when `base` is a copy without them: only its checksum is compared.

    Raises:
        FileError: the bytes do not have the checksum that the zip records, or end early; or two tensors share some.
    """
    checked = original or base
    ordered = sorted(regions, key=lambda region: region.offset)
    for region, following in pairwise(ordered):
        if following.offset < region.offset + region.size:
            raise FileError(f"'{checked.file}' is damaged: two of its tensors share bytes")

    def pass_run(run: Run[Region], out: Out) -> tuple[list[Passed], _Reader]:
        with base.open() as around, checked.open() as old:
            reader = _Reader(file=old, extent=checked, position=run.start)
            passing: list[_Passing] = []
            for region in run.tensors:
                _fill(base, around, region.offset, out, reader)
                passing.append(_pass(region, reader, out))
            _fill(base, around, run.end, out, reader)
            if run.end == base.size:
                reader.finish()
        return [item.told() for item in passing], reader

    with checked.open() as old:
        for offset, start, size in _untouched(base, ordered, original):
            file.share(old.fileno(), offset, file.tell() + start, size)
    done, crc = in_runs(ordered, base.size, file, pass_run)
    _compare(checked, [reader for _, reader in done])
    checked.check()
    return Streamed(passed=[one for passed, _ in done for one in passed], size=base.size, crc=crc)


def _untouched(base: Extent, ordered: Sequence[Region], original: Extent | None) -> Iterator[tuple[int, int, int]]:
    """Stretches that stay: where each begins in the old file and in the new bytes, and its size."""
    if original is not None:
        for region in ordered:
            if region.tensor is None:
                yield original.start + region.source.offset, region.offset, region.size
        return
    start = 0
    for region in ordered:
        if region.tensor is not None:
            yield base.start + start, start, region.offset - start
            start = region.offset + region.size
    yield base.start + start, start, base.size - start


def verify(extent: Extent) -> None:
    """Read all bytes of an extent that has a checksum, and compare it.

    Raises:
        FileError: the checksum is another, or the bytes end early.
    """
    if extent.crc is not None:
        with extent.open() as file:
            reader = _Reader(file=file, extent=extent)
            reader.finish()
        _compare(extent, [reader])


def _compare(extent: Extent, readers: Sequence[_Reader]) -> None:
    """Compare the checksum of all that was read, run after run."""
    if extent.crc is not None and extent.crc != joined_crc((reader.crc, reader.count) for reader in readers):
        raise FileError(f"'{extent.file}' is damaged: the checksum of its weights does not match")


def _fill(base: Extent, around: io.BufferedReader, end: int, out: Out, reader: _Reader) -> None:
    """What stands before the next tensor; where it comes from another file, the checked one passes by unseen."""
    start = out.place
    if base is reader.extent:
        reader.pass_on(end - start, out)
        return
    for _ in reader.take(max(0, min(end, reader.extent.size) - start)):
        pass
    out.copy(base, around, start, end)


@dataclass
class _Passing:
    region: Region
    before: Any
    after: Any

    def told(self) -> Passed:
        before = self.before.hexdigest() if self.before else None
        after = before if self.after is self.before else self.after.hexdigest() if self.after else None
        return Passed(region=self.region, before=before, after=after)


def _pass(region: Region, reader: _Reader, out: Out) -> _Passing:
    """One tensor, read, edited, hashed and written."""
    source, tensor = region.source, region.tensor
    before = hasher(source.dtype, source.shape) if source.is_native else None
    if tensor is None:
        reader.pass_on(source.size, out, before)
        return _Passing(region, before, before)
    after = hasher(source.dtype, source.shape) if source.is_native else None
    if tensor.source == source and tensor.is_elementwise:
        for piece in reader.take(source.size):
            hash_piece(before, piece)
            edit_piece(tensor, source.stored, source.dtype, piece)
            hash_piece(after, piece)
            out.write(piece)
        return _Passing(region, before, after)
    for piece in reader.take(source.size):
        hash_piece(before, piece)
    with out.whole:
        new = bytes_of(to_stored(tensor.read(), source.stored))
        hash_piece(after, new)
        out.write(new)
    return _Passing(region, before, after)


def hash_piece(state: Any, piece: Buffer) -> None:
    """Hash a piece; nothing where there is no state."""
    if state is not None:
        state.update(piece)


def edit_piece(tensor: Tensor, stored: str, dtype: str, piece: memoryview) -> None:
    """Put the edits of a tensor, all elementwise, into a piece of its stored bytes.

    Args:
        tensor: whose they are.
        stored: numpy's code of the stored type.
        dtype: as Keras names it.
        piece: whole numbers.
    """
    import numpy as np  # while one thread imports it, the others pass on what stays

    raw = np.frombuffer(piece, stored)
    values = as_keras(raw, dtype)
    tensor.edit(values)
    if not raw.dtype.isnative:  # then they are a copy
        raw[...] = values


def bytes_of(values: np.ndarray[Any, Any]) -> memoryview:
    """An array as the bytes that it is made of."""
    return values.reshape(-1).view("u1").data


@dataclass(kw_only=True)
class _Reader:
    """Reads an extent from a place on.

    Args:
        file: holds it.
        extent: where in the file.
        position: where it begins, within the extent.
        crc: the checksum of what was read.
        count: how many bytes that was.
    """

    file: io.BufferedReader
    extent: Extent
    position: int = 0
    crc: int = 0
    count: int = 0

    def __post_init__(self) -> None:
        self.file.seek(self.extent.start + self.position)

    def take(self, count: int) -> Iterator[memoryview]:
        """The next bytes, see `pieces`."""
        for piece in pieces(self.file, count, self.extent):
            self._seen(piece)
            yield piece

    def pass_on(self, count: int, out: Out, state: Any = None) -> None:
        """Read the next bytes to where they are written from, and hash them there, where there is a state."""
        end = self.position + count
        while self.position < end:
            piece = out.space(min(PIECE, end - self.position))
            if self.file.readinto(piece) < len(piece):
                raise changed(self.extent)
            self._seen(piece)
            hash_piece(state, piece)
            out.took(piece)

    def _seen(self, piece: memoryview) -> None:
        if self.extent.crc is not None:
            self.crc = isal_zlib.crc32(piece, self.crc)
        self.position += len(piece)
        self.count += len(piece)

    def finish(self) -> None:
        """Read what is left."""
        for _ in self.take(self.extent.size - self.position):
            pass
