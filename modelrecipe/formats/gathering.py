"""HDF5 files that are written anew from tensors that lie anywhere, in one pass and with little memory.

Groups and headers are written first, to a file beside the target that is empty where tensors will lie; then that file
passes into the target, with the tensors in their places, edited and hashed piece by piece. Knows neither layers nor
containers.
"""

from __future__ import annotations

import math
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import h5py
import numpy as np

from modelrecipe.formats.extent import Extent
from modelrecipe.formats.hdf5.opening import damage_of
from modelrecipe.formats.hdf5.tensors import ContiguousSource, to_stored
from modelrecipe.formats.passing import Passed, Region, Streamed, bytes_of, edit_piece, hash_piece
from modelrecipe.formats.runs import in_runs, pieces
from modelrecipe.frozen import frozen
from modelrecipe.weights import hasher

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from modelrecipe.formats.hdf5.tensors import Group, StoredTensor
    from modelrecipe.formats.runs import Out, Run
    from modelrecipe.new_file import NewFile
    from modelrecipe.weights import Tensor


@frozen
class Part:
    """One tensor of a new file.

    Args:
        offset: where its bytes stand in it.
        kind: how they are stored.
        stored: the tensor as it was read.
        tensor: the edited one that takes its place; None where the numbers stay.
    """

    offset: int
    kind: np.dtype[Any]
    stored: StoredTensor
    tensor: Tensor | None

    @property
    def size(self) -> int:
        """Number of bytes."""
        return math.prod(self.stored.shape) * self.kind.itemsize


@frozen
class Gathered:
    """A new HDF5 file that is ready to be written.

    Args:
        base: what surrounds the tensors.
        parts: the tensors.
    """

    base: Extent
    parts: Sequence[Part]
    start: None = None
    """No bytes stay where they were in a file."""

    def write(self, file: NewFile) -> Streamed:
        """Write it behind what `file` holds.

        Raises:
            FileError: a file that a tensor lies in changed since it was read.
        """

        def pass_run(run: Run[Part], out: Out) -> list[Passed]:
            with self.base.open() as around:
                passed: list[Passed | None] = []
                for part in run.tensors:
                    out.copy(self.base, around, out.place, part.offset)
                    passed.append(_pass(part, out))
                out.copy(self.base, around, out.place, run.end)
            return [one for one in passed if one is not None]

        ordered = sorted(self.parts, key=lambda part: part.offset)
        done, crc = in_runs(ordered, self.base.size, file, pass_run)
        return Streamed(passed=[one for passed in done for one in passed], size=self.base.size, crc=crc)


@contextmanager
def gathered(
    groups: Sequence[Group], edited: Mapping[str, Tensor], labels: Mapping[str, str], folder: Path
) -> Iterator[Gathered]:
    """A new HDF5 file of these groups of variables, ready to be written while the block runs.

    Args:
        groups: each with its datasets, in order.
        edited: new numbers, under the path of the dataset.
        labels: names of layers that the groups note, where they are others than the groups have.
        folder: for the headers, while they are needed.
    """
    with tempfile.TemporaryDirectory(prefix=".modelrecipe-", dir=folder) as name:
        headers = Path(name) / "headers.h5"
        parts: list[Part] = []
        with headers.open("wb") as file:  # HDF5 does not say why a file may not be as large
            file.truncate(sum(_kind(stored).itemsize * math.prod(stored.shape) for stored in _all(groups)))
        with damage_of(headers), h5py.File(headers, "w") as handle:
            for group in groups:
                made = handle.require_group(group.path)
                label = labels.get(group.path, group.label)
                if label is not None:
                    made.attrs["name"] = label
                for key, stored in group.tensors.items():
                    kind = _kind(stored)
                    offset = _make_room(made, key, stored, kind)
                    if offset is not None:
                        parts.append(Part(offset=offset, kind=kind, stored=stored, tensor=edited.get(stored.path)))
        yield Gathered(base=Extent.whole(headers), parts=parts)


def _all(groups: Sequence[Group]) -> Iterator[StoredTensor]:
    for group in groups:
        yield from group.tensors.values()


def _kind(stored: StoredTensor) -> np.dtype[Any]:
    """The stored type: that of the old file; bare bytes for types that HDF5 lacks."""
    if isinstance(stored.source, ContiguousSource):
        return np.dtype(stored.source.stored)
    import ml_dtypes  # plans, which only ask whether there is room, do without

    lacking = getattr(ml_dtypes, stored.dtype, None)
    return np.dtype(stored.dtype) if lacking is None else np.dtype(f"V{np.dtype(lacking).itemsize}")


def _make_room(group: h5py.Group, key: str, stored: StoredTensor, kind: np.dtype[Any]) -> int | None:
    """Make a dataset in one piece, without numbers, and say where they go; None where there are none."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(stored.shape) if stored.shape else h5py.h5s.create(h5py.h5s.SCALAR)
    made = h5py.h5d.create(group.id, key.encode(), h5py.h5t.py_create(kind, logical=True), space, properties)
    if kind.kind == "V":
        h5py.Dataset(made).attrs["dtype"] = stored.dtype
    return None if 0 in stored.shape else made.get_offset()


def _pass(part: Part, out: Out) -> Passed | None:
    """Write one tensor; gives what is known of its bytes, before and after, where they came from a place of a file."""
    stored, tensor, kind = part.stored, part.tensor, part.kind
    old = stored.source if isinstance(stored.source, ContiguousSource) else None
    after = hasher(stored.dtype, stored.shape) if old is not None and kind.isnative else None
    source = stored.source if tensor is None else tensor.source
    before = after if tensor is None else None
    if not _is_piecewise(source, kind, tensor):
        with out.whole:
            piece = bytes_of(to_stored(stored.source() if tensor is None else tensor.read(), kind))
            hash_piece(after, piece)
            out.write(piece)
    elif tensor is None:
        for piece in _pieces(source):
            hash_piece(after, piece)
            out.write(piece)
    else:
        before = hasher(stored.dtype, stored.shape) if after is not None and source == old else None
        for piece in _pieces(source):
            hash_piece(before, piece)
            edit_piece(tensor, source.stored, source.dtype, piece)
            hash_piece(after, piece)
            out.write(piece)
    if old is None:
        return None
    return Passed(
        region=Region(offset=part.offset, source=old, tensor=tensor),
        before=before and before.hexdigest(),
        after=after and after.hexdigest(),
    )


def _is_piecewise(source: object, kind: np.dtype[Any], tensor: Tensor | None) -> TypeGuard[ContiguousSource]:
    """Whether the numbers can pass piece by piece from where they stand."""
    is_plain = isinstance(source, ContiguousSource) and np.dtype(source.stored) == kind
    return is_plain and (tensor is None or tensor.is_elementwise)


def _pieces(source: ContiguousSource) -> Iterator[memoryview]:
    with source.extent.open() as file:
        file.seek(source.extent.start + source.offset)
        yield from pieces(file, source.size, source.extent)
