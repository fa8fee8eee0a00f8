"""Sizes of new variables, as far as they follow from the layer's arguments and the shapes that flow into it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe import shapes
from modelrecipe.graph import walk
from modelrecipe.propagate import shapes_into
from modelrecipe.selector import dtype_of
from modelrecipe.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.graph import Located
    from modelrecipe.weights import Tensor


def with_sizes(checkpoint: Checkpoint) -> Checkpoint:
    """The same document with shape and type of every new variable that can be told without Keras."""
    waiting = {key for key in checkpoint.weights if any(tensor.shape is None for tensor in checkpoint.weights.of(key))}
    if not waiting:
        return checkpoint
    sized = {
        located.layer.key: _sized(checkpoint, located)
        for located in walk(checkpoint.model)
        if located.layer.key in waiting
    }
    return replace(checkpoint, weights=Weights({**checkpoint.weights, **sized}))


def _sized(checkpoint: Checkpoint, located: Located) -> tuple[Tensor, ...]:
    known = _variable_shapes(located)
    dtype = variable_dtype(dtype_of(located.layer.config) or "float32")
    return tuple(
        replace(tensor, shape=tuple(known[tensor.name]), dtype=dtype)
        if tensor.shape is None and tensor.name in known
        else tensor
        for tensor in checkpoint.weights.of(located.layer.key)
    )


def _variable_shapes(located: Located) -> Mapping[str, tuple[int, ...]]:
    inputs = [shape for shape in shapes_into(located) if shape is not None]
    layer = located.layer
    if not layer.calls or len(inputs) != len(layer.calls[0].refs()):
        return {}
    return shapes.variable_shapes(layer.class_name, layer.config, inputs) or {}


def variable_dtype(policy: str) -> str:
    """The type of a policy's variables: `mixed_float16` computes in float16 and stores float32."""
    return "float32" if policy.startswith("mixed_") else policy
