"""A file that settles while it is written: in windows, read back, and out of the page cache."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from modelrecipe import settling
from modelrecipe.errors import FileError
from modelrecipe.settling import settled

if TYPE_CHECKING:
    from pathlib import Path

WINDOW = 8


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How long the file was at each visit to the disk; a window is eight bytes."""
    sizes: list[int] = []
    sync = os.fdatasync

    def noted(descriptor: int) -> None:
        sizes.append(os.fstat(descriptor).st_size)
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", noted)
    monkeypatch.setattr(settling, "WINDOW", WINDOW)
    return sizes


@pytest.mark.parametrize("sizes", [(), (0,), (1,), (7, 1), (8,), (3, 3, 3), (40,), (1,) * 33], ids=str)
def test_it_holds_what_was_written(sizes: tuple[int, ...], tmp_path: Path, synced: list[int]):
    dice = os.urandom(sum(sizes))
    with settled(tmp_path / "f") as file:
        begun = 0
        for size in sizes:
            assert file.write(memoryview(dice)[begun : begun + size]) == size
            begun += size
    assert (tmp_path / "f").read_bytes() == dice
    assert len(synced) <= len(dice) // WINDOW


def test_a_window_goes_to_the_disk_while_the_next_is_written(tmp_path: Path, synced: list[int]):
    with settled(tmp_path / "f") as file:
        file.write(b"12345678")
        file.settle()
        assert synced == [8]
        file.write(b"9")
        file.settle()
        assert synced == [8], "one byte is not worth it"
        file.write(b"abcdefgh")
    assert synced == [8, 17]


def test_what_settled_may_be_written_over(tmp_path: Path, synced: list[int]):
    with settled(tmp_path / "f") as file:
        file.write(b"0000" + b"content of a member")
        end = file.tell()
        file.seek(0)
        file.write(b"head")
        file.seek(end)
        file.write(b" and the next")
    assert (tmp_path / "f").read_bytes() == b"headcontent of a member and the next"


@pytest.mark.parametrize("place", [0, 9, 21])
def test_a_byte_that_comes_back_otherwise_is_told(place: int, tmp_path: Path, synced: list[int]):
    path = tmp_path / "model.keras"

    def write() -> None:
        with settled(path) as file:
            file._send, sent = lambda *window: (damage(), sent(*window)), file._send  # type: ignore[method-assign]
            file.write(b"what the model consists of")

    def damage() -> None:
        with path.open("rb+") as other:
            other.seek(place)
            other.write(b"\xff")

    with pytest.raises(FileError) as caught:
        write()
    said = "'model.keras' does not hold what was written to it; its disk or the memory is faulty: write elsewhere"
    assert str(caught.value) == said


def test_a_file_that_was_cut_is_told(tmp_path: Path, synced: list[int]):
    def write() -> None:
        with settled(tmp_path / "f") as file:
            file.write(b"1234")
            os.truncate(tmp_path / "f", 3)

    with pytest.raises(FileError, match="does not hold what was written"):
        write()


def test_what_the_disk_refuses_is_told_with_the_files_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", broken)
    monkeypatch.setattr(settling, "WINDOW", WINDOW)
    path = tmp_path / "f"

    def write() -> None:
        with settled(path) as file:
            file.write(bytes(WINDOW))

    with pytest.raises(OSError, match="Input/output error") as caught:
        write()
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, str(path))


def test_an_error_of_the_writer_is_the_one_that_is_told(tmp_path: Path, synced: list[int]):
    def write() -> None:
        with settled(tmp_path / "f") as file:
            file.write(bytes(100))
            raise ValueError("of the writer")

    with pytest.raises(ValueError, match="of the writer"):
        write()


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system keeps what it likes")
def test_numbers_that_settled_leave_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    left: list[tuple[int, int]] = []
    monkeypatch.setattr(settling, "WINDOW", WINDOW)
    monkeypatch.setattr(settling, "_LARGE", 3)
    monkeypatch.setattr(os, "posix_fadvise", lambda _, start, count, __: left.append((start, count)))
    with settled(tmp_path / "f") as file:
        for size in (8, 2, 9, 3, 1, 4, 3):
            file.write(bytes(size))
    assert left == [(0, 8), (10, 9), (19, 3), (23, 4)], "headers and a small rest stay"
