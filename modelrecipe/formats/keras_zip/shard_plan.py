"""Which shards weights will lie in, and what they are called; `shard_writing` writes them.

Keras begins a new shard where the next variable does not fit; here the variables of a layer stay together, so that each
is read from one file. See `ShardedH5IOStore` in `keras/src/saving/saving_lib.py`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from modelrecipe import measures
from modelrecipe.errors import LanguageError
from modelrecipe.formats.keras_zip.places import group_places, in_order
from modelrecipe.graph import walk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelrecipe.checkpoint import Checkpoint
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


def bytes_of(dtype: str) -> int:
    """Bytes of one number of a type, as Keras names it."""
    import ml_dtypes  # only plans of shards ask
    import numpy as np

    return np.dtype(getattr(ml_dtypes, dtype, dtype)).itemsize
