"""The headers of an HDF5 file, gone through once for the same file; the numbers stay behind lazy readers.

Keras' own files have a plain form, which is read in place; h5py is asked about every other. Knows neither Keras layers
nor zips.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from modelrecipe.errors import FileError
from modelrecipe.formats.hdf5.opening import as_text, open_hdf5
from modelrecipe.formats.hdf5.plain_form import NotPlainError
from modelrecipe.formats.hdf5.plain_tree import names_of_plain, tree_of_plain
from modelrecipe.formats.hdf5.twins import tree_of_twin

if TYPE_CHECKING:
    from collections.abc import Collection

    from modelrecipe.formats.extent import Extent
    from modelrecipe.formats.hdf5.tensors import Group

_last: deque[tuple[Extent, frozenset[str], Group]] = deque(maxlen=2)


def tree_of(extent: Extent, skip: Collection[str] = ()) -> Group:
    """The headers of everything in a file but the groups `skip` at its root.

    Raises:
        FileError: the file changed since the extent was found, is damaged, or is refused; see `walk`.
    """
    extent.check()
    return _tree_of(extent, frozenset(skip))


@lru_cache(maxsize=2)
def _tree_of(extent: Extent, skip: frozenset[str]) -> Group:
    if (found := _twin(extent, skip)) is None:
        try:
            found = tree_of_plain(extent, skip)
        except NotPlainError:
            from modelrecipe.formats.hdf5.walk import tree_of_any  # few files need the library

            return tree_of_any(extent, skip)
    _last.append((extent, skip, found))
    return found


def _twin(extent: Extent, skip: frozenset[str]) -> Group | None:
    """The headers, if they are those of one of the plain files that were read last; one that is gone has no twin."""
    for other, skipped, known in _last:
        if skipped == skip:
            with suppress(FileError):
                if (found := tree_of_twin(extent, other, known)) is not None:
                    return found
    return None


@lru_cache(maxsize=2)
def names_of(extent: Extent) -> frozenset[str]:
    """The names of what stands at the root of a file.

    Raises:
        FileError: the file is damaged.
    """
    try:
        return names_of_plain(extent)
    except NotPlainError:
        with open_hdf5(extent) as handle:
            return frozenset(map(as_text, handle))
