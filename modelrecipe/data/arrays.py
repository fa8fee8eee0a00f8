"""NumPy files: headers without the numbers, and numbers without a pickle ever being opened."""

from __future__ import annotations

import math
import tokenize
import zipfile
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from modelrecipe.data.stock import Header, Stock, header_of
from modelrecipe.errors import DataError, FileError
from modelrecipe.files import cannot_read, check_regular

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_LARGE, _RATIO = 4 * 2**30, 100
"""From this size on, a member that was compressed more than this is taken for a bomb; the limits that Keras has."""
_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_BROKEN = (
    ValueError,
    EOFError,
    OverflowError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    NotImplementedError,
)


def npz_stock(path: Path) -> Stock:
    """The arrays of an archive, each read when it is asked for.

    Raises:
        FileError: it is missing or no such archive, or a member is damaged or swells beyond reason.
    """
    check_regular(path)
    headers: dict[str, Header] = {}
    refused: dict[str, DataError] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                key = info.filename.removesuffix(".npy")
                try:
                    headers[key] = _member_header(archive, info, path)
                except DataError as error:
                    refused[key] = error
    except OSError as error:
        raise cannot_read(path, error) from error
    except _BROKEN as error:
        raise FileError(f"'{path}' is no NumPy archive: {_said(error)}", hint="write one with numpy.savez") from error
    return Stock(headers=headers, refused=refused, read=lambda key: _read_member(path, key), roots=((path, (path,)),))


def _member_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> Header:
    name = info.filename.removesuffix(".npy")
    if info.file_size > _LARGE and info.file_size > _RATIO * max(info.compress_size, 1):
        raise FileError(
            f"'{name}' of '{path}' would swell from {info.compress_size:,} to {info.file_size:,} bytes",
            hint="save it without compression",
        )
    with archive.open(info) as member:
        return _header(member, name, info.file_size)


def _header(stream: IO[bytes], name: str, size: int) -> Header:
    """The header of a `.npy` file, which must describe as many bytes as there are."""
    version = npy.read_magic(stream)
    if version not in _READERS:
        raise ValueError(f"'{name}' has the unknown version {version[0]}.{version[1]}")
    shape, _, dtype = _READERS[version](stream)
    found = header_of(name, shape, dtype)
    told = math.prod(shape) * dtype.itemsize
    if min(shape) < 0 or told != size - stream.tell():
        raise ValueError(f"'{name}' says that it has {told:,} bytes, but has {size - stream.tell():,}")
    return found


def _read_member(path: Path, key: str) -> NDArray[Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return archive[key]
    except OSError as error:
        raise cannot_read(path, error) from error
    except _BROKEN as error:
        raise FileError(f"'{key}' of '{path}' is damaged: {_said(error)}", hint="restore the file") from error


def npy_stock(files: Mapping[str, Path]) -> Stock:
    """Arrays in files of their own, of which the system reads what is used.

    Raises:
        FileError: one is missing or no such file; `at` is its key.
        DataError: one holds pickled objects, or what cannot be trained on.
    """
    headers: dict[str, Header] = {}
    for key, path in files.items():
        try:
            headers[key] = _file_header(path)
        except (FileError, DataError) as error:
            error.at = (key,)
            raise
    return Stock(
        headers=headers,
        read=lambda key: np.load(files[key], mmap_mode="r", allow_pickle=False),
        roots=tuple((path, (path,)) for path in dict.fromkeys(files.values())),
    )


def _file_header(path: Path) -> Header:
    check_regular(path)
    try:
        with path.open("rb") as stream:
            return _header(stream, path.name, path.stat().st_size)
    except OSError as error:
        raise cannot_read(path, error) from error
    except _BROKEN as error:
        raise FileError(f"'{path}' is no NumPy file: {_said(error)}", hint="write one with numpy.save") from error


def _said(error: Exception) -> str:
    text = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
    return text[0].lower() + text[1:]
