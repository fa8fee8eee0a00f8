"""A zip as a list of members: small ones read whole, large ones located or unpacked. Knows nothing of Keras."""

from __future__ import annotations

import shutil
import struct
import weakref
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from modelrecipe.errors import FileError
from modelrecipe.files import cannot_read
from modelrecipe.formats.extent import Extent, Stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_ENCRYPTED = 0x1
_BOMB_FLOOR = 1 << 24
_MOST_EXPANSION = 100


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip at `path`, closed again at the end.

    Raises:
        FileError: it cannot be read, is truncated, or a member's checksum does not match.
    """
    try:
        with _open(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError) as error:
        raise FileError(f"'{path}' is a truncated or damaged zip ({str(error).lower()})") from error


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except OSError as error:
        raise cannot_read(path, error) from error


def read_member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """A member of at most `limit` bytes.

    Raises:
        FileError: it is larger, or refused by `check_member`.
    """
    info = archive.getinfo(name)
    check_member(archive, info)
    if info.file_size > limit:
        raise FileError(f"'{archive.filename}' is refused: '{name}' in it has {info.file_size} bytes, at most {limit}")
    return archive.read(info)


def check_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
    """Refuse what must not be unpacked.

    Raises:
        FileError: the member is encrypted, or a bomb: it unfolds to more than 100 times what is stored. Members below
            16 MiB may, since weights that are all zero pack well.
    """
    subject = f"'{archive.filename}' is refused: '{info.filename}' in it"
    if info.flag_bits & _ENCRYPTED:
        raise FileError(f"{subject} is encrypted")
    if info.file_size > max(_BOMB_FLOOR, _MOST_EXPANSION * info.compress_size):
        raise FileError(f"{subject} unfolds from {info.compress_size} to {info.file_size} bytes")


def locate_member(archive: zipfile.ZipFile, name: str, path: Path) -> Extent:
    """Where the bytes of a member lie in the zip at `path`; one that is compressed is unpacked to a temporary file.

    Raises:
        FileError: the member is refused by `check_member`, or reaches past the end of the file.
    """
    info = archive.getinfo(name)
    check_member(archive, info)
    stamp = Stamp.of(path)
    if info.compress_type != zipfile.ZIP_STORED:
        keeper = _Unpacked(archive, info)
        # The offset tells members of one zip apart; nothing is read there.
        place = {"offset": info.header_offset, "size": info.file_size}
        return Extent(file=path, stamp=stamp, **place, unpacked=keeper.path, keeper=keeper)
    with path.open("rb") as file:
        file.seek(info.header_offset)
        head = file.read(_LOCAL_HEADER.size)
    if len(head) < _LOCAL_HEADER.size or not head.startswith(b"PK\x03\x04"):
        raise FileError(f"'{path}' is a truncated or damaged zip (no '{name}' where its directory says)")
    _, name_size, extra_size = _LOCAL_HEADER.unpack(head)
    offset = info.header_offset + _LOCAL_HEADER.size + name_size + extra_size
    if offset + info.file_size > stamp.size:
        raise FileError(f"'{path}' is a truncated or damaged zip ('{name}' reaches past its end)")
    return Extent(file=path, stamp=stamp, offset=offset, size=info.file_size, crc=info.CRC)


class _Unpacked:
    """A temporary file with the content of a member; it goes when the last tensor that needs it does."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        import tempfile  # few files hold packed members

        with tempfile.NamedTemporaryFile(prefix="modelrecipe-", delete=False) as file:
            self.path = Path(file.name)
            weakref.finalize(self, self.path.unlink, missing_ok=True)
            with archive.open(info) as member:
                shutil.copyfileobj(member, file, 1 << 20)
