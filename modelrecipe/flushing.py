"""Bytes go to the disk while a file is still being written, so that the sync at its end has little left to wait for.

Linux begins to write on its own only after seconds, or when a tenth of the memory waits: a file of a gigabyte would be
computed first and written afterwards.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ENOUGH = 32 << 20
"""Bytes that are worth a visit to the disk."""
_PAUSE = 0.02
"""Seconds between two looks at the file."""


@contextmanager
def flushed(path: Path) -> Iterator[None]:
    """Send what is appended to a file to the disk while the block runs; its last bytes are the caller's to sync.

    Raises:
        OSError: the disk did not take what was sent. It says so once, so that a later sync would not.
    """
    flusher = _Flusher(path)
    try:
        yield
    finally:
        flusher.stop()
    if flusher.error is not None:
        raise flusher.error


class _Flusher:
    """A thread that starts with the first bytes that are worth it."""

    def __init__(self, path: Path) -> None:
        self.error: OSError | None = None
        self._path = path
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Wait for what was begun."""
        self._is_over.set()
        self._thread.join()

    def _work(self) -> None:
        sent = 0
        while not self._is_over.wait(_PAUSE):
            try:
                size = self._path.stat().st_size
                if size - sent >= _ENOUGH:
                    _sync(self._path)
                    sent = size
            except FileNotFoundError:
                continue  # the writer puts another file in its place
            except OSError as error:
                self.error = error
                return


def _sync(path: Path) -> None:
    # Windows syncs only what is open for writing.
    file = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        getattr(os, "fdatasync", os.fsync)(file)
    finally:
        os.close(file)
