from __future__ import annotations

import io
import os
import shutil
import subprocess
import zipfile
from typing import TYPE_CHECKING

import keras
import pytest

from modelrecipe.formats.keras_zip import zip_writing
from modelrecipe.formats.keras_zip.zip_members import locate_member, open_zip
from modelrecipe.formats.keras_zip.zip_writing import Member, StoredZip
from modelrecipe.new_file import PAGE
from tests import zoo

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1 << 30
MEMBERS = {
    "metadata.json": b'{"keras_version": "3.15.0"}',
    "config.json": b"{}",
    "model.weights.h5": bytes(range(256)) * 5000,
    "assets/größe/日本.txt": "naïve".encode(),
    "empty": b"",
}


def write(path: Path, members: dict[str, bytes]) -> Path:
    with path.open("wb") as file:
        made = StoredZip(file)
        for name, content in members.items():
            with made.member(name, len(content)) as member:
                half = len(content) // 2
                assert member.write(content[:half]) + member.write(memoryview(content)[half:]) == len(content)
        made.close()
    return path


def read(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_python_reads_what_is_written(tmp_path: Path):
    path = write(tmp_path / "a.zip", MEMBERS)
    assert read(path) == MEMBERS
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            assert info.file_size == info.compress_size == len(MEMBERS[info.filename])


def test_it_is_what_python_writes_byte_for_byte(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for name, content in MEMBERS.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    assert write(tmp_path / "a.zip", MEMBERS).read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_equal_members_give_equal_bytes(tmp_path: Path):
    one, other = write(tmp_path / "a.zip", MEMBERS), write(tmp_path / "b.zip", MEMBERS)
    os.utime(one, (1, 1))
    assert one.read_bytes() == other.read_bytes()


def test_a_zip_without_members_is_one(tmp_path: Path):
    assert read(write(tmp_path / "a.zip", {})) == {}


@pytest.mark.skipif(shutil.which("unzip") is None, reason="there is no unzip")
@pytest.mark.parametrize("limit", [None, 100])
def test_unzip_finds_no_fault(tmp_path: Path, limit: int | None, monkeypatch: pytest.MonkeyPatch):
    if limit is not None:
        monkeypatch.setattr(zip_writing, "_is_beyond", lambda number: number >= limit)
    path = write(tmp_path / "a.zip", MEMBERS)
    done = subprocess.run(["unzip", "-t", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No errors detected" in done.stdout


def test_members_and_places_beyond_32_bits_are_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The limit is drawn near, so that every number is beyond it, or only some are."""
    for limit in (0, 1, 27, 50, 5000, 2_000_000):
        monkeypatch.setattr(zip_writing, "_is_beyond", lambda number, limit=limit: number >= limit)
        assert read(write(tmp_path / "a.zip", MEMBERS)) == MEMBERS


def test_more_members_than_16_bits_count_are_read_back(tmp_path: Path):
    members = {f"m{number}": b"x" for number in range(65_536)}
    assert read(write(tmp_path / "a.zip", members)) == members


class _Skipping(io.FileIO):
    """A file in which long runs of zeros stay holes, so that gigabytes cost nothing."""

    def write(self, content) -> int:
        view = memoryview(content)
        if len(view) >= 1 << 20 and not any(view[:64]):
            self.seek(len(view), os.SEEK_CUR)
            return len(view)
        return super().write(content)


def test_a_member_of_five_gigabytes_and_one_behind_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Sizes are real; the checksum of the zeros, which takes seconds, is left out."""
    monkeypatch.setattr(zip_writing.isal_zlib, "crc32", lambda content, start=0: start)
    piece, path = bytes(1 << 20), tmp_path / "large.zip"
    with _Skipping(path, "wb") as file:
        made = StoredZip(file)
        with made.member("config.json", 2) as member:
            member.write(b"{}")
        with made.member("model.weights.h5", 5 * GIB) as member:
            for _ in range(5 * 1024):
                member.write(piece)
        with made.member("behind", 7) as member:
            member.write(b"content")
        made.close()
    with open_zip(path) as archive:
        sizes = {info.filename: (info.file_size, info.header_offset) for info in archive.infolist()}
        extent = locate_member(archive, "model.weights.h5", path)
        behind = locate_member(archive, "behind", path)
    assert sizes["model.weights.h5"][0] == extent.size == 5 * GIB
    assert sizes["behind"][1] > 4 * GIB
    with path.open("rb") as file:
        file.seek(behind.offset)
        assert file.read(behind.size) == b"content"


def test_a_header_has_room_for_what_was_announced_even_when_less_comes(tmp_path: Path):
    path = tmp_path / "a.zip"
    with path.open("wb") as file:
        made = StoredZip(file)
        with made.member("a", 5 * GIB) as member:
            member.write(b"little")
        with made.member("b", 0):
            pass
        made.close()
    assert read(path) == {"a": b"little", "b": b""}


@pytest.mark.parametrize("limit", [1 << 32, 100], ids=["32 bits", "beyond 32 bits"])
@pytest.mark.parametrize("like", [0, 1, 3, 5, 37, 43, 60, 4095, 12345])
def test_bytes_of_a_large_member_begin_at_the_place_within_a_page_that_is_asked_for(
    like: int, limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(zip_writing, "LARGE", 10)
    monkeypatch.setattr(zip_writing, "_is_beyond", lambda number: number >= limit)
    path, content = tmp_path / "a.zip", os.urandom(200)
    with path.open("wb") as file:
        made = StoredZip(file)
        for name, size in (("first", 7), ("little", 9), ("weights", 200), ("last", 3)):
            with made.member(name, size, like=like if name in ("little", "weights") else None) as member:
                member.write(content[:size])
        made.close()
    assert read(path) == {"first": content[:7], "little": content[:9], "weights": content, "last": content[:3]}
    with open_zip(path) as archive:
        places = {name: locate_member(archive, name, path).offset for name in archive.namelist()}
    assert places["weights"] % PAGE == like % PAGE
    assert places["little"] < 200, "nothing is moved for a few bytes"


def test_bytes_of_any_shape_are_counted_in_bytes():
    import numpy as np

    file = io.BytesIO()
    member = Member(file, b"a", 0)
    member.write(np.arange(6, dtype="float64").reshape(2, 3).data)
    assert (member.size, len(file.getvalue())) == (48, 48)


def test_keras_loads_a_model_that_is_zipped_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = zoo.ZOO["residual"]()
    model.save(tmp_path / "m.keras")
    for name, limit in (("plain.keras", 1 << 32), ("large.keras", 100)):
        monkeypatch.setattr(zip_writing, "_is_beyond", lambda number, limit=limit: number >= limit)
        write(tmp_path / name, read(tmp_path / "m.keras"))
        again = keras.saving.load_model(tmp_path / name)
        zoo.assert_same_outputs(model, again, zoo.sample_inputs(model))
