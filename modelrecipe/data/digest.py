"""Digests of data files for the lock: of the bytes of a file, of the names and bytes of a folder's files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blake3 import blake3

from modelrecipe.files import cannot_read

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PIECE = 1 << 20


def digest_of(root: Path, files: Sequence[Path]) -> str:
    """The digest of a file, or of some files below a folder, which may stand elsewhere under another name.

    Args:
        root: the file itself, or the folder.
        files: the file alone, or those of the folder that are read.

    Raises:
        FileError: one cannot be read.
    """
    if list(files) == [root]:
        return _of_file(root).hexdigest()
    total = blake3()
    for name, path in sorted((path.relative_to(root).as_posix(), path) for path in files):
        encoded = name.encode("utf-8", "surrogateescape")
        total.update(len(encoded).to_bytes(8, "little") + encoded + _of_file(path).digest())
    return total.hexdigest()


def _of_file(path: Path) -> blake3:
    state = blake3()
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                state.update(piece)
    except OSError as error:
        raise cannot_read(path, error) from error
    return state
