"""Same-layout rewriting of HDF5 files: the bytes of the old file pass by, and those of edited tensors are replaced.

What changes the layout itself (names, dropped groups, datasets that are not in one piece) is done first, on a copy
beside the target. Knows neither layers nor zips.
"""

from __future__ import annotations

import tempfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from modelrecipe.errors import FileError
from modelrecipe.formats.extent import Extent
from modelrecipe.formats.hdf5_tensors import ContiguousSource, damage_of, open_hdf5, read_tree, to_stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import IO

    from numpy.typing import NDArray

    from modelrecipe.weights import Tensor

_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Rewriting:
    """What is to be different in the copy of an HDF5 file.

    Args:
        edited: new numbers, under the path of the dataset.
        dropped: groups at the root that are left out.
        changes: functions that change the copy in place, before the numbers are written.
        moved: where a dataset stands after `changes`, under its old path, if elsewhere.
    """

    edited: Mapping[str, Tensor] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    changes: tuple[Callable[[h5py.File], None], ...] = ()
    moved: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def applied(self, extent: Extent, folder: Path) -> Iterator[tuple[Extent, list[Patch]]]:
        """An HDF5 file and what remains to be replaced while it is copied.

        The file is the old one itself where its layout stays, else a temporary copy in `folder`.
        """
        sources = _sources(extent, self.dropped)
        scattered = {path: new for path, new in self.edited.items() if not isinstance(sources[path], ContiguousSource)}
        if not (self.dropped or self.changes or scattered):
            yield extent, [_patch(sources[path], tensor) for path, tensor in self.edited.items()]
            return
        with tempfile.TemporaryDirectory(prefix=".modelrecipe-", dir=folder) as name:
            copy = Path(name) / "copy.h5"
            _copy(extent, copy, self.dropped)
            with damage_of(copy), h5py.File(copy, "r+") as handle:
                for change in self.changes:
                    change(handle)
                for path, tensor in scattered.items():
                    dataset = handle[self.moved.get(path, path)]
                    dataset[...] = to_stored(tensor.read(), dataset.dtype)  # type: ignore[index, union-attr]
            prepared = Extent.whole(copy)
            sources = _sources(prepared, frozenset())
            rest = [(self.moved.get(path, path), new) for path, new in self.edited.items() if path not in scattered]
            yield prepared, [_patch(sources[path], tensor) for path, tensor in rest]


@dataclass(frozen=True, kw_only=True)
class Patch:
    """Bytes to replace: those of one tensor, which is read when its turn comes."""

    source: ContiguousSource
    tensor: Tensor

    def content(self) -> memoryview:
        """The new bytes."""
        values: NDArray[np.generic] = to_stored(self.tensor.read(), np.dtype(self.source.stored))
        return values.reshape(-1).view(np.uint8).data


def _patch(source: object, tensor: Tensor) -> Patch:
    if not isinstance(source, ContiguousSource):
        raise TypeError(f"no offset is known of {source!r}")
    return Patch(source=source, tensor=tensor)


def _sources(extent: Extent, dropped: frozenset[str]) -> dict[str, object]:
    with open_hdf5(extent) as handle:
        root = read_tree(handle, extent, skip=dropped)
    return {stored.path: stored.source for stored in root.below()}


def _copy(extent: Extent, target: Path, dropped: frozenset[str]) -> None:
    """Copy the file; where groups are dropped, object by object, because HDF5 would keep their room."""
    if not dropped:
        with target.open("wb") as file:
            stream(extent, [], file)
        return
    with open_hdf5(extent) as source, h5py.File(target, "w") as copy:
        for name, value in source.attrs.items():
            copy.attrs[name] = value
        for name in source:
            if name not in dropped:
                source.copy(source[name], copy, name)


def stream(extent: Extent, patches: list[Patch], target: IO[bytes]) -> None:
    """Copy the bytes of `extent` to `target`, with those of the patches replaced; holds one tensor at a time.

    Raises:
        FileError: the bytes do not have the checksum that the zip records, or end early.
    """
    with extent.open() as file:
        file.seek(extent.start)
        reader = _Reader(file=file, extent=extent)
        for patch in sorted(patches, key=lambda patch: patch.source.offset):
            for chunk in reader.take(patch.source.offset - reader.position):
                target.write(chunk)
            for _ in reader.take(patch.source.size):
                pass
            target.write(patch.content())
        for chunk in reader.take(extent.size - reader.position):
            target.write(chunk)
    if extent.crc is not None and reader.crc != extent.crc:
        raise FileError(f"'{extent.file}' is damaged: the checksum of its weights does not match")


@dataclass(kw_only=True)
class _Reader:
    file: IO[bytes]
    extent: Extent
    position: int = 0
    crc: int = 0

    def take(self, count: int) -> Iterator[bytes]:
        end = self.position + count
        while self.position < end:
            chunk = self.file.read(min(_CHUNK, end - self.position))
            if not chunk:
                raise FileError(f"'{self.extent.file}' changed while it was read", hint="run again")
            self.crc = zlib.crc32(chunk, self.crc)
            self.position += len(chunk)
            yield chunk
