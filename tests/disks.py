"""File systems in files, for tests of what only some of them do. They need root, and the program that makes them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def mounted(kind: str, megabytes: int, folder: Path) -> Iterator[Path]:
    """An empty file system; the test is skipped where there can be none.

    Args:
        kind: as `mkfs` knows it.
        megabytes: its size.
        folder: where image and mount point go.
    """
    make = shutil.which(f"mkfs.{kind}")
    if make is None or shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip(f"needs root and mkfs.{kind}")
    image, point = folder / f"{kind}.img", folder / f"{kind}-mounted"
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    subprocess.run([make, "-q", image], check=True, capture_output=True)
    point.mkdir()
    done = subprocess.run(["mount", "-o", "loop", image, point], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount {kind}: {done.stderr.strip()}")
    try:
        yield point
    finally:
        for _ in range(50):
            if subprocess.run(["umount", point], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)
        image.unlink()
