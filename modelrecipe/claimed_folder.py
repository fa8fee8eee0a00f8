"""Hidden folders for files in the making: a killed process leaves one behind, and the next one clears it away.

Whether the owner still lives is told by a lock on the folder, which the operating system lets go of with the process.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

try:
    import fcntl
except ImportError:  # not on Windows: there, nothing is known of other processes, and nothing of theirs goes
    fcntl = None

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PREFIX = ".modelrecipe-"
_LONGEST_END = 40
"""Characters of the target's name that a folder's name ends with; file systems limit names to 255 bytes."""


@contextmanager
def claimed_folder(parent: Path, name: str) -> Iterator[Path]:
    """A folder in `parent` for the making of the file `name`; it goes with all that is in it.

    Folders for the same name whose owners are dead go first.

    Raises:
        OSError: no folder can be made there.
    """
    _clear(parent, name)
    own, lock = _made(parent, name)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def is_claimed(path: Path, parent: Path) -> bool:
    """Whether `path` is such a folder in `parent`, whosoever's."""
    return path.parent == parent and path.name.startswith(_PREFIX)


def _made(parent: Path, name: str) -> tuple[Path, int | None]:
    """A new folder, and what holds its lock; where another process took it for a dead one's meanwhile, yet another."""
    while True:
        own = parent / f"{_PREFIX}{os.urandom(4).hex()}-{name[-_LONGEST_END:]}"
        own.mkdir()
        if fcntl is None:
            return own, None
        lock = _locked(own)
        if lock is not None and own.exists():
            return own, lock
        if lock is None and own.exists():  # a file system without locks
            return own, None
        if lock is not None:
            os.close(lock)


def _locked(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock; None where another process does, or the folder is gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # type: ignore[union-attr]  # asked before
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _clear(parent: Path, name: str) -> None:
    """Remove what dead processes left behind of the same file; what cannot be removed stays."""
    if fcntl is None:
        return
    pattern = re.compile(re.escape(_PREFIX) + "[0-9a-f]{8}-" + re.escape(name[-_LONGEST_END:]))
    with suppress(OSError):
        for entry in [entry for entry in parent.iterdir() if pattern.fullmatch(entry.name)]:
            lock = _locked(entry) if entry.is_dir() and not entry.is_symlink() else None
            if lock is not None:
                shutil.rmtree(entry, ignore_errors=True)
                os.close(lock)
