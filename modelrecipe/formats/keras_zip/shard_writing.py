"""Write weights in shards, with a `.weights.json` that lists them, as Keras 3 does."""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, Any

from modelrecipe.formats.gathering import gathered
from modelrecipe.formats.keras_zip.shard_plan import bytes_of, pack, shard_name
from modelrecipe.formats.keras_zip.shards import MAP
from modelrecipe.new_file import NewFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from modelrecipe.formats.hdf5.tensors import Group
    from modelrecipe.formats.keras_zip.weights_writing import Tree
    from modelrecipe.formats.passing import Passed


def write_shards(tree: Tree, index: Path, limit: int) -> dict[Path, list[Passed]]:
    """Write the shards beside `index`, and then that, and say what passed by into each shard.

    Raises:
        LanguageError: the variables of a layer do not fit one shard.
        FileError: a file that tensors lie in changed, or is damaged.
    """
    groups = {group.path: group for group in tree.groups()}
    sizes = {path: sum(_stored_bytes(group)) for path, group in groups.items()}
    passed: dict[Path, list[Passed]] = {}
    listed: dict[str, Any] = {}
    for number, paths in enumerate(pack(tree.model, sizes, limit)):
        shard = index.with_name(shard_name(index.name, number))
        passed[shard] = _write_shard(shard, [groups[path] for path in paths], tree)
        # Keras makes a list of a group's shards with its second variable.
        listed |= {
            f"/{path}": [shard.name] if len(groups[path].tensors) > 1 else shard.name
            for path in paths
            if groups[path].tensors
        }
    index.write_text(index_text(listed, sum(sizes.values())), encoding="utf-8")
    return passed


def index_text(listed: Mapping[str, Any], total: float) -> str:
    """The content of a list of shards, as Keras writes it."""
    return json.dumps({"metadata": {"total_size": float(total)}, MAP: dict(listed)}, indent=4)


def _write_shard(shard: Path, groups: Sequence[Group], tree: Tree) -> list[Passed]:
    with (
        gathered(groups, tree.edited, tree.labels, shard.parent) as ready,
        NewFile(shard) as file,
    ):
        passed = ready.write(file).passed
        os.fsync(file.fileno())
    return passed


def _stored_bytes(group: Group) -> Iterator[int]:
    for stored in group.tensors.values():
        yield math.prod(stored.shape) * bytes_of(stored.dtype)
