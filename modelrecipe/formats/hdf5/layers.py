"""Which weights of an old HDF5 file belong to which layer of the model.

The file lists them flat under each layer of the outermost model, a nested model's too: first what is trainable, then
the rest (`_legacy_weights` in `keras/src/legacy/saving/legacy_h5_format.py`). Order and recorded names have to agree on
the layers inside; where they do not, the file is refused. Knows headers, not files.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import field
from typing import TYPE_CHECKING

from modelrecipe import catalog
from modelrecipe.errors import FileError
from modelrecipe.formats.hdf5.recorded_names import Recorded, agrees, recorded_tensors
from modelrecipe.formats.repair import inner_layers, name_of
from modelrecipe.formats.variable_names import class_of_group
from modelrecipe.frozen import frozen
from modelrecipe.graph import Layer, Located, is_trainable, walk
from modelrecipe.weights import Tensor, Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from modelrecipe.catalog import Variable

OWN = "top_level_model_weights"
"""The group of variables that belong to the outermost model itself."""


Assignment = dict[str, list[Recorded]]


@frozen
class Assigned:
    """Tensors of each layer.

    Args:
        weights: under the layer's key, in the file's order.
        copies: further places of a tensor whose layer stands in several models, under key and slot of the first.
        inner: for an opaque model, the layers that only the weights tell of.
    """

    weights: Weights
    copies: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    inner: tuple[Located, ...] = ()

    def owners(self) -> dict[str, str]:
        """The key of the layer that each slot belongs to."""
        found = {tensor.slot: key for key, tensors in self.weights.items() for tensor in tensors}
        for (key, _), slots in self.copies.items():
            found.update(dict.fromkeys(slots, key))
        return found


def assign(model: Layer, recorded: Mapping[str, Sequence[Recorded]], version: str) -> Assigned:
    """Give each layer its tensors.

    Args:
        model: the outermost model.
        recorded: the weights that the file lists under each layer's name.
        version: of the Keras that wrote the file.

    Raises:
        FileError: the weights do not fit the layers, or which layer they belong to cannot be told.
    """
    if model.graph is None:
        return _assign_opaque(model, recorded)
    layers = {layer.name: layer for layer in model.graph.layers}
    found: dict[str, list[list[Recorded]]] = {}
    for name, items in recorded.items():
        if name == OWN:
            found[""] = [list(items)]
        elif name in layers:
            for key, own in of_layer(layers[name], items, version).items():
                found.setdefault(key, []).append(own)
        elif items:
            raise FileError(f"holds weights of layer '{name}', which its architecture does not list")
    leaves = {located.layer.key: located for located in walk(model) if located.layer.graph is None}
    for key, located in leaves.items():
        if not any(found.get(key, ())) and _variables(located.layer):
            raise FileError(f"holds no weights of layer '{located.path}'")
    weights = {key: _tensors(leaves[key].layer if key else model, lists[0]) for key, lists in found.items() if lists[0]}
    return Assigned(weights=Weights(weights), copies=_copies(found))


def of_layer(layer: Layer, items: Sequence[Recorded], version: str) -> Assignment:
    """The weights that a file lists of one layer, under the keys of the layers inside it where it is a model.

    Raises:
        FileError: which inner layer they belong to cannot be told.
    """
    if layer.graph is None:
        return {layer.key: list(items)}
    return _of_nested(layer, items, version) if items else {}


def _assign_opaque(model: Layer, recorded: Mapping[str, Sequence[Recorded]]) -> Assigned:
    inner = [
        Located(
            path=name,
            layer=Layer(name=name, class_name=class_of_group(name) or name, module=None, key=name),
            parents=(model,),
        )
        for name in recorded
        if name != OWN
    ]
    weights = {located.path: _tensors(located.layer, recorded[located.path]) for located in inner}
    weights[""] = _tensors(model, recorded.get(OWN, ()))
    return Assigned(weights=Weights({key: found for key, found in weights.items() if found}), inner=tuple(inner))


def _tensors(layer: Layer, items: Sequence[Recorded]) -> tuple[Tensor, ...]:
    return recorded_tensors(layer.name, layer.class_name, layer.config, items)


def _copies(found: Mapping[str, list[list[Recorded]]]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Where else the weights of a shared layer stand, matched by their recorded names' ends and shapes."""
    copies: dict[tuple[str, str], tuple[str, ...]] = {}
    for key, (first, *others) in found.items():
        for other in others:
            for item, twin in zip(first, _aligned(key, first, other), strict=True):
                copies[key, item.slot] = (*copies.get((key, item.slot), ()), twin.slot)
    return copies


