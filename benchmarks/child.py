"""Runs a program and says what it cost by the operating system's own count."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT = Path(__file__).resolve().parents[1]
_QUIET = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "NO_COLOR": "1"}
_MOST_TOLD = 4000
"""Characters of a failed program's words that are shown."""


class FailedError(Exception):
    """A program that was to be measured ended with an error."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a process cost, those that it started and waited for included.

    Args:
        wall: seconds from start to end.
        cpu: seconds of all processors, in user and system mode.
        peak: largest resident memory in bytes. Linux counts the parent's memory at the start of a process as its own,
            so that no figure is below that of the process which measures.
    """

    wall: float
    cpu: float
    peak: int


def run(argv: Sequence[str]) -> Usage:
    """Run a program from the project's root until it ends.

    Raises:
        FailedError: its exit code is not 0; with what it said.
    """
    with tempfile.TemporaryFile() as said:
        begun = time.perf_counter()
        process = subprocess.Popen(argv, cwd=ROOT, env=os.environ | _QUIET, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            words = said.read().decode(errors="replace")[-_MOST_TOLD:]
            raise FailedError(f"{' '.join(argv)} ended with {process.returncode}:\n{words}")
    return Usage(wall=wall, cpu=usage.ru_utime + usage.ru_stime, peak=usage.ru_maxrss * 1024)


def forget(files: Iterable[Path]) -> None:
    """Drop files from the page cache, so that the next to read them waits for the disk."""
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())  # pages that are not written yet cannot be dropped
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def settle() -> None:
    """Let the disk finish what earlier processes left to be written."""
    os.sync()
