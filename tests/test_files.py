from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from modelrecipe.errors import FileError
from modelrecipe.files import atomic_output, cannot_read, cannot_write, read_text

if TYPE_CHECKING:
    from pathlib import Path


def entries(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_output_appears_whole_under_its_name(tmp_path: Path) -> None:
    with atomic_output(tmp_path / "out.keras") as temporary:
        temporary.write_text("content")
    assert (tmp_path / "out.keras").read_text() == "content"
    assert entries(tmp_path) == ["out.keras"]


def test_temporary_file_has_the_targets_name_in_a_hidden_folder(tmp_path: Path) -> None:
    with atomic_output(tmp_path / "out.weights.h5") as temporary:
        temporary.write_text("content")
        assert temporary.name == "out.weights.h5"
        assert temporary.parent.parent == tmp_path
        assert temporary.parent.name.startswith(".")


def test_old_output_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    target.write_text("old")
    with atomic_output(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt, SystemExit])
def test_interruption_leaves_nothing_behind(tmp_path: Path, interruption: type[BaseException]) -> None:
    def write_half() -> None:
        with atomic_output(tmp_path / "deep" / "out.txt") as temporary:
            temporary.write_text("half")
            raise interruption

    with pytest.raises(interruption):
        write_half()
    assert entries(tmp_path) == []


def test_missing_folders_are_made_at_the_end(tmp_path: Path) -> None:
    with atomic_output(tmp_path / "a" / "b" / "out.txt") as temporary:
        temporary.write_text("content")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a" / "b" / "out.txt").read_text() == "content"


def test_link_is_kept_and_its_file_replaced(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    with atomic_output(tmp_path / "link.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_output_has_the_permissions_of_the_users_mask(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        with atomic_output(tmp_path / "out.txt") as temporary:
            temporary.write_text("content")
    finally:
        os.umask(mask)
    assert (tmp_path / "out.txt").stat().st_mode & 0o777 == 0o640


def refusal_of_output(target: Path, content: str = "content") -> str:
    with pytest.raises(FileError) as refused, atomic_output(target) as temporary:
        temporary.write_text(content)
    return str(refused.value)


def test_directory_as_output_is_refused(tmp_path: Path) -> None:
    text = f"'{tmp_path}' is a directory, so no file can be written there; add a file name"
    assert refusal_of_output(tmp_path) == text


def test_file_as_parent_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "out.txt"
    text = f"'{target}' cannot be written: '{tmp_path / 'file'}' is not a directory; choose another folder"
    assert refusal_of_output(target) == text


def test_block_that_writes_nothing_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    assert refusal_of_output(target, content="") == f"nothing was written to '{target}'"
    assert entries(tmp_path) == []


def test_name_too_long_is_refused(tmp_path: Path) -> None:
    target = tmp_path / ("x" * 300)
    assert refusal_of_output(target) == f"'{target}' cannot be written: file name too long"


def test_full_disk_inside_the_block_is_told_of_the_output(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    with pytest.raises(FileError) as refused, atomic_output(target):
        raise OSError(errno.ENOSPC, "No space left on device")
    text = f"'{target}' cannot be written: no space is left; free some space or write elsewhere"
    assert str(refused.value) == text
    assert entries(tmp_path) == []


def test_trouble_with_another_file_is_not_blamed_on_the_output(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_output(tmp_path / "out.txt"):
        (tmp_path / "other").read_text()


def test_permission_is_told(tmp_path: Path) -> None:
    denied = PermissionError(errno.EACCES, "Permission denied")
    assert str(cannot_write(tmp_path, denied)) == f"'{tmp_path}' may not be written: permission denied"
    assert str(cannot_read(tmp_path, denied)) == f"'{tmp_path}' may not be read: permission denied"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission_is_refused_before_any_work(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    target = tmp_path / "out.txt"
    try:
        assert refusal_of_output(target) == f"'{target}' may not be written: permission denied"
    finally:
        tmp_path.chmod(0o700)


def test_text_is_read_as_utf8(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes("größe: 1\r\n".encode())
    assert read_text(tmp_path / "r.yaml", 100) == "größe: 1\r\n"


def refusal_of_text(path: Path, limit: int = 100) -> str:
    with pytest.raises(FileError) as refused:
        read_text(path, limit)
    return str(refused.value)


def test_missing_file_names_the_near_ones(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("")
    (tmp_path / "notes.txt").write_text("")
    path = tmp_path / "recipes.yaml"
    assert refusal_of_text(path) == f"'{path}' does not exist; did you mean 'recipe.yaml'?"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("mymodle.keras", "'mymodel.keras' or 'mymodel.h5'"),
        ("mymodel.hdf5", "'mymodel.h5' or 'mymodel.keras'"),
        ("mymodle.h5", "'mymodel.h5' or 'mymodel.keras'"),
        ("mymodel", "'mymodel.h5' or 'mymodel.keras'"),
    ],
)
def test_near_files_are_found_by_their_names_without_endings(tmp_path: Path, name: str, near: str) -> None:
    for known in ("mymodel.keras", "mymodel.h5", "a.keras", "other.h5"):
        (tmp_path / known).touch()
    assert refusal_of_text(tmp_path / name) == f"'{tmp_path / name}' does not exist; did you mean {near}?"


def test_a_common_ending_alone_makes_no_file_near(tmp_path: Path) -> None:
    (tmp_path / "imp.yaml").touch()
    path = tmp_path / "missing.yaml"
    assert refusal_of_text(path) == f"'{path}' does not exist"


def test_missing_file_with_nothing_near_it(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    assert refusal_of_text(path) == f"'{path}' does not exist"


def test_missing_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no" / "recipe.yaml"
    assert refusal_of_text(path) == f"'{path}' does not exist, nor does the folder '{tmp_path / 'no'}'"


def test_directory_as_text_is_refused(tmp_path: Path) -> None:
    assert refusal_of_text(tmp_path) == f"'{tmp_path}' is a directory, not a file"


def test_text_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("x" * 11)
    assert refusal_of_text(path, limit=10) == f"'{path}' is larger than 10 bytes"
    assert read_text(path, 11) == "x" * 11


def test_text_that_is_not_utf8_names_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(b"name: gr\xf6sse")
    assert refusal_of_text(path) == f"'{path}' is not UTF-8: byte 8 is 0xf6"


def test_a_file_that_came_meanwhile_is_not_replaced(tmp_path):
    target = tmp_path / "o.keras"

    def write_while_another_does() -> None:
        with atomic_output(target, may_replace=False) as temporary:
            temporary.write_text("mine")
            target.write_text("theirs")

    with pytest.raises(
        FileError, match=r"exists by now: something else wrote it meanwhile; look at it, then run again$"
    ):
        write_while_another_does()
    assert target.read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["o.keras"]


def test_a_new_file_appears_when_nothing_may_be_replaced(tmp_path):
    target = tmp_path / "o.keras"
    with atomic_output(target, may_replace=False) as temporary:
        temporary.write_text("mine")
    assert target.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["o.keras"]


def test_a_model_in_the_place_of_a_text_is_named_as_such(tmp_path):
    path = tmp_path / "m.keras"
    path.write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(FileError) as refused:
        read_text(path, 100)
    assert (
        str(refused.value) == f"'{path}' is a model file, not a text; 'modelrecipe init {path}' makes a recipe for it"
    )
