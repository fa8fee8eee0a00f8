"""Write weights in shards, with a `.weights.json` that lists them, as Keras 3 does.

Keras begins a new shard where the next variable does not fit; here the variables of a layer stay together, so that each
is read from one file. See `ShardedH5IOStore` in `keras/src/saving/saving_lib.py`.
"""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from modelrecipe import measures
from modelrecipe.errors import LanguageError
from modelrecipe.formats.gathering import gathered
from modelrecipe.formats.keras_zip.places import group_places, in_order
from modelrecipe.formats.keras_zip.shards import MAP
from modelrecipe.graph import walk
from modelrecipe.new_file import NewFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.formats.hdf5.tensors import Group
    from modelrecipe.formats.keras_zip.weights_writing import Tree
    from modelrecipe.formats.passing import Passed
    from modelrecipe.graph import Layer

ENDING = ".weights.json"
SHARD_SIZE = 5 * 2**30
"""Bytes of numbers in a shard at most, where nobody says otherwise; what Keras takes."""


def shard_name(index: str, number: int) -> str:
    """What Keras calls a shard: `model_00000.weights.h5` of `model.weights.json`."""
    return f"{index[: -len(ENDING)]}_{number:05}.weights.h5"


def planned_shards(checkpoint: Checkpoint, limit: int) -> list[int] | None:
    """The bytes of numbers in each shard; None where a size is not known yet.

    Raises:
        LanguageError: the variables of a layer do not fit one shard.
    """
    places = group_places(checkpoint.model)
    sizes: dict[str, int] = {}
    for key, tensors in checkpoint.weights.items():
        for tensor in tensors:
            if tensor.size is None or tensor.dtype is None:
                return None
            path = f"{places.get(key, '')}/{tensor.slot}".lstrip("/").rpartition("/")[0]
            sizes[path] = sizes.get(path, 0) + tensor.size * bytes_of(tensor.dtype)
    ordered = {path: sizes[path] for path in in_order(checkpoint.model, sizes)}
    return [sum(ordered[path] for path in shard) for shard in pack(checkpoint.model, ordered, limit)]


def pack(model: Layer, sizes: Mapping[str, int], limit: int) -> list[list[str]]:
    """Spread groups of variables over shards, in their order.

    Args:
        model: the outermost model.
        sizes: bytes of each group, under its path.
        limit: bytes of a shard at most.

    Raises:
        LanguageError: one group alone is larger.
    """
    shards: list[list[str]] = [[]]
    filled = 0
    for path, size in sizes.items():
        if size > limit:
            raise _too_large(model, path, size, limit)
        if filled + size > limit:
            shards.append([])
            filled = 0
        shards[-1].append(path)
        filled += size
    return shards


def _too_large(model: Layer, path: str, size: int, limit: int) -> LanguageError:
    owners = {place: key for key, place in group_places(model).items()}
    parts = path.split("/")
    key = next(owners[head] for end in range(len(parts), -1, -1) if (head := "/".join(parts[:end])) in owners)
    name = next((item.path for item in walk(model) if item.layer.key == key), model.name)
    return LanguageError(
        f"the weights of '{name}' take {measures.size(size)}, but a shard holds at most {measures.size(limit)}",
        hint=f"write shard_size: {math.ceil(size / 10**6)}MB or more",
        at=("shard_size",),
    )


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


def bytes_of(dtype: str) -> int:
    """Bytes of one number of a type, as Keras names it."""
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, dtype, dtype)).itemsize
