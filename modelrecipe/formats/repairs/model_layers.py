"""The walk over all layers of a document, for repairs that change some of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelrecipe.graph import Layer


def map_leaves(model: Layer, function: Callable[[Layer], Layer], prefix: str = "") -> tuple[Layer, list[str]]:
    """Put every layer that is no model through `function`, at any depth.

    Args:
        model: the outermost model, or one inside.
        function: gives back a changed copy, or the object itself.
        prefix: of the paths inside.

    Returns:
        The model with all changes, the object itself where there are none, and the paths of the layers that changed.
    """
    if model.graph is None:
        return model, []
    layers: list[Layer] = []
    changed: list[str] = []
    for layer in model.graph.layers:
        path = prefix + layer.name
        if layer.graph is not None:
            mended, below = map_leaves(layer, function, f"{path}/")
            changed += below
        else:
            mended = function(layer)
            changed += [path] if mended is not layer else []
        layers.append(mended)
    return (replace(model, graph=replace(model.graph, layers=tuple(layers))), changed) if changed else (model, [])
