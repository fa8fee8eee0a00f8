"""Documents whose weights were read beside an architecture: what they are called, and whether they are whole models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe import catalog
from modelrecipe.graph import walk

if TYPE_CHECKING:
    from modelrecipe.graph import Layer

ALONE, IN_SHARDS = "keras_weights", "keras_shards"
"""Formats of documents whose weights lie in the groups that Keras itself would write for their architecture."""

_WITH_ASSETS = ("IntegerLookup", "StringLookup", "TextVectorization")


def is_whole(model: Layer) -> bool:
    """Whether architecture and weights are all that a `.keras` file of the model holds, word by word.

    Layers may keep files of their own beside the weights; of Keras' layers those with a vocabulary do.
    """
    layers = [item.layer for item in walk(model)]
    return model.module is not None and all(
        layer.module is not None
        and (layer.is_operation or layer.graph is not None or catalog.find(layer.class_name) is not None)
        and layer.class_name not in _WITH_ASSETS
        for layer in layers
    )
