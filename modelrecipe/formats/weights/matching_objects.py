"""TensorFlow checkpoints of objects beside an architecture from elsewhere: layers by their place in the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe import catalog
from modelrecipe.formats.tensorflow.tracked_layers import layer_tensors, tracked_by_layer
from modelrecipe.graph import walk

if TYPE_CHECKING:
    from collections.abc import Collection

    from modelrecipe.formats.weights.files import WeightFile
    from modelrecipe.graph import Layer
    from modelrecipe.weights import Tensor


def objects_by_layer(model: Layer, file: WeightFile, ignored: Collection[str]) -> dict[str, list[tuple[str, Tensor]]]:
    """The tensors of each layer that has an object, with their paths in the tree of objects.

    Args:
        model: the architecture.
        file: the checkpoint.
        ignored: entries that are not looked at.
    """
    if file.objects is None:
        return {}
    entries = {id(entry.source): entry.path for entry in file.entries}
    by_key = {key: entries.get(id(stored.source)) for key, stored in file.objects.tensors.items()}
    layers = {item.layer.key: item.layer for item in walk(model)}
    found: dict[str, list[tuple[str, Tensor]]] = {}
    for key, tracked in tracked_by_layer(model, file.objects).items():
        kept = [item for item in tracked if by_key.get(item.stored.path) not in (None, *ignored)]
        layer = layers[key]
        tensors = layer_tensors(layer, catalog.variables(layer.class_name, layer.config), kept)
        names = {id(item.stored.source): by_key[item.stored.path] or "" for item in kept}
        found[key] = [(names[id(tensor.source)], tensor) for tensor in tensors]
    return {key: pairs for key, pairs in found.items() if pairs}
