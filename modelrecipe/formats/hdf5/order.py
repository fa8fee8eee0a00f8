"""In which order an HDF5 file lists the weights of a layer whose flags were edited.

Keras lists what is trainable first and loads by position, so freezing a layer inside a nested model changes the order
that Keras expects, and weights of one shape would silently change places. Knows headers, not files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from modelrecipe import catalog
from modelrecipe.errors import FileError
from modelrecipe.formats.hdf5.recorded_names import Recorded, agrees
from modelrecipe.formats.same_layout import has_other_flags
from modelrecipe.graph import Layer, Located, is_trainable, walk
from modelrecipe.keras_config import iter_configs

if TYPE_CHECKING:
    from modelrecipe.catalog import Variable

Order = Mapping[str, tuple[Recorded, ...]]


def reorder(old: Layer, new: Layer, recorded: Order, owners: Mapping[str, str]) -> Order:
    """The lists of weights as Keras expects them of the edited model.

    Args:
        old: the outermost model of the file.
        new: the same, edited.
        recorded: the weights that the file lists under each layer's name.
        owners: the key of the layer that each slot belongs to.

    Returns:
        `recorded`, with other lists where a flag in the layer differs.

    Raises:
        FileError: a flag differs in a layer whose variables the catalog does not know.
    """
    if old.graph is None or new.graph is None or not has_other_flags(old, new):
        return recorded
    twins = {layer.key: layer for layer in new.graph.layers}
    found = dict(recorded)
    for layer in old.graph.layers:
        twin, items = twins[layer.key], recorded.get(layer.name, ())
        if len(items) > 1 and has_other_flags(layer, twin):
            found[layer.name] = _reordered(Located(path=layer.name, layer=twin, parents=(new,)), items, owners)
    return found


def _reordered(top: Located, items: Sequence[Recorded], owners: Mapping[str, str]) -> tuple[Recorded, ...]:
    """Weights of trainable variables first, both parts in the order in which the variables were created."""
    inner = {located.layer.key: located for located in walk(top.layer) if located.layer.graph is None}
    leaves = inner if top.layer.graph is not None else {top.layer.key: top}
    first: list[Recorded] = []
    rest: list[Recorded] = []
    for key, located in leaves.items():
        own = [item for item in items if owners[item.slot] == key]
        is_free = _loads_trainable(located, top)
        for variable, item in _by_creation(located, own):
            (first if is_free and variable.trainable else rest).append(item)
    if len(first) + len(rest) < len(items):
        raise _unknown(top)
    return (*first, *rest)


def _loads_trainable(located: Located, top: Located) -> bool:
    """Whether Keras counts the layer's variables among the trainable ones of `top`, right after loading.

    A loaded model's flag reaches neither its layers nor the model around it (`Functional.__init__` sets it before it
    knows its layers), and that of a Sequential model is lost.
    """
    inner = _inner_flags(located.layer)
    if len(inner) > 1:
        raise _unknown(located)
    graph = top.layer.graph
    is_heard = graph is None or graph.kind != "sequential"
    return (is_trainable(top.layer) or not is_heard) and is_trainable(located.layer) and False not in inner


def _inner_flags(layer: Layer) -> set[bool]:
    """The flags of the layers that a wrapper holds."""
    configs = [item["config"] for item in iter_configs(dict(layer.config))]
    return {bool(config["trainable"]) for config in configs if "trainable" in config}


def _by_creation(located: Located, items: Sequence[Recorded]) -> list[tuple[Variable, Recorded]]:
    """A layer's variables in the order of their creation, each with its weight."""
    class_name = located.layer.class_name
    variables = catalog.variables(class_name, located.layer.config)
    if not items:
        return []
    if variables is None:
        raise _unknown(located)
    grouped = sorted(variables, key=lambda variable: not variable.trainable)
    for order in (variables, grouped):
        pairs = list(zip(order, items, strict=False))
        if len(order) == len(items) and all(agrees(item, class_name, variable) for variable, item in pairs):
            weights = {variable.slot: item for variable, item in pairs}
            return [(variable, weights[variable.slot]) for variable in variables]
    raise _unknown(located)


def _unknown(located: Located) -> FileError:
    return FileError(
        f"the order of the weights of '{located.path}' with its new flags is not known, and HDF5 files go by it",
        hint="save as '.keras'",
    )
