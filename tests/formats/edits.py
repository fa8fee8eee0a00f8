"""Edits of documents that several tests of formats make, without any step."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from modelrecipe.graph import Layer, locate, update_layers, walk
from modelrecipe.references import TensorRef, map_refs

if TYPE_CHECKING:
    import keras

    from modelrecipe.checkpoint import Checkpoint


def contents(checkpoint: Checkpoint) -> dict[str, bytes]:
    """The bytes of every tensor, under the layer's key and the tensor's name."""
    return {
        f"{key}:{tensor.name}": tensor.read().tobytes()
        for key, tensors in checkpoint.weights.items()
        for tensor in tensors
    }


def differences(a: Checkpoint, b: Checkpoint) -> list[str]:
    """The tensors whose bytes differ; both must have the same ones."""
    left, right = contents(a), contents(b)
    assert left.keys() == right.keys()
    return [name for name in left if left[name] != right[name]]


def halve(checkpoint: Checkpoint, key: str, name: str) -> Checkpoint:
    """One tensor times 0.5."""
    tensors = [
        tensor.map(lambda values: values * np.asarray(0.5, values.dtype)) if tensor.name == name else tensor
        for tensor in checkpoint.weights[key]
    ]
    return replace(checkpoint, weights=checkpoint.weights.having(key, tensors))


def freeze(checkpoint: Checkpoint, path: str, *, flag: bool = False) -> Checkpoint:
    """The flag of one layer."""

    def turn(layer: Layer) -> Layer:
        return replace(layer, config={**layer.config, "trainable": flag})

    return replace(checkpoint, model=update_layers(checkpoint.model, {path: turn}))


def rename(checkpoint: Checkpoint, names: dict[str, str]) -> Checkpoint:
    """Rename layers, given by path, and mend the calls of their graphs."""
    new_names = {locate(checkpoint.model, path).layer.key: new for path, new in names.items()}
    return replace(checkpoint, model=_renamed(checkpoint.model, new_names))


def _renamed(model: Layer, names: dict[str, str]) -> Layer:
    if model.graph is None:
        return model
    here = {layer.name: names[layer.key] for layer in model.graph.layers if layer.key in names}

    def mend(ref: TensorRef) -> TensorRef:
        return replace(ref, layer=here.get(ref.layer, ref.layer))

    layers = tuple(
        replace(
            _renamed(layer, names),
            name=here.get(layer.name, layer.name),
            calls=tuple(call.map(mend) for call in layer.calls),
        )
        for layer in model.graph.layers
    )
    graph = replace(
        model.graph,
        layers=layers,
        inputs=map_refs(model.graph.inputs, mend),
        outputs=map_refs(model.graph.outputs, mend),
    )
    return replace(model, graph=graph)


def assert_holds_the_weights_of(checkpoint: Checkpoint, model: keras.Model) -> None:
    """Every leaf layer has the live layer's variables, byte for byte, and each tensor ends the variable's path."""
    met: set[str] = set()
    for located in walk(checkpoint.model):
        layer = located.layer
        if layer.graph is not None or layer.is_operation or layer.is_input or layer.key in met:
            continue
        met.add(layer.key)
        live = model
        for name in located.path.split("/"):
            live = live.get_layer(name)
        tensors = checkpoint.weights.of(layer.key)
        stored = sorted((tensor.read().tobytes(), str(tensor.dtype), str(tensor.shape)) for tensor in tensors)
        assert stored == sorted(
            (np.asarray(variable.numpy()).tobytes(), variable.dtype, str(tuple(variable.shape)))
            for variable in live.weights
        ), located.path
        paths = {np.asarray(variable.numpy()).tobytes(): variable for variable in live.weights}
        for tensor in tensors:
            variable = paths[tensor.read().tobytes()]
            assert f"/{variable.path}".endswith(f"/{tensor.name}"), (located.path, tensor.name, variable.path)
