"""Where a TensorFlow checkpoint lies, whatever of it a path names."""

from __future__ import annotations

import re
from pathlib import Path

from modelrecipe.errors import FileError
from modelrecipe.files import read_text

INDEX = ".index"
_LARGEST_STATE = 1 << 20


def find_prefix(path: Path) -> Path:
    """The checkpoint that a path means: its prefix, its `.index`, a data file, or a folder with a file `checkpoint`.

    Raises:
        FileError: there is none.
    """
    if path.is_dir():
        return _latest(path)
    for name in (path.name.removesuffix(INDEX), re.sub(r"\.data-\d{5}-of-\d{5}$", "", path.name)):
        if name and (path.parent / f"{name}{INDEX}").is_file():
            return path.parent / name
    raise FileError(f"'{path}' is no TensorFlow checkpoint: there is no '{path.name.removesuffix(INDEX)}{INDEX}'")


def is_bundle(path: Path) -> bool:
    """Whether a path means a checkpoint; see `find_prefix`."""
    try:
        find_prefix(path)
    except FileError:
        return False
    return True


def is_bundle_part(path: Path) -> bool:
    """Whether a path is prefix, index or data file of a checkpoint, and no file beside it under its prefix."""
    is_beside = path.is_file() and (path.parent / f"{path.name}{INDEX}").is_file()
    return not path.is_dir() and not is_beside and is_bundle(path)


def _latest(folder: Path) -> Path:
    """The newest checkpoint of a folder, as the file `checkpoint` in it says; else the only one."""
    state = folder / "checkpoint"
    if state.is_file():
        found = re.search(r'^model_checkpoint_path: "([^"\\]+)"$', read_text(state, _LARGEST_STATE), re.MULTILINE)
        if not found:
            raise FileError(f"'{state}' names no checkpoint")
        # Whoever moved the folder moved what an absolute path leads to as well.
        name = Path(found[1]).name
        if not (folder / f"{name}{INDEX}").is_file():
            raise FileError(f"'{state}' names the checkpoint '{name}', which is not there")
        return folder / name
    prefixes = sorted(item for item in folder.glob(f"*{INDEX}") if item.is_file())
    if len(prefixes) == 1:
        return folder / prefixes[0].name.removesuffix(INDEX)
    if prefixes:
        names = ", ".join(f"'{item.name}'" for item in prefixes[:5])
        raise FileError(f"'{folder}' holds {len(prefixes)} checkpoints: {names}", hint="name one")
    raise FileError(f"'{folder}' holds no TensorFlow checkpoint")
