"""A file that several threads write: whatever the sizes and however it gets there, it holds what was written."""

from __future__ import annotations

import errno
import mmap
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelrecipe import new_file
from modelrecipe.new_file import PAGE, NewFile
from tests.disks import mounted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ROOM = 4 * PAGE
SHARING = ("xfs", "btrfs")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every size is worth a write past the page cache, which takes few pages at once."""
    monkeypatch.setattr(new_file, "LARGE", 1)
    monkeypatch.setattr(new_file, "BLOCK", 2 * PAGE)


def written(path: Path, head: bytes, parts: Sequence[bytes], tail: bytes, *, piece: int = 1000) -> bytes:
    """What a file holds after a head, parts that four threads write in any order, and a tail."""
    starts = [*accumulate(map(len, parts), initial=len(head))]
    with NewFile(path) as file:
        file.write(head)
        file.reserve(len(head), starts[-1] - len(head))

        def write(number: int) -> None:
            with file.part(starts[number]) as part:
                for start in range(0, len(parts[number]), piece):
                    part.write(parts[number][start : start + piece])

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(write, reversed(range(len(parts))))) == [None] * len(parts)
        file.join(starts[-1])
        assert file.tell() == starts[-1]
        file.write(tail)
    return path.read_bytes()


@given(
    head=st.integers(0, 2 * PAGE),
    sizes=st.lists(
        st.one_of(st.integers(0, 20), st.integers(0, 5 * PAGE), st.sampled_from([PAGE, 2 * PAGE])), max_size=6
    ),
    tail=st.integers(0, 40),
    piece=st.sampled_from([7, 1000, PAGE, 3 * PAGE]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_holds_what_was_written(head: int, sizes: list[int], tail: int, piece: int, tmp_path: Path):
    dice = [os.urandom(size) for size in (head, *sizes, tail)]
    assert written(tmp_path / "f", dice[0], dice[1:-1], dice[-1], piece=max(piece, head // 50)) == b"".join(dice)


@pytest.mark.parametrize("refusal", sorted(new_file._CANNOT))
@pytest.mark.parametrize("what", ["open", "posix_fallocate", "pwrite"])
def test_a_file_system_that_cannot_is_written_as_any_other(
    what: str, refusal: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refused(*_: object) -> None:
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(os, what, refused)
    parts = [os.urandom(size) for size in (5 * PAGE + 3, 1, PAGE, 3 * PAGE)]
    assert written(tmp_path / "f", b"head", parts, b"tail") == b"head" + b"".join(parts) + b"tail"


@pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="this system has only the page cache")
def test_where_room_can_only_be_set_aside_by_writing_none_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What glibc does on such a file system; see posix_fallocate(3)."""
    asked: list[int] = []

    def emulated(file: int, start: int, size: int) -> None:
        asked.append(size)
        for place in range(start, start + size, PAGE):
            os.pwrite(file, b"\0", place)

    monkeypatch.setattr(os, "posix_fallocate", emulated)
    parts = [os.urandom(5 * PAGE), os.urandom(PAGE)]
    assert written(tmp_path / "f", b"head", parts, b"tail") == b"head" + b"".join(parts) + b"tail"
    assert asked == [PAGE]


@pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="this system has only the page cache")
def test_room_is_set_aside_behind_what_stands_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[tuple[int, int]] = []
    reserve = os.posix_fallocate

    def noted(file: int, start: int, size: int) -> None:
        asked.append((start, size))
        reserve(file, start, size)

    monkeypatch.setattr(os, "posix_fallocate", noted)
    with NewFile(tmp_path / "f") as file:
        file.write(b"head")
        file.reserve(4, 9 * PAGE)
    assert asked[:1] == [(PAGE, PAGE)]
    assert asked[1:] in ([(PAGE, 8 * PAGE)], []), "only the first page where the file system cannot"


@pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="this system has only the page cache")
def test_little_goes_through_the_page_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(new_file, "LARGE", 100)
    opened: list[int] = []
    monkeypatch.setattr(os, "open", lambda path, flags, *mode: opened.append(flags))
    assert written(tmp_path / "f", b"", [bytes(99)], b"") == bytes(99)
    assert opened == []


@pytest.mark.parametrize("refusal", [errno.EIO, errno.ENOSPC])
def test_what_the_disk_refuses_is_told_with_the_files_name(
    refusal: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object) -> int:
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(os, "pwrite", broken)
    path = tmp_path / "f"
    with pytest.raises(OSError, match=os.strerror(refusal)) as caught:
        written(path, b"", [bytes(9 * PAGE)], b"")
    assert (caught.value.errno, caught.value.filename) == (refusal, str(path))


def test_a_full_disk_is_known_before_anything_is_written(tmp_path: Path):
    with mounted("ext4", 16, tmp_path) as disk, NewFile(disk / "f") as file:
        with pytest.raises(OSError, match="No space left") as caught:
            file.reserve(0, 64 << 20)
        assert caught.value.errno == errno.ENOSPC


