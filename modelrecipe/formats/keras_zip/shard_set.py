"""Lets a list of shards and its shards appear together, or not at all.

The names of shards are Keras' choice, so that a new set takes those of the one that it replaces. Therefore the new
shards first stand under hidden names, to which the list leads when it appears; in that move it goes from the old set to
the new one. Only then the shards take their own names, what is old goes, and the list follows. At any moment one of
both sets is whole, and a file has the first shard's own name: Keras opens that before it looks at the list.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

try:
    import fcntl
except ImportError:  # not on Windows: there, two runs for one set are not told apart
    fcntl = None

from modelrecipe.errors import FileError
from modelrecipe.files import read_text
from modelrecipe.formats.keras_zip.shard_plan import ENDING, shard_name
from modelrecipe.formats.keras_zip.shards import LARGEST, MAP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HIDDEN = ".modelrecipe-"
_REPLACED = "replaced"
"""In the metadata of a list that leads to hidden names: shards under their own names that are not its own."""


@contextmanager
def shard_set(target: Path) -> Iterator[ShardSet]:
    """Shards for the list at `target`: what is placed while the block runs goes again when it fails."""
    with ExitStack() as stack:
        files = ShardSet(target, stack)
        with ExitStack() as undoing:
            undoing.callback(files.undo)
            yield files
            undoing.pop_all()
        files.settle()


@dataclass
class ShardSet:
    """The shards of a list on their way to their names."""

    target: Path
    stack: ExitStack
    _hidden: dict[str, Path] = field(default_factory=dict)
    _first: Path | None = None
    _old: list[str] = field(default_factory=list)
    _data: dict[str, Any] = field(default_factory=dict)

    def place(self, index: Path) -> None:
        """Put the shards that stand beside the list `index` beside the target, for which that list is then ready.

        Raises:
            FileError: there is no shard, or a file that is none of the set has the name of one.
        """
        self._data = json.loads(index.read_text(encoding="utf-8"))
        names = _names(self._data)
        if not names:
            raise FileError(f"'{self.target.name}' would list nothing: the model has no weights")
        folder = self.target.parent
        folder.mkdir(parents=True, exist_ok=True)
        self.stack.enter_context(_locked(folder))
        refuse_foreign(self.target, len(names))
        first = folder / shard_name(self.target.name, 0)
        self._old = [*dict.fromkeys([*_standing(self.target), first.name])]
        _clear(self.target)
        token = os.urandom(4).hex()
        for name in names:
            self._hidden[name] = folder / f"{_HIDDEN}{token}-{name}"
            (index.parent / name).replace(self._hidden[name])
        if not first.exists():
            _double(self._hidden[first.name], first)
            self._first = first
        index.write_text(_text(self._data, self._hidden, self._old), encoding="utf-8")

    def undo(self) -> None:
        """Take away what was placed."""
        for path in (*self._hidden.values(), *([self._first] if self._first else [])):
            path.unlink(missing_ok=True)

    def settle(self) -> None:
        """Give the shards their own names; where that cannot be done, the list leads to the hidden ones for good."""
        folder = self.target.parent
        with suppress(OSError):
            for name, hidden in self._hidden.items():
                double = hidden.with_name(f"{hidden.name}.own")
                _double(hidden, double)
                double.replace(folder / name)
                double.unlink(missing_ok=True)  # two names of one file are not put in each other's place
            for name in self._old:
                if name not in self._hidden:
                    (folder / name).unlink(missing_ok=True)
            final = folder / f"{_HIDDEN}{os.urandom(4).hex()}-{self.target.name}"
            final.write_text(_text(self._data, {}, []), encoding="utf-8")
            shutil.copymode(self.target, final)
            _sync(final)
            final.replace(self.target)
            _sync(folder)
            for path in self._hidden.values():
                path.unlink(missing_ok=True)


def refuse_foreign(target: Path, count: int) -> None:
    """Refuse to write over files that only happen to be called like shards of `target`.

    Args:
        target: the list.
        count: how many shards it will have.

    Raises:
        FileError: there is one.
    """
    own = _standing(target)
    left = [path for path in _hidden_of(target) if path.exists()]
    for number in range(count):
        path = target.with_name(shard_name(target.name, number))
        if path.exists() and path.name not in own and not any(path.samefile(other) for other in left):
            raise FileError(
                f"'{path}' exists, which is no shard of '{target.name}' but has the name of one",
                hint="move it away, or write another file",
                at=("path",),
            )


def is_shard_of(path: Path, target: Path) -> bool:
    """Whether a path could be that of a shard of the list `target`."""
    return path.parent == target.parent and target.name.endswith(ENDING) and _is_shard_name(path.name, target)


def _is_shard_name(name: str, target: Path) -> bool:
    pattern = re.escape(target.name[: -len(ENDING)]) + r"_\d{5,}\.weights\.h5"
    return re.fullmatch(pattern, name) is not None


def _standing(target: Path) -> list[str]:
    """The shards of the list that stands at `target`, as far as their names are those of its shards."""
    try:
        data = json.loads(read_text(target, LARGEST))
    except (FileError, ValueError, RecursionError):
        return []
    named = _names(data)
    metadata = data.get("metadata") if isinstance(data, dict) else None
    replaced = metadata.get(_REPLACED) if isinstance(metadata, dict) else None
    named += [name for name in replaced or () if isinstance(name, str)] if isinstance(replaced, list) else []
    hidden = {path.name for path in _hidden_of(target)}
    return [name for name in named if name in hidden or _is_shard_name(name, target)]


def _names(data: Any) -> list[str]:
    listed = data.get(MAP) if isinstance(data, dict) else None
    values = [*listed.values()] if isinstance(listed, dict) else []
    found = [name for value in values for name in (value if isinstance(value, list) else [value])]
    return [*dict.fromkeys(name for name in found if isinstance(name, str))]


def _hidden_of(target: Path) -> list[Path]:
    """What this or a former run put beside `target` under hidden names."""
    stem = re.escape(target.name[: -len(ENDING)])
    pattern = re.compile(re.escape(_HIDDEN) + r"[0-9a-f]{8}-" + stem + r"_\d{5,}\.weights\.h5(\.own)?")
    try:
        return [path for path in target.parent.iterdir() if pattern.fullmatch(path.name)]
    except OSError:
        return []


def _clear(target: Path) -> None:
    """Remove what killed runs left behind: lists, shards that no list names, and the first one that was such."""
    if fcntl is None:
        return
    for path in target.parent.glob(f"{_HIDDEN}{'[0-9a-f]' * 8}-{glob.escape(target.name)}"):
        if path.is_file():  # a folder of that name is a run's that has not come here yet
            path.unlink()
    named = _standing(target)
    first = target.with_name(shard_name(target.name, 0))
    for path in _hidden_of(target):
        if path.name not in named:
            if first.name not in named and not named and first.exists() and first.samefile(path):
                first.unlink()
            path.unlink()


def _text(data: dict[str, Any], hidden: dict[str, Path], replaced: list[str]) -> str:
    """A list of shards that leads to hidden names where there are some."""

    def moved(value: Any) -> Any:
        return [moved(item) for item in value] if isinstance(value, list) else _name(hidden, value)

    metadata = {**data["metadata"], **({_REPLACED: replaced} if replaced else {})}
    return json.dumps({"metadata": metadata, MAP: {key: moved(item) for key, item in data[MAP].items()}}, indent=4)


def _name(hidden: dict[str, Path], name: str) -> str:
    return hidden[name].name if name in hidden else name


def _double(path: Path, other: Path) -> None:
    """A second name for a file; a copy where the file system knows no second names."""
    try:
        os.link(path, other)
    except FileExistsError:
        raise
    except OSError:
        shutil.copyfile(path, other)
        _sync(other)


def _sync(path: Path) -> None:
    if path.is_dir() and os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Waits until no other run gives names in a folder, and keeps others waiting while the block runs."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
