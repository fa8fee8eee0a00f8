"""Another class for a layer of a file that Keras cannot build as it stands: Python code, or a class of somebody else.

The layer stays the same one, with its identity, its calls and, unless they are to begin anew, its weights. That is what
tells it from a replacement.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe.edit.replacement import Replacement, replace_layers
from modelrecipe.edit.surgery import check_all_copies, edit_graphs, new_key, refuse_opaque, taken_keys
from modelrecipe.errors import EditError, SelectorError, did_you_mean
from modelrecipe.graph import walk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.graph import Layer, Located
    from modelrecipe.layer_spec import LayerSpec


def substitute(checkpoint: Checkpoint, specs: Mapping[str, LayerSpec]) -> Checkpoint:
    """The same model with other classes for some of its layers.

    Args:
        checkpoint: a model as it was read.
        specs: the new class and arguments under the path of each layer.

    Raises:
        SelectorError: a path leads to no layer.
        EditError: the new class does not take the place of the old one.
    """
    if not specs:
        return checkpoint
    refuse_opaque(checkpoint, "replace")
    by_path = {located.path: located for located in walk(checkpoint.model)}
    taken = taken_keys(checkpoint)
    chosen: dict[str, Replacement] = {}
    for path, spec in specs.items():
        if path not in by_path:
            raise SelectorError(f"there is no layer '{path}'", hint=did_you_mean(path, by_path), at=("replace", path))
        try:
            chosen[path] = Replacement(chain=[_made(by_path[path], spec, taken)])
        except EditError as error:
            error.at = ("replace", path, *error.at)
            raise
    check_all_copies(checkpoint, [by_path[path] for path in chosen], "replace")
    edited = edit_graphs(checkpoint, chosen, replace_layers)
    left = {by_path[path].layer.key for path, spec in specs.items() if spec.weights == "fresh"}
    said = tuple(f"'{path}': {by_path[path].layer.kind_name} → {spec.class_}" for path, spec in specs.items())
    origin = edited.origin and replace(edited.origin, remarks=(*edited.origin.remarks, *said))
    return replace(edited, weights=edited.weights.without(left), origin=origin)


def _made(located: Located, spec: LayerSpec, taken: set[str]) -> Layer:
    old = located.layer
    key = new_key(taken, old.key) if spec.weights == "fresh" else old.key
    return spec.make(name=old.name, key=key, old=old)
