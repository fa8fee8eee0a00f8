"""Archives of NumPy arrays (`.npz`): a zip with one `.npy` member for each array.

Reads headers without NumPy's loader, so that nothing is unpickled and nothing is allocated that a header merely claims.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib import format as npy

from modelrecipe.errors import FileError
from modelrecipe.formats.hdf5.tensors import ContiguousSource, StoredTensor
from modelrecipe.formats.keras_zip.zip_members import locate_member, open_zip
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    import zipfile
    from pathlib import Path

    from numpy.typing import NDArray

ENDING = ".npy"
_LARGEST_HEADER = 1 << 16


@frozen
class TransposedSource:
    """Reads an array that is stored column by column."""

    reversed: ContiguousSource

    def __call__(self) -> NDArray[np.generic]:
        """The numbers, in the machine's byte order."""
        return np.ascontiguousarray(self.reversed().T)


def read(path: Path) -> tuple[StoredTensor, ...]:
    """The headers of all arrays, in the order of the archive, without the ending `.npy`.

    Raises:
        FileError: the file is damaged, or an array holds Python objects.
    """
    with open_zip(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(ENDING)]
        return tuple(_tensor(archive, name, path) for name in names)


def _tensor(archive: zipfile.ZipFile, member: str, path: Path) -> StoredTensor:
    name = member.removesuffix(ENDING)
    shape, is_transposed, dtype, start = _header(archive, member, path)
    if dtype.hasobject:
        raise FileError(
            f"'{path}' is refused: '{name}' in it holds Python objects, which only running code could read",
            hint="write plain arrays, one for each variable",
        )
    if dtype.kind not in "biufc":
        raise FileError(f"'{path}' is refused: '{name}' in it holds '{dtype}' instead of numbers")
    extent = locate_member(archive, member, path)
    if start + math.prod(shape) * dtype.itemsize != extent.size:
        raise FileError(f"'{path}' is a damaged archive: '{name}' in it is not as long as its shape {shape} says")
    plain = dtype.newbyteorder("=").name
    source = ContiguousSource(
        extent=extent, offset=start, shape=shape[::-1] if is_transposed else shape, stored=dtype.str, dtype=plain
    )
    reader = TransposedSource(reversed=source) if is_transposed else source
    return StoredTensor(path=name, shape=shape, dtype=plain, source=reader)


def _header(archive: zipfile.ZipFile, member: str, path: Path) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, whether it is stored column by column, type, and where the numbers begin."""
    with archive.open(member) as file:
        start = io.BytesIO(file.read(_LARGEST_HEADER))
    try:
        version = npy.read_magic(start)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, is_transposed, dtype = read_header(start)
    except (ValueError, SyntaxError, TypeError) as error:
        raise FileError(f"'{path}' is a damaged archive: '{member}' in it has no header of an array") from error
    return shape, is_transposed, dtype, start.tell()
