"""How far a long write is: the growing file is looked at from beside, so that no writer has to tell."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from modelrecipe import measures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SHORT = 100 * 10**6
"""Bytes that are written before anybody asks how far it is."""
_PAUSE = 0.2


@contextmanager
def watched(path: Path, what: str, total: int | None, tell: Callable[[str], None] | None) -> Iterator[None]:
    """Tell several times a second how many bytes of a file are written, until the block ends.

    Args:
        path: the file in the making, or a folder of several.
        what: what is being done, as `writing out.keras`.
        total: how many bytes it will have, about; None where nobody knows.
        tell: shows a text in place of the last one; None where nobody looks.
    """
    if tell is None or (total is not None and total <= SHORT):
        yield
        return
    is_done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(path, what, total, tell, is_done), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_done.set()
        watcher.join()


def _watch(path: Path, what: str, total: int | None, tell: Callable[[str], None], is_done: threading.Event) -> None:
    begun: float | None = None
    while not is_done.wait(_PAUSE):
        try:
            size = sum(_written(item) for item in ([*path.iterdir()] if path.is_dir() else [path]))
        except OSError:  # not there yet, or not any more
            continue
        if size == 0:
            continue
        begun = begun or time.perf_counter() - _PAUSE
        tell(told(what, size, total, time.perf_counter() - begun))


def _written(path: Path) -> int:
    """How many bytes of a file hold data: room that was only set aside for it counts as a hole, see lseek(2)."""
    size = path.stat().st_size
    if not hasattr(os, "SEEK_DATA"):
        return size
    with path.open("rb") as file:
        written = end = 0
        while end < size:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError:  # nothing but a hole from here on
                break
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            written += end - start
    return written


def told(what: str, size: int, total: int | None, seconds: float) -> str:
    """As `writing out.keras: 412.0 MB of 1.3 GB, 820.0 MB/s`."""
    whole = f" of {measures.size(total)}" if total is not None and total >= size else ""
    return f"{what}: {measures.size(size)}{whole}, {measures.size(round(size / seconds))}/s"
