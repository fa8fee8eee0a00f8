"""Masks that Keras computed while a model was built, and what becomes of them when their source goes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe.references import TensorRef, iter_refs

if TYPE_CHECKING:
    from collections.abc import Collection

    from modelrecipe.graph import Call, Graph, Layer


def without_masks_of(graph: Graph, *names: str) -> Graph:
    """Drop the masks that Keras computed from layers which go or get another input, so that they are computed anew.

    `Embedding(mask_zero=True)` and `Masking` leave bare operations in the graph that read the layer's own input and
    feed nothing but `mask` arguments. Left in place they would mask by the old rule (keras, `compute_mask`).
    """
    sources = set(names)
    masks = {mask for layer in graph.layers if layer.name in sources for mask in computed_masks(graph, layer)}
    if not masks:
        return graph
    layers = [
        replace(item, calls=tuple(_without_mask(call, masks) for call in item.calls)) if item.calls else item
        for item in graph.layers
        if item.name not in masks
    ]
    return replace(graph, layers=tuple(layers))


def computed_masks(graph: Graph, layer: Layer) -> set[str]:
    """The bare operations by which Keras computed a layer's mask; none where it gives none of its own."""
    if not (layer.class_name == "Masking" or layer.config.get("mask_zero")):
        return set()
    own = {ref.key for call in layer.calls for ref in iter_refs(call.args)}
    masks: set[str] = set()
    for item in graph.layers:
        refs = [ref for call in item.calls for ref in call.refs()]
        if item.is_operation and refs and all(ref.key in own or ref.layer in masks for ref in refs):
            masks.add(item.name)
    while True:
        feeding = {item for item in masks if not _feeds_masks_only(graph, item, masks)}
        if not feeding:
            return masks
        masks -= feeding


class LostMasks:
    """Follows, call by call, where a new layer destroys a mask that Keras had computed.

    A file writes such a mask into every call behind. A new layer that supports no masking ends it (keras,
    `Layer.supports_masking`): what stands behind is then called without, as if the model had been written so.

    Args:
        graph: the graph whose calls are made.
    """

    def __init__(self, graph: Graph) -> None:
        self._computed = {name for layer in graph.layers for name in computed_masks(graph, layer)}
        self._unmasked: set[tuple[str, int, int]] = set()

    def without(self, call: Call) -> Call:
        """The call without masks that its tensors no longer carry."""
        if not self._unmasked:
            return call
        kept = {
            key: value
            for key, value in call.kwargs.items()
            if not (self._is_computed(key, value) and any(ref.key in self._unmasked for ref in _masked_by(call, key)))
        }
        return replace(call, kwargs=kept)

    def _is_computed(self, key: str, value: object) -> bool:
        return "mask" in key and any(ref.layer in self._computed for ref in iter_refs(value))

    def made(self, layer: Layer, number: int, call: Call, *, outputs: int, supports_masking: bool) -> None:
        """Note what a call gave."""
        ends_here = layer.is_new and not supports_masking
        if ends_here or any(ref.key in self._unmasked for ref in iter_refs(call.args)):
            self._unmasked |= {(layer.name, number, index) for index in range(outputs)}


def _masked_by(call: Call, key: str) -> list[TensorRef]:
    """The tensors that a mask argument is about: `mask` the first one, `value_mask` the `value`."""
    name = key.removesuffix("mask").rstrip("_")
    if name in call.kwargs:
        return list(iter_refs(call.kwargs[name]))
    position = {"value": 1, "key": 2}.get(name, 0)
    return list(iter_refs(call.args[position])) if position < len(call.args) else []


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
