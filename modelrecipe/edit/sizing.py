"""Sizes of new variables, as far as they follow from the layer's arguments and the shapes that flow into it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe import shapes
from modelrecipe.graph import walk
from modelrecipe.propagate import shapes_into
from modelrecipe.references import iter_refs
from modelrecipe.selector import dtype_of
from modelrecipe.weights import Weights

_DATA = ("inputs", "query", "value", "key")
"""Keywords under which layers take data, in the order in which they take it without."""

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.graph import Call, Located
    from modelrecipe.references import Shape
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
    layer = located.layer
    inputs = _data_into(layer.calls[0], shapes_into(located)) if layer.calls else []
    if not inputs or None in inputs:
        return {}
    return shapes.variable_shapes(layer.class_name, layer.config, inputs) or {}


def _data_into(call: Call, shapes: Sequence[Shape | None]) -> list[Shape | None]:
    """The shapes of what a call computes with, in the order of the call: masks and states make no variables."""
    count = len(list(iter_refs(call.args)))
    given = {key: len(list(iter_refs(call.kwargs[key]))) for key in sorted(call.kwargs)}
    found, rest = list(shapes[:count]), list(shapes[count:])
    by_key: dict[str, list[Shape | None]] = {}
    for key, size in given.items():
        by_key[key], rest = rest[:size], rest[size:]
    return [*found, *(shape for key in _DATA for shape in by_key.get(key, ()))]


def variable_dtype(policy: str) -> str:
    """The type of a policy's variables: `mixed_float16` computes in float16 and stores float32."""
    return "float32" if policy.startswith("mixed_") else policy
