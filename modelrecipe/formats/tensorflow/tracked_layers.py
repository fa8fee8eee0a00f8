"""Which variables of a TensorFlow checkpoint belong to which layer of a Keras 2 model, told by the tree of objects.

A model's node has its layers as children, a layer's node its variables, `cell` and `forward_layer` as others between.
So the place of a variable is certain even where its name is not. Knows headers and objects, not files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from modelrecipe import catalog
from modelrecipe.errors import FileError
from modelrecipe.formats.hdf5.recorded_names import Recorded, recorded_tensors
from modelrecipe.formats.tensorflow.object_graph import Node, Objects, Tracked, walk_objects
from modelrecipe.graph import Layer, walk
from modelrecipe.weights import Tensor, Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelrecipe.catalog import Variable

_LISTS = ("cells", "layers")


def assign_tracked(model: Layer, objects: Objects) -> Weights:
    """Give each layer its tensors, under its key.

    Raises:
        FileError: the checkpoint has no weights of a layer that needs some.
    """
    tracked = tracked_by_layer(model, objects)
    weights: dict[str, tuple[Tensor, ...]] = {}
    for located in walk(model):
        layer = located.layer
        if layer.graph is not None or layer.key in weights:
            continue
        known = catalog.variables(layer.class_name, layer.config)
        if known and not tracked.get(layer.key):
            raise FileError(f"holds no weights of layer '{located.path}'")
        weights[layer.key] = layer_tensors(layer, known, tracked.get(layer.key, ()))
    return Weights({key: tensors for key, tensors in weights.items() if tensors})


def tracked_by_layer(model: Layer, objects: Objects) -> dict[str, list[Tracked]]:
    """The variables of every layer for which the objects have any, under its key.

    Layers go by their names where these are known, else by their place in the model: Keras 2 numbers them `layer-3`.
    """
    numbers: dict[str, int] = {}
    _bind(model, _root(objects), objects, numbers)
    leaves = {item.layer.key for item in walk(model) if item.layer.graph is None}
    found = {key: objects.below(number) for key, number in numbers.items() if key in leaves}
    return {key: tracked for key, tracked in found.items() if tracked}


def _root(objects: Objects) -> int:
    """The model's object: the nearest to the root that has numbered layers (`tf.train.Checkpoint(model=model)`)."""
    paths = walk_objects(objects.nodes)
    near = sorted(paths, key=lambda number: len(paths[number]))
    return next((number for number in near if any(map(_is_numbered, objects.nodes[number].children))), 0)


def _bind(model: Layer, number: int, objects: Objects, found: dict[str, int]) -> None:
    """The object of each layer inside a model, at any depth."""
    if model.graph is None:
        return
    children = objects.nodes[number].children
    by_name: dict[str, int] = {}
    # Attributes may hold layers too, and lists of them; those of the graph have numbers.
    for attribute in sorted(children, key=lambda attribute: not _is_numbered(attribute)):
        child = children[attribute]
        by_name.setdefault(objects.names.get(child, ""), child)
    layers = [layer for layer in model.graph.layers if not (model.graph.kind == "sequential" and layer.is_input)]
    for place, layer in enumerate(layers):
        child = by_name.get(layer.name, None if objects.names else children.get(f"layer-{place}"))
        if child is not None and layer.key not in found:
            found[layer.key] = child
            _bind(layer, child, objects, found)


def _is_numbered(name: str) -> bool:
    return re.fullmatch(r"layer(_with_weights)?-\d+", name) is not None


def layer_tensors(layer: Layer, known: Sequence[Variable] | None, tracked: Sequence[Tracked]) -> tuple[Tensor, ...]:
    """The variables of a layer: at the slots of the catalog where each has its place there, else by their own names."""
    places = _by_place(known or ())
    found = {_renamed(item.place, layer): item for item in tracked}
    if not known or found.keys() != places.keys() or len(found) < len(tracked):
        items = [Recorded(group=layer.name, weight=item.name, stored=item.stored) for item in tracked]
        return recorded_tensors(layer.name, layer.class_name, layer.config, items)
    names = [variable.name for variable in known]
    is_unique = len(set(names)) == len(names)
    return tuple(
        Tensor(
            name=variable.name if is_unique else variable.slot.replace("vars/", ""),
            slot=variable.slot,
            shape=found[place].stored.shape,
            dtype=found[place].stored.dtype,
            is_trainable=variable.trainable,
            source=found[place].stored.source,
        )
        for place, variable in places.items()
    )


def _by_place(known: Sequence[Variable]) -> dict[tuple[str, ...], Variable]:
    """The catalog's variables under the attributes that lead to them: `cell/vars/0`, called `kernel`, is `cell/kernel`.

    Keras 3 names the groups of layers in a list by class, TensorFlow numbers them.
    """
    lists: dict[tuple[str, ...], list[str]] = {}
    found: dict[tuple[str, ...], Variable] = {}
    for variable in known:
        place: list[str] = []
        for part in variable.slot.rpartition("vars/")[0].split("/")[:-1]:
            if place and place[-1] in _LISTS:
                met = lists.setdefault(tuple(place), [])
                met += [] if part in met else [part]
                place.append(str(met.index(part)))
            else:
                place.append(part)
        found[(*place, variable.name.rpartition("/")[2])] = variable
    return found


def _renamed(place: tuple[str, ...], layer: Layer) -> tuple[str, ...]:
    """Keras 3 renamed the kernel of depthwise layers."""
    is_depthwise = layer.class_name.startswith("Depthwise") and place[-1] == "depthwise_kernel"
    return (*place[:-1], "kernel") if is_depthwise else place


def pair(saved: Sequence[Node], nodes: Sequence[Node]) -> dict[int, int]:
    """The object of the checkpoint for each of the model's: both trees have one root and the same attributes."""
    found = {0: 0}
    waiting = [0]
    while waiting:
        number = waiting.pop()
        own = nodes[found[number]].children
        for name, child in saved[number].children.items():
            if name in own and child not in found:
                found[child] = own[name]
                waiting.append(child)
    return found