def test_a_system_that_writes_less_than_it_is_given_is_given_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, content, place: write(file, content[:PAGE], place))
    part = os.urandom(7 * PAGE)
    assert written(tmp_path / "f", b"", [part], b"", piece=10 * PAGE) == part


def test_memory_of_parts_is_used_again(tmp_path: Path):
    with NewFile(tmp_path / "f") as file:
        for number in range(50):
            with file.part(number * 100) as part:
                part.write(bytes(100))
        assert len(file._blocks) == new_file._BLOCKS


@pytest.mark.parametrize("has_large_pages", [True, False])
def test_memory_of_parts_begins_with_a_page(has_large_pages: bool, monkeypatch: pytest.MonkeyPatch):
    if not has_large_pages:
        monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    places = [np.frombuffer(block, np.uint8).ctypes.data for block in new_file._new_blocks()]
    assert [place % PAGE for place in places] == [0] * new_file._BLOCKS
    assert {after - before for before, after in pairwise(places)} == {new_file.BLOCK}


def test_a_system_without_large_pages_takes_small_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mmap, "MADV_HUGEPAGE", 12345, raising=False)  # which Linux answers as it does where it has none
    assert written(tmp_path / "f", b"head", [bytes(9 * PAGE)], b"tail") == b"head" + bytes(9 * PAGE) + b"tail"


def test_an_error_of_the_writer_is_the_one_that_is_told(tmp_path: Path):
    def write() -> None:
        with NewFile(tmp_path / "f") as file, file.part(0) as part:
            part.write(bytes(100))
            raise ValueError("of the writer")

    with pytest.raises(ValueError, match="of the writer"):
        write()


@given(
    shared=st.lists(st.integers(0, 40), min_size=0, max_size=8, unique=True).map(sorted),
    stretch=st.tuples(st.integers(0, 40 * 10), st.integers(0, 40 * 10)).map(sorted),
)
def test_what_is_written_and_what_is_shared_make_up_the_whole(shared: list[int], stretch: list[int], tmp_path_factory):
    """Pages of ten bytes, of which some pairs of neighbours are shared."""
    ranges = [(first * 10, last * 10) for first, last in pairwise(shared)][::2]
    place, end = stretch
    with NewFile(tmp_path_factory.getbasetemp() / "f") as file:
        file._shared = ranges
        own = list(file._unshared(place, end))
    wanted = {at for at in range(place, end) if not any(first <= at < last for first, last in ranges)}
    found = [at for start, stop in own for at in range(start, stop)]
    assert len(found) == len(set(found))
    assert set(found) == wanted


@pytest.mark.parametrize("kind", SHARING)
def test_pages_that_stay_are_shared_with_the_old_file(kind: str, tmp_path: Path):
    """On a file system that copies on write the new file takes over what stays, and only the rest is new."""
    with mounted(kind, 512, tmp_path) as disk:
        old = os.urandom(64 << 20)
        (disk / "old").write_bytes(old)
        os.sync()
        free = os.statvfs(disk).f_bavail
        edited = (10 << 20) + 123, (12 << 20) + 77
        content = old[: edited[0]] + os.urandom(edited[1] - edited[0]) + old[edited[1] :]
        with NewFile(disk / "new") as file, (disk / "old").open("rb") as source:
            file.write(content[:PAGE])
            for start, end in ((PAGE, edited[0]), (edited[1], len(content))):
                file.share(source.fileno(), start, start, end - start)
            file.reserve(PAGE, len(content) - PAGE)
            assert len(file._shared) == 2
            for start in (PAGE, 40 << 20):
                with file.part(start) as part:
                    part.write(content[start : 40 << 20] if start == PAGE else content[start:])
            file.join(len(content))
            os.fsync(file.fileno())
        assert (disk / "new").read_bytes() == content
        assert (disk / "old").read_bytes() == old
        os.sync()
        taken = (free - os.statvfs(disk).f_bavail) * os.statvfs(disk).f_frsize
        assert taken < 16 << 20


@pytest.mark.parametrize("kind", SHARING)
def test_bytes_that_lie_elsewhere_within_a_page_are_not_shared(kind: str, tmp_path: Path):
    with mounted(kind, 512, tmp_path) as disk:
        (disk / "old").write_bytes(bytes(ROOM * 2))
        with NewFile(disk / "new") as file, (disk / "old").open("rb") as source:
            file.share(source.fileno(), 1, 0, ROOM)
            file.share(source.fileno(), 0, 100, PAGE)
            assert file._shared == []
            file.share(source.fileno(), 5, PAGE + 5, ROOM)
            assert file._shared == [(2 * PAGE, 5 * PAGE)]


def test_a_file_system_that_shares_nothing_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import fcntl

    asked: list[int] = []

    def refused(file: int, request: int, _: bytes) -> None:
        asked.append(request)
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(fcntl, "ioctl", refused)
    (tmp_path / "old").write_bytes(bytes(ROOM))
    with NewFile(tmp_path / "new") as file, (tmp_path / "old").open("rb") as source:
        for _ in range(3):
            file.share(source.fileno(), 0, 0, ROOM)
        assert file._shared == []
    assert asked == [new_file._SHARE]
