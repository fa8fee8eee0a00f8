"""Masks that Keras computed while a model was built, and what becomes of them when their source goes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from modelrecipe.graph import Call, Graph, iter_refs


def without_masks_of(graph: Graph, name: str) -> Graph:
    """Drop the mask that Keras computed from a layer which goes, so that it is computed anew from what replaces it.

    `Embedding(mask_zero=True)` and `Masking` leave bare operations in the graph that read the layer's own input and
    feed nothing but `mask` arguments. Left in place they would mask by the old rule (keras, `compute_mask`).
    """
    layer = graph.layer(name)
    if not (layer.class_name == "Masking" or layer.config.get("mask_zero")):
        return graph
    own = {ref.key for call in layer.calls for ref in iter_refs(call.args)}
    masks: set[str] = set()
    for item in graph.layers:
        refs = [ref for call in item.calls for ref in call.refs()]
        if item.is_operation and refs and all(ref.key in own or ref.layer in masks for ref in refs):
            masks.add(item.name)
    while True:
        feeding = {item for item in masks if not _feeds_masks_only(graph, item, masks)}
        if not feeding:
            break
        masks -= feeding
    layers = [
        replace(item, calls=tuple(_without_mask(call, masks) for call in item.calls)) if item.calls else item
        for item in graph.layers
        if item.name not in masks
    ]
    return replace(graph, layers=tuple(layers))


def _feeds_masks_only(graph: Graph, name: str, masks: Collection[str]) -> bool:
    if graph.is_output(name):
        return False
    for layer, number in graph.consumers(name):
        call = layer.calls[number]
        as_mask = [ref for key, value in call.kwargs.items() if "mask" in key for ref in iter_refs(value)]
        others = [ref for ref in call.refs() if ref.layer == name and ref not in as_mask]
        if layer.name not in masks and others:
            return False
    return True


def _without_mask(call: Call, masks: Collection[str]) -> Call:
    kwargs = {
        key: value
        for key, value in call.kwargs.items()
        if not ("mask" in key and any(ref.layer in masks for ref in iter_refs(value)))
    }
    return replace(call, kwargs=kwargs)
