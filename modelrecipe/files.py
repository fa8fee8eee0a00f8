"""Files as a whole: read a text, and let an output appear whole or not at all.

Turns what the operating system says into `FileError`. Knows nothing of recipes and of model formats.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from modelrecipe.claimed_folder import claimed_folder, is_claimed
from modelrecipe.errors import FileError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MODEL_BEGINNINGS = (b"PK\x03\x04", b"\x89HDF")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_output(path: Path, *, may_replace: bool = True) -> Iterator[Path]:
    """Write to the path it yields; `path` appears, whole and on disk, when the block ends without an error.

    The temporary file stands in a hidden folder of its own beside `path`, under the target's name; what else is
    put there goes too. Where folders are missing it stands in the nearest existing one, so that a failed run leaves
    none behind. A link is followed: the file that it points to is replaced. Whatever ends the block early, an
    interrupt included, the target stays as it was. What a killed run left behind goes with the next one for `path`.

    Args:
        path: the target.
        may_replace: whether a file that stands there in the end, from another run perhaps, gives way.

    Raises:
        FileError: the target is a folder, a parent of it is a file, it may not be written or replaced, the disk is
            full, or the block wrote nothing.
    """
    target = _real(path)
    folder = _nearest_folder(target)
    try:
        with claimed_folder(folder, target.name) as own:
            temporary = own / target.name
            _create(temporary)
            yield temporary
            _publish(temporary, target, may_replace=may_replace)
    except OSError as error:
        if error.errno in _NO_SPACE or _concerns(error, folder, target):
            raise cannot_write(path, error) from error
        raise


def _real(path: Path) -> Path:
    """The file that a link leads to; any other path as it is."""
    try:
        is_link = stat.S_ISLNK(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return path
    except OSError as error:
        raise cannot_write(path, error) from error
    target = path.resolve() if is_link else path
    if target.is_dir():
        raise FileError(f"'{path}' is a directory, so no file can be written there", hint="add a file name")
    return target


def _nearest_folder(target: Path) -> Path:
    for folder in target.parents:
        if folder.is_dir():
            return folder
        if folder.exists() or folder.is_symlink():
            raise FileError(
                f"'{target}' cannot be written: '{folder}' is not a directory", hint="choose another folder"
            )
    return Path.cwd()


def _create(temporary: Path) -> None:
    """Find out before any work is done whether it can be written, with the permissions that the user's mask gives."""
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))


def _publish(temporary: Path, target: Path, *, may_replace: bool) -> None:
    if not temporary.exists() or temporary.stat().st_size == 0:
        raise FileError(f"nothing was written to '{target}'")
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    target.parent.mkdir(parents=True, exist_ok=True)
    if may_replace:
        temporary.replace(target)
    else:
        _publish_new(temporary, target)
    if os.name == "posix":
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _publish_new(temporary: Path, target: Path) -> None:
    """Give the file its name only if no other file has it, which a link does in one move."""
    hint = "look at it, then run again"
    exists = FileError(f"'{target}' exists by now: something else wrote it meanwhile", hint=hint)
    try:
        os.link(temporary, target)
    except FileExistsError as error:
        raise exists from error
    except OSError:  # a file system without links
        if target.exists():
            raise exists from None
        temporary.replace(target)


def _concerns(error: OSError, folder: Path, target: Path) -> bool:
    """Whether it is about the target, a folder on the way to it, or what was made for it in `folder`."""
    named = [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    return any(
        name in (target, target.parent, folder) or is_claimed(name, folder) or is_claimed(name.parent, folder)
        for name in named
    )


def read_text(path: Path, limit: int) -> str:
    """The text of a UTF-8 file of at most `limit` bytes.

    Raises:
        FileError: the file is missing, a directory, unreadable, too large, or not UTF-8.
    """
    content = read_bytes(path, limit)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        refuse_model(path, content)
        raise FileError(f"'{path}' is not UTF-8: byte {error.start} is 0x{content[error.start]:02x}") from error


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a file of at most `limit` bytes.

    Raises:
        FileError: the file is missing, a directory, unreadable, or too large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise cannot_read(path, error) from error
    if len(content) > limit:
        refuse_model(path, content)
        raise FileError(f"'{path}' is larger than {limit} bytes")
    return content


def beginning(path: Path, count: int) -> bytes:
    """The first bytes of a file, at most `count`.

    Raises:
        FileError: the file is missing, a directory, unreadable, or may never answer.
    """
    check_regular(path)
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise cannot_read(path, error) from error


def check_regular(path: Path) -> None:
    """Refuse what may never end or never answer: pipes, sockets and devices.

    Raises:
        FileError: it is one, or there is nothing at `path`.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise cannot_read(path, error) from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise FileError(f"'{path}' is neither a file nor a directory", hint="save the model to a file first")


def refuse_model(path: Path, content: bytes) -> None:
    """Refuse the content of a model file where a text is wanted.

    Raises:
        FileError: it begins as one.
    """
    if content.startswith(_MODEL_BEGINNINGS):
        hint = f"'modelrecipe init {path}' makes a recipe for it"
        raise FileError(f"'{path}' is a model file, not a text", hint=hint)


def cannot_read(path: Path, error: OSError) -> FileError:
    """What to say when the operating system refuses to read `path`."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return _missing(path)
    if isinstance(error, IsADirectoryError):
        return FileError(f"'{path}' is a directory, not a file")
    if isinstance(error, PermissionError):
        return FileError(f"'{path}' may not be read: permission denied")
    return FileError(f"'{path}' cannot be read: {_reason(error)}")


def cannot_write(path: Path, error: OSError) -> FileError:
    """What to say when the operating system refuses to write `path`."""
    if error.errno in _NO_SPACE:
        return FileError(f"'{path}' cannot be written: no space is left", hint="free some space or write elsewhere")
    if isinstance(error, PermissionError):
        return FileError(f"'{path}' may not be written: permission denied")
    return FileError(f"'{path}' cannot be written: {_reason(error)}")


def _missing(path: Path) -> FileError:
    folder = path.parent
    if not folder.is_dir():
        return FileError(f"'{path}' does not exist, nor does the folder '{folder}'")
    try:
        near = _near_files(path.name, sorted(entry.name for entry in folder.iterdir()))
    except OSError:
        near = []
    hint = f"did you mean {' or '.join(repr(name) for name in near)}?" if near else None
    return FileError(f"'{path}' does not exist", hint=hint)


def _near_files(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The files whose names without endings resemble this one's; of equally near ones those with its ending first."""
    by_stem: dict[str, list[str]] = {}
    for item in known:
        by_stem.setdefault(Path(item).stem, []).append(item)
    suffix = Path(name).suffix
    near: list[str] = []
    for stem in nearest_names(Path(name).stem, by_stem):
        near += sorted(by_stem[stem], key=lambda item: Path(item).suffix != suffix)
    return near[:most]


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).partition("\n")[0].lower()
