"""LayerNormalization over several axes: tf.keras kept their order in its weights' shapes, Keras 3 sorts them.

Both reshape the weights to the input's order of axes, without a transposition, so a reshaping keeps what they mean.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe.formats.repair import Repair, Writer
from modelrecipe.frozen import frozen
from modelrecipe.graph import Layer, update_layers, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.weights import Tensor


@frozen
class Reshaped:
    """Reads stored numbers in another shape."""

    source: Callable[[], NDArray[np.generic]]
    shape: tuple[int, ...]

    def __call__(self) -> NDArray[np.generic]:
        """The numbers in the file's order."""
        return self.source().reshape(self.shape)


def _mend(checkpoint: Checkpoint, writer: Writer) -> tuple[Checkpoint, Sequence[str]]:
    if not writer.is_before(3):
        return checkpoint, ()
    weights, mended, seen = checkpoint.weights, [], set[str]()
    for located in walk(checkpoint.model):
        key, axes = located.layer.key, _axes(located.layer)
        if axes == sorted(axes) or key in seen:
            continue
        seen.add(key)
        tensors = weights.of(key)
        new = tuple(_sorted(tensor, axes) for tensor in tensors)
        if any(tensor is not old for tensor, old in zip(new, tensors, strict=True)):
            weights = weights.having(key, new)
            mended.append(located.path)
    if not mended:
        return checkpoint, ()
    model = update_layers(checkpoint.model, dict.fromkeys(mended, _with_sorted_axes))
    return replace(checkpoint, model=model, weights=weights), mended


def _axes(layer: Layer) -> list[int]:
    axes = layer.config.get("axis")
    return list(axes) if layer.class_name == "LayerNormalization" and isinstance(axes, list | tuple) else []


def _with_sorted_axes(layer: Layer) -> Layer:
    return replace(layer, config={**layer.config, "axis": sorted(_axes(layer))})


def _sorted(tensor: Tensor, axes: list[int]) -> Tensor:
    if tensor.source is None or tensor.shape is None or len(tensor.shape) != len(axes):
        return tensor
    shape = tuple(tensor.shape[axes.index(axis)] for axis in sorted(axes))
    if shape == tensor.shape:
        return tensor
    return replace(tensor, shape=shape, source=Reshaped(source=tensor.source, shape=shape))


REPAIR = Repair(
    name="norm-axes",
    cause="weights of a LayerNormalization have the order in which its axes were given, which Keras 3 sorts",
    versions="tf.keras 1.14 to 2.15",
    cure="the weights are reshaped, as tf.keras did when it used them",
    document=_mend,
)
