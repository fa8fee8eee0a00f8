"""The tensors of an HDF5 file and the groups that they stand in, with lazy readers for their numbers.

Knows neither Keras layers nor zips.
"""

from __future__ import annotations

import math
import sys
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from modelrecipe.errors import FileError
from modelrecipe.formats.hdf5.opening import open_hdf5
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from modelrecipe.formats.extent import Extent


_NATIVE = "|<" if sys.byteorder == "little" else "|>"


@frozen
class ContiguousSource:
    """Reads a dataset that lies in one piece, straight from the file.

    Args:
        extent: the HDF5 file.
        offset: the first byte, within the extent.
        shape: sizes.
        stored: numpy's code of the stored type, byte order included (`<f4`, `|V2`).
        dtype: as Keras names it.
    """

    extent: Extent
    offset: int
    shape: tuple[int, ...]
    stored: str
    dtype: str

    @property
    def size(self) -> int:
        """Number of bytes."""
        return math.prod(self.shape) * int(self.stored[2:])

    @property
    def is_native(self) -> bool:
        """Whether the numbers are in this machine's byte order, or have none."""
        return self.stored[0] in _NATIVE

    def __call__(self) -> NDArray[np.generic]:
        """The numbers, in the machine's byte order."""
        import numpy as np  # who reads no numbers does without

        with self.extent.open() as file:
            file.seek(self.extent.start + self.offset)
            raw = np.fromfile(file, np.uint8, self.size)
        if raw.size != self.size:
            raise FileError(f"'{self.extent.file}' changed while it was read", hint="run again")
        return as_keras(raw.view(self.stored), self.dtype).reshape(self.shape)


@frozen
class DatasetSource:
    """Reads any other dataset (chunked, compressed, compact, or never written) by opening the HDF5 file again.

    Args:
        extent: the HDF5 file.
        path: of the dataset, from the file's root.
        dtype: as Keras names it.
    """

    extent: Extent
    path: str
    dtype: str

    def __call__(self) -> NDArray[np.generic]:
        """The numbers, in the machine's byte order."""
        import numpy as np

        with open_hdf5(self.extent) as handle:
            values = np.asarray(handle[self.path][()])  # type: ignore[index]  # the header pass saw a dataset there
        return as_keras(values, self.dtype)


Source = ContiguousSource | DatasetSource


@frozen
class StoredTensor:
    """The header of a dataset.

    Args:
        path: from the file's root.
        shape: sizes.
        dtype: as Keras names it.
        source: reads the numbers; a repair may put its own in front of the file's.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    source: Callable[[], NDArray[np.generic]]


@frozen
class Group:
    """A group with all that is below it.

    Args:
        path: from the file's root, which itself is "".
        label: the attribute `name`, where Keras 3 notes the name of the layer.
        groups: the groups in it.
        tensors: the datasets in it.
    """

    path: str = ""
    label: str | None = None
    groups: Mapping[str, Group] = field(default_factory=dict)
    tensors: Mapping[str, StoredTensor] = field(default_factory=dict)

    def below(self) -> Iterator[StoredTensor]:
        """Every dataset at any depth."""
        yield from self.tensors.values()
        for group in self.groups.values():
            yield from group.below()

    def moved(self, path: str) -> Group:
        """The same group at another path, with all that is below it; its numbers are read from where they are."""
        groups = {name: group.moved(f"{path}/{name}" if path else name) for name, group in self.groups.items()}
        tensors = {name: replace(item, path=f"{path}/{name}" if path else name) for name, item in self.tensors.items()}
        return replace(self, path=path, groups=groups, tensors=tensors)

    def tensor(self, path: str) -> StoredTensor | None:
        """The dataset at a path relative to the group; None where there is none."""
        *parents, last = path.split("/")
        group: Group | None = self
        for name in parents:
            group = group.groups.get(name) if group else None
        return group.tensors.get(last) if group else None


def to_stored(values: NDArray[np.generic], stored: str | np.dtype[Any]) -> NDArray[np.generic]:
    """Numbers as the file stores them: the byte order of the dataset, bare bytes for types that HDF5 lacks."""
    import numpy as np

    stored = np.dtype(stored)
    plain = np.ascontiguousarray(values).reshape(values.shape)
    return plain.view(stored) if stored.kind == "V" else plain.astype(stored, copy=False)


def as_keras(values: NDArray[np.generic], dtype: str) -> NDArray[np.generic]:
    """Numbers of a file in the type that Keras names, in the byte order of this machine."""
    if values.dtype.kind == "V":
        import ml_dtypes  # few files hold numbers of these types

        return values.view(getattr(ml_dtypes, dtype))
    return values.astype(values.dtype.newbyteorder("="), copy=False)
