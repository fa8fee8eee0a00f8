"""HDF5 files that are written anew from tensors that lie anywhere, in one pass and with little memory.

Groups and headers are written first, to a file beside the target that is empty where tensors will lie; then that file
passes into the target, with the tensors in their places, edited and hashed piece by piece. Knows neither layers nor
containers.
"""

from __future__ import annotations

import math
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import ml_dtypes
import numpy as np

from modelrecipe.formats.extent import Extent
from modelrecipe.formats.hdf5.opening import damage_of
from modelrecipe.formats.hdf5.tensors import ContiguousSource, as_keras, to_stored
from modelrecipe.formats.lines import PIECE, changed, lines_to
from modelrecipe.formats.passing import Passed, Region, bytes_of
from modelrecipe.weights import hasher

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from modelrecipe.formats.hdf5.tensors import Group, StoredTensor
    from modelrecipe.formats.lines import Lines, Sink
    from modelrecipe.weights import Tensor


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """A new HDF5 file that is ready to be written.

    Args:
        base: what surrounds the tensors.
        parts: the tensors.
    """

    base: Extent
    parts: Sequence[Part]

    def write(self, target: Sink) -> list[Passed]:
        """Write it, and say what passed by.

        Raises:
            FileError: a file that a tensor lies in changed since it was read.
        """
        passing: list[tuple[Region | None, Any, Any]] = []
        with self.base.open() as around, lines_to(target) as lines:
            position = 0
            for part in sorted(self.parts, key=lambda part: part.offset):
                lines.copy(self.base, around, position, part.offset)
                passing.append(_pass(part, lines))
                position = part.offset + part.size
            lines.copy(self.base, around, position, self.base.size)
        return [
            Passed(region=region, before=before and before.hexdigest(), after=after and after.hexdigest())
            for region, before, after in passing
            if region is not None
        ]


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


def _pass(part: Part, lines: Lines) -> tuple[Region | None, Any, Any]:
    """Write one tensor; gives what it was, and the hashes of its bytes before and after where they are known."""
    stored, tensor, kind = part.stored, part.tensor, part.kind
    source = stored.source if tensor is None else tensor.source
    old = stored.source if isinstance(stored.source, ContiguousSource) else None
    region = old and Region(offset=part.offset, source=old, tensor=tensor)
    after = hasher(stored.dtype, stored.shape) if old is not None and kind.isnative else None
    is_piecewise = tensor is None or tensor.is_elementwise
    if not isinstance(source, ContiguousSource) or np.dtype(source.stored) != kind or not is_piecewise:
        values = stored.source() if tensor is None else tensor.read()
        piece = bytes_of(to_stored(values, kind))
        lines.hash(after, piece)
        lines.write(piece)
        lines.wait()
        return region, after if tensor is None else None, after
    if tensor is None:
        for piece in _pieces(source):
            lines.hash(after, piece)
            lines.write(piece)
        return region, after, after
    before = hasher(stored.dtype, stored.shape) if after is not None and source == old else None
    for piece in _pieces(source):
        lines.hash(before, piece)
        new = bytes_of(to_stored(tensor.edited(as_keras(np.frombuffer(piece, kind), source.dtype)), kind))
        lines.hash(after, new)
        lines.write(new)
    return region, before, after


def _pieces(source: ContiguousSource) -> Iterator[bytes]:
    with source.extent.open() as file:
        file.seek(source.extent.start + source.offset)
        left = source.size
        while left > 0:
            piece = file.read(min(PIECE, left))
            if not piece:
                raise changed(source.extent)
            yield piece
            left -= len(piece)
