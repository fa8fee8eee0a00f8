"""The layers that a layer's own configuration holds: what wrappers wrap, and the cells of recurrent layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelrecipe.catalog.variables import class_of
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from modelrecipe.graph import Layer

Place = tuple[str | int, ...]

_HOLDING = ("layer", "backward_layer", "cell", "cells", "layers")
_SHARED = "shared_object_id"


@frozen
class Holder:
    """A layer of the graph, or one that its configuration holds at any depth.

    Args:
        place: keys from the outer configuration to the serialised inner layer; empty for the layer itself.
        class_name: as the catalog names it; None for a class that it cannot know.
        config: its own constructor arguments.
        shared: what tells that it is one object with others, which stand elsewhere.
    """

    place: Place
    class_name: str | None
    config: Mapping[str, Any]
    shared: object = None

    def named(self, argument: str) -> str:
        """One of its arguments as a record names it: `rate`, `layer.rate`, `cell.cells.0.dropout`."""
        return ".".join(map(str, (*self.place, argument)))


def holders(layer: Layer) -> list[Holder]:
    """The layer itself, then those inside its configuration, the outer ones first; nothing of a nested model's."""
    own = Holder(place=(), class_name=layer.kind_name, config=layer.config, shared=layer.extra.get(_SHARED))
    return [own, *_inside(layer.config, ())]


def _inside(config: Mapping[str, Any], place: Place) -> Iterator[Holder]:
    for key in _HOLDING:
        value = config.get(key)
        items = [((key,), value)] if not isinstance(value, list | tuple) else []
        items += [((key, number), item) for number, item in enumerate(value)] if isinstance(value, list | tuple) else []
        for below, item in items:
            if isinstance(item, Mapping) and isinstance(inner := item.get("config"), Mapping):
                at = (*place, *below)
                yield Holder(place=at, class_name=class_of(item), config=inner, shared=item.get(_SHARED))
                yield from _inside(inner, at)


def with_arguments(layer: Layer, place: Place, given: Mapping[str, Any]) -> Layer:
    """The layer with other arguments, its own or those of the layer at `place` inside its configuration."""
    return replace(layer, config=_given(layer.config, place, given))


def _given(config: Any, place: Place, given: Mapping[str, Any]) -> Any:
    if not place:
        return {**config, **given}
    key, *rest = place
    if isinstance(config, list | tuple):
        return [_entered(item, tuple(rest), given) if number == key else item for number, item in enumerate(config)]
    value = config[key]
    if isinstance(value, list | tuple):
        return {**config, key: _given(value, tuple(rest), given)}
    return {**config, key: _entered(value, tuple(rest), given)}


def _entered(item: Mapping[str, Any], rest: Place, given: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**item, "config": _given(item["config"], rest, given)}
