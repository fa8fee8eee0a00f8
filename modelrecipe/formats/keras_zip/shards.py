"""Weights that Keras 3 spread over several HDF5 files, with a `.weights.json` that lists them.

Every shard has a part of one tree of groups; see `ShardedH5IOStore` in `keras/src/saving/saving_lib.py`.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from modelrecipe.errors import FileError
from modelrecipe.files import read_text
from modelrecipe.formats.extent import Extent
from modelrecipe.formats.hdf5.tensors import Group
from modelrecipe.formats.hdf5.tree import tree_of
from modelrecipe.formats.keras_zip.groups import OPTIMIZER

MAP = "weight_map"
LARGEST = 1 << 26
"""Bytes of a list that is read."""
_MOST_SHARDS = 10_000


def read(path: Path) -> tuple[Group, tuple[Path, ...]]:
    """The tree of all shards together, and the shards.

    Raises:
        FileError: the list is damaged or names files elsewhere, or a shard is missing or damaged.
    """
    shards = files_of(path)
    root = Group()
    for shard in shards:
        extent = Extent.whole(shard)
        root = _together(path, root, tree_of(extent, {OPTIMIZER}))
    return root, shards


def files_of(path: Path) -> tuple[Path, ...]:
    """The shards that a list names.

    Raises:
        FileError: the list is damaged, or names files elsewhere.
    """
    return tuple(path.parent / name for name in _names(path))


def _names(path: Path) -> list[str]:
    try:
        data = json.loads(read_text(path, LARGEST))
    except (ValueError, RecursionError) as error:
        raise FileError(f"'{path}' is not JSON ({error})") from error
    listed: Any = data.get(MAP) if isinstance(data, dict) else None
    if not isinstance(listed, dict):
        raise FileError(f"'{path}' lists no shards: it has no object '{MAP}'")
    found: dict[str, None] = {}
    for value in listed.values():
        for name in value if isinstance(value, list) else [value]:
            if not isinstance(name, str) or not _is_plain(name):
                raise FileError(f"'{path}' is refused: it names '{name}' as a shard, which is no file beside it")
            found[name] = None
    if len(found) > _MOST_SHARDS:
        raise FileError(f"'{path}' is refused: it names {len(found)} shards, at most {_MOST_SHARDS}")
    return list(found)


def _is_plain(name: str) -> bool:
    """Whether it names a file of the same folder, on whatever system."""
    return name not in ("", ".", "..") and PurePosixPath(name).name == name == PureWindowsPath(name).name


def _together(path: Path, one: Group, other: Group) -> Group:
    twice = one.tensors.keys() & other.tensors.keys()
    if twice:
        place = f"{one.path}/{min(twice)}".strip("/")
        raise FileError(f"'{path}' is refused: two of its shards hold '{place}'")
    names = [*one.groups, *(name for name in other.groups if name not in one.groups)]
    return Group(
        path=one.path or other.path,
        label=one.label or other.label,
        groups={
            name: _together(path, one.groups[name], other.groups[name])
            if name in one.groups and name in other.groups
            else one.groups.get(name) or other.groups[name]
            for name in names
        },
        tensors={**one.tensors, **other.tensors},
    )
