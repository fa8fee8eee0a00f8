"""Files that differ in their numbers alone: what the headers of one say, those of the other do.

A file that was written in the layout of another is compared with it, byte by byte where no numbers are; that takes half
as long as going through its headers, and says more.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe.formats.hdf5.tensors import ContiguousSource, DatasetSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelrecipe.formats.extent import Extent
    from modelrecipe.formats.hdf5.tensors import Group, StoredTensor

_MOST_BYTES = 1 << 15
"""Where more than this lies around the numbers, for each tensor, headers are quicker to go through."""
_PIECE = 1 << 20


def tree_of_twin(extent: Extent, other: Extent, known: Group) -> Group | None:
    """The headers of a file, if they are those of another one.

    Args:
        extent: the file.
        other: another one, which stands where it was read.
        known: the headers of that, none of which stands among its numbers; see `PlainFile.expect_apart`.
    """
    if extent.size != other.size:
        return None
    around = [*_around(known, extent.size)]
    if sum(end - start for start, end in around) > _MOST_BYTES * sum(1 for _ in known.below()):
        return None
    with extent.open() as one, other.open() as two:
        if hasattr(os, "posix_fadvise"):  # of what was just written past the page cache, the disk brings much at once
            for start, end in around:
                os.posix_fadvise(one.fileno(), extent.start + start, end - start, os.POSIX_FADV_WILLNEED)
        for start, end in around:
            one.seek(extent.start + start)
            two.seek(other.start + start)
            for place in range(start, end, _PIECE):
                size = min(_PIECE, end - place)
                found = one.read(size)
                if len(found) < size or found != two.read(size):
                    return None
    return _in(extent, known)


def _around(known: Group, size: int) -> Iterator[tuple[int, int]]:
    """What lies between tensors that lie in one piece, as starts and ends."""
    sources = [item.source for item in known.below() if isinstance(item.source, ContiguousSource)]
    place = 0
    for start, length in sorted((source.offset, source.size) for source in sources):
        if place < start:
            yield place, start
        place = max(place, start + length)
    if place < size:
        yield place, size


def _in(extent: Extent, group: Group) -> Group:
    """The same headers for another file."""
    groups = {name: _in(extent, inner) for name, inner in group.groups.items()}
    tensors = {name: _with_source(extent, item) for name, item in group.tensors.items()}
    return replace(group, groups=groups, tensors=tensors)


def _with_source(extent: Extent, tensor: StoredTensor) -> StoredTensor:
    source = tensor.source
    assert isinstance(source, ContiguousSource | DatasetSource)  # as files have them; repairs are made later
    return replace(tensor, source=replace(source, extent=extent))
