"""Same-layout rewriting of HDF5 files: which bytes of the new file come from where.

What changes the layout itself (names, dropped groups, datasets that are not in one piece) is done first, on a copy
beside the target; unless groups are dropped, that copy has holes where tensors lie. Knows neither layers nor zips.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from modelrecipe.formats.extent import Extent
from modelrecipe.formats.hdf5.opening import damage_of, open_hdf5
from modelrecipe.formats.hdf5.tensors import ContiguousSource, to_stored
from modelrecipe.formats.hdf5.tree import tree_of
from modelrecipe.formats.passing import Region, Streamed, stream, verify
from modelrecipe.formats.runs import changed
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import h5py

    from modelrecipe.new_file import NewFile
    from modelrecipe.weights import Tensor

_PIECE = 1 << 21


@frozen
class Prepared:
    """An HDF5 file that is ready to be written.

    Args:
        base: what surrounds the tensors.
        regions: the tensors, edited or not.
        original: the old file, where `base` is another one.
    """

    base: Extent
    regions: Sequence[Region]
    original: Extent | None = None

    @property
    def start(self) -> int:
        """Where the bytes that stay begin in their file."""
        return (self.original or self.base).start

    def write(self, file: NewFile) -> Streamed:
        """Write it behind what `file` holds, see `stream`."""
        return stream(self.base, self.regions, file, original=self.original)


@frozen
class Rewriting:
    """What is to be different in the copy of an HDF5 file.

    Args:
        edited: new numbers, under the path of the dataset.
        dropped: groups at the root that are left out.
        changes: functions that change the copy in place, before the numbers are written. They move no numbers.
        moved: where a dataset stands after `changes`, under its old path, if elsewhere.
    """

    edited: Mapping[str, Tensor] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    changes: tuple[Callable[[h5py.File], None], ...] = ()
    moved: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def applied(self, extent: Extent, folder: Path) -> Iterator[Prepared]:
        """The new file, ready to be written: the old one itself where its layout stays, else a copy in `folder`."""
        sources = _sources(extent, self.dropped)
        scattered = {path: new for path, new in self.edited.items() if not isinstance(sources[path], ContiguousSource)}
        if not (self.dropped or self.changes or scattered):
            yield Prepared(base=extent, regions=self._regions(sources))
            return
        import h5py  # only what changes more than numbers needs it

        with tempfile.TemporaryDirectory(prefix=".modelrecipe-", dir=folder) as name:
            copy = Path(name) / "copy.h5"
            if self.dropped:
                verify(extent)
                _copy_without(extent, copy, self.dropped)
                extent.check()
            else:
                _copy_with_holes(extent, copy, sources)
            with damage_of(copy), h5py.File(copy, "r+") as handle:
                for change in self.changes:
                    change(handle)
                for path, tensor in scattered.items():
                    dataset = handle[self.moved.get(path, path)]
                    values = to_stored(tensor.read(), dataset.dtype)  # type: ignore[union-attr]  # a tensor was read there
                    dataset[...] = values  # type: ignore[index]  # so that it is a dataset
            base = Extent.whole(copy)
            if self.dropped:
                now = _sources(base, frozenset())
                places = {path: now[self.moved.get(path, path)] for path in sources}
                yield Prepared(base=base, regions=self._regions(places))
            else:  # the numbers are where they were
                yield Prepared(base=base, regions=self._regions(sources), original=extent)

    def _regions(self, sources: Mapping[str, object]) -> list[Region]:
        """Every tensor in one piece, where its old bytes stand."""
        return [
            Region(offset=source.offset, source=source, tensor=self.edited.get(path))
            for path, source in sources.items()
            if isinstance(source, ContiguousSource)
        ]


def _sources(extent: Extent, dropped: frozenset[str]) -> dict[str, object]:
    return {stored.path: stored.source for stored in tree_of(extent, dropped).below()}


def _copy_with_holes(extent: Extent, target: Path, sources: Mapping[str, object]) -> None:
    """Copy what stands between the tensors that lie in one piece; where those are, the file is empty."""
    places = sorted((source.offset, source.size) for source in sources.values() if isinstance(source, ContiguousSource))
    with extent.open() as old, target.open("wb") as new:
        new.truncate(extent.size)
        position = 0
        for offset, size in [*places, (extent.size, 0)]:
            old.seek(extent.start + position)
            new.seek(position)
            left = offset - position
            while left > 0:
                piece = old.read(min(_PIECE, left))
                if not piece:
                    raise changed(extent)
                new.write(piece)
                left -= len(piece)
            position = max(position, offset + size)


def _copy_without(extent: Extent, target: Path, dropped: frozenset[str]) -> None:
    """Copy object by object, because HDF5 would keep the room of dropped groups."""
    import h5py

    with open_hdf5(extent) as source, h5py.File(target, "w") as copy:
        for name, value in source.attrs.items():
            copy.attrs[name] = value
        for name in source:
            if name not in dropped:
                source.copy(source[name], copy, name)