def _aligned(key: str, first: Sequence[Recorded], other: Sequence[Recorded]) -> list[Recorded]:
    by_name = {item.end: item for item in other} if len(first) == len(other) else {}
    if len(by_name) == len(other) and by_name.keys() == {item.end for item in first}:
        return [by_name[item.end] for item in first]
    if [item.stored.shape for item in first] == [item.stored.shape for item in other]:
        return list(other)
    raise FileError(f"holds the weights of the shared layer '{key}' twice, and they differ in kind")


def _variables(layer: Layer) -> Sequence[Variable] | None:
    return catalog.variables(layer.class_name, layer.config)


def _of_nested(nested: Layer, items: Sequence[Recorded], version: str) -> Assignment:
    """Spread the flat list of a nested model over the layers inside it, at any depth; a shared one counts once."""
    leaves = list({located.layer.key: located for located in reversed([*walk(nested)])}.values())[::-1]
    leaves = [located for located in leaves if located.layer.graph is None]
    by_name = _by_name(leaves, items)
    by_order = _by_order(nested, leaves, items)
    if by_order and by_name:
        by_order = [assignment for assignment in by_order if assignment == by_name]
    elif by_name:
        by_order = [by_name]
    if not by_order or (len(by_order) > 1 and not version.startswith("3.")):
        raise FileError(
            f"lists {len(items)} weights of the nested model '{nested.name}', and which of its layers each belongs to "
            "cannot be told"
        )
    return by_order[0]


def _by_order(nested: Layer, leaves: Sequence[Located], items: Sequence[Recorded]) -> list[Assignment]:
    """Every assignment that the order allows; Keras versions differ in whose flag makes a weight trainable."""
    flags: tuple[Callable[[Located], bool], ...] = (
        lambda located: is_trainable(nested) and is_trainable(located.layer),
        _was_listed_as_trainable,
        lambda located: is_trainable(located.layer),
    )
    known = [(located, _variables(located.layer)) for located in leaves]
    if any(variables is None for _, variables in known):
        return []
    places = [(located, variable) for located, variables in known for variable in variables or ()]
    found: list[Assignment] = []
    for is_free in flags:
        first = [place for place in places if place[1].trainable and is_free(place[0])]
        rest = [place for place in places if not (place[1].trainable and is_free(place[0]))]
        assignment = _fill([*first, *rest], items)
        if assignment is not None and assignment not in found:
            found.append(assignment)
    return found


def _fill(order: Sequence[tuple[Located, Variable]], items: Sequence[Recorded]) -> Assignment | None:
    """The weights in this order of variables; None where their number or a recorded name says otherwise."""
    if len(order) != len(items):
        return None
    assignment: Assignment = {}
    for (located, variable), item in zip(order, items, strict=True):
        if not agrees(item, located.layer.class_name, variable):
            return None
        assignment.setdefault(located.layer.key, []).append(item)
    return assignment


def _by_name(leaves: Sequence[Located], items: Sequence[Recorded]) -> Assignment | None:
    """The assignment that the recorded names spell out, where each names exactly one layer and all counts fit."""
    named = [(name, located.layer.key) for located in leaves for name in _scopes(located.layer)]
    times = Counter(name for name, _ in named)
    keys = {name: key for name, key in named if times[name] == 1}
    assignment: Assignment = {}
    for item in items:
        owner = _owner(item, keys)
        if owner is None:
            return None
        assignment.setdefault(owner, []).append(item)
    for located in leaves:
        variables = _variables(located.layer)
        if variables is not None and len(variables) != len(assignment.get(located.layer.key, ())):
            return None
    return assignment


def _scopes(layer: Layer) -> Sequence[str]:
    """The names that those of a layer's variables may begin with: its own, and those inside a model that it wraps."""
    if _variables(layer) is not None:
        return (layer.name,)
    return tuple(dict.fromkeys((layer.name, *map(name_of, inner_layers({"config": dict(layer.config)})))))


def _owner(item: Recorded, keys: Mapping[str, str]) -> str | None:
    """The innermost layer that a name speaks of: `outer/dense/kernel` is of `dense`. Old names may hold slashes."""
    scope = f"/{item.scope}/"
    ends = {name: start + len(name) for name in keys if (start := scope.rfind(f"/{name}/")) >= 0}
    best = max(ends, key=lambda name: (ends[name], len(name)), default=None)
    return None if best is None else keys[best]


def _was_listed_as_trainable(located: Located) -> bool:
    """When the file was written, a frozen model around a layer made all its weights non-trainable."""
    return all(is_trainable(layer) for layer in (*located.parents, located.layer))
