"""What a `.keras` file consists of: members of a zip, or the files of a folder that it was unzipped into."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from modelrecipe.errors import FileError
from modelrecipe.files import read_bytes
from modelrecipe.formats.extent import Extent
from modelrecipe.formats.keras_zip.zip_members import locate_member, open_zip, read_member
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterator


class Members(Protocol):
    """Named contents."""

    @property
    def names(self) -> list[str]:
        """All of them, with `/` between folders."""
        ...

    def read(self, name: str, limit: int) -> bytes:
        """A small one, whole.

        Raises:
            FileError: it is larger than `limit`, damaged, or refused as unsafe.
        """
        ...

    def locate(self, name: str) -> Extent:
        """Where a large one lies.

        Raises:
            FileError: it is damaged, or refused as unsafe.
        """
        ...


@frozen
class _Zipped:
    path: Path
    archive: zipfile.ZipFile

    @property
    def names(self) -> list[str]:
        return self.archive.namelist()

    def read(self, name: str, limit: int) -> bytes:
        return read_member(self.archive, name, limit)

    def locate(self, name: str) -> Extent:
        return locate_member(self.archive, name, self.path)


@frozen
class _Unzipped:
    path: Path

    @property
    def names(self) -> list[str]:
        found = (item for item in self.path.rglob("*") if item.is_file())
        return sorted(item.relative_to(self.path).as_posix() for item in found)

    def read(self, name: str, limit: int) -> bytes:
        return read_bytes(self.path / name, limit)

    def locate(self, name: str) -> Extent:
        return Extent.whole(self.path / name)


@contextmanager
def open_members(path: Path) -> Iterator[Members]:
    """The contents of a zip, or of a folder.

    Raises:
        FileError: the zip is truncated or damaged, or two of its members have one name.
    """
    if path.is_dir():
        yield _Unzipped(path=path)
        return
    with open_zip(path) as archive:
        _check_names(path, archive.namelist())
        yield _Zipped(path=path, archive=archive)


def _check_names(path: Path, names: list[str]) -> None:
    """Refuse a zip that programs may unpack in different ways, or outside of the folder that they unpack it into."""
    for name, times in Counter(names).items():
        if times > 1:
            raise FileError(f"'{path}' is refused: it holds '{name}' {times} times")
        place = PurePosixPath(name.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts or name[1:2] == ":":
            raise FileError(f"'{path}' is refused: its member '{name}' leads out of the folder it is unpacked into")
