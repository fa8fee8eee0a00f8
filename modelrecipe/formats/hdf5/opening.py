"""Opens an HDF5 file that lies somewhere in another file, and reads its texts; says in words what HDF5 finds wrong."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from modelrecipe.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import h5py

    from modelrecipe.formats.extent import Extent


@contextmanager
def open_hdf5(extent: Extent) -> Iterator[h5py.File]:
    """The HDF5 file in an extent, read-only; closed again at the end, because h5py crashes on files left open.

    Raises:
        FileError: the file is damaged.
    """
    import h5py  # what only reads files of the plain form does without

    with extent.window() as window, damage_of(extent.file), h5py.File(window, "r") as handle:
        yield handle


@contextmanager
def damage_of(path: Path) -> Iterator[None]:
    """Turn what h5py raises on a damaged file into a `FileError`."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the operating system's refusal, as of a full disk, tells nothing of the file
        reason = shown(str(error))
        if "truncated file" in reason or "eof" in reason:
            raise FileError(f"'{path}' is truncated: its HDF5 part is longer than what is there") from error
        raise FileError(f"'{path}' is damaged: HDF5 reports '{reason}'") from error


def shown(text: str) -> str:
    """Text of a file on one line, with what no terminal can show as escapes."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in plain)


def as_text(value: object) -> str:
    """An attribute as text, which files hold as text or as bytes; what is not UTF-8 is replaced."""
    raw = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "replace")
