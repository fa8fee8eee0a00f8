from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

import pytest

from modelrecipe import flushing
from modelrecipe.flushing import flushed

if TYPE_CHECKING:
    from pathlib import Path


def until(is_met: object, seconds: float = 5) -> bool:
    """Wait for another thread."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if callable(is_met) and is_met():
            return True
        time.sleep(0.005)
    return False


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How long the file was at each visit to the disk; four bytes are worth one."""
    sizes: list[int] = []
    sync = os.fdatasync

    def noted(descriptor: int) -> None:
        sizes.append(os.fstat(descriptor).st_size)
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", noted)
    monkeypatch.setattr(flushing, "_ENOUGH", 4)
    return sizes


def test_bytes_are_sent_while_the_file_grows(tmp_path: Path, synced: list[int]):
    path = tmp_path / "f"
    with flushed(path), path.open("wb", buffering=0) as file:
        file.write(b"abcde")
        assert until(lambda: synced == [5])
        file.write(b"f")
        time.sleep(3 * flushing._PAUSE)
        assert synced == [5]
        file.write(b"ghij")
        assert until(lambda: synced == [5, 10])


def test_what_the_disk_refuses_is_told_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", broken)
    monkeypatch.setattr(flushing, "_ENOUGH", 4)

    def write() -> None:
        with flushed(tmp_path / "f"):
            (tmp_path / "f").write_bytes(b"abcde")
            time.sleep(10 * flushing._PAUSE)

    with pytest.raises(OSError, match="Input/output error"):
        write()


def test_a_file_that_is_not_there_yet_is_waited_for(tmp_path: Path, synced: list[int]):
    path = tmp_path / "f"
    with flushed(path):
        time.sleep(3 * flushing._PAUSE)
        path.write_bytes(b"abcde")
        assert until(lambda: synced == [5])


def test_an_error_of_the_writer_goes_before(tmp_path: Path):
    with pytest.raises(ValueError, match="writer"), flushed(tmp_path / "f"):
        raise ValueError("writer")
