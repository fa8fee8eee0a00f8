"""Puts chains of new layers in the place of layers of one graph.

New layers come without calls; they take over those of the old layer, in the form that their class takes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe import catalog, measures
from modelrecipe.edit.calls import adapted
from modelrecipe.edit.masks import without_masks_of
from modelrecipe.edit.rewire import check_new, take, taps_of
from modelrecipe.errors import EditError
from modelrecipe.frozen import frozen
from modelrecipe.references import TensorRef, iter_refs, map_refs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from modelrecipe.graph import Graph, Layer


@frozen
class Replacement:
    """What takes the place of one layer.

    Args:
        chain: new layers without calls, at least one; the first takes the old inputs, the last gives the outputs.
        calls: numbers of the calls to replace; None for all. The others stay with the old layer.
    """

    chain: Sequence[Layer]
    calls: Collection[int] | None = None


def replace_layers(graph: Graph, replacements: Mapping[str, Replacement]) -> Graph:
    """Put chains of new layers in the place of layers; each new layer is called once per replaced call.

    Raises:
        EditError: a name is taken, a call number does not exist, a tensor argument has no place in the new class, or
            a further output is used that the new class does not give.
    """
    by_name = {layer.name: layer for layer in graph.layers}
    leaving = [name for name, item in replacements.items() if not _kept_calls(by_name[name], item)]
    check_new(graph, [layer for item in replacements.values() for layer in item.chain], leaving=leaving)
    _check_outputs(graph, by_name, replacements)
    graph = without_masks_of(graph, *leaving)
    moved: dict[tuple[str, int], tuple[str, int]] = {}
    for name, item in replacements.items():
        old = by_name[name]
        numbers = _chosen_calls(old, item)
        moved.update({(name, number): (item.chain[-1].name, rank) for rank, number in enumerate(numbers)})
        moved.update({(name, number): (name, rank) for rank, number in enumerate(_kept_calls(old, item))})

    def rewired(ref: TensorRef) -> TensorRef:
        place = moved.get((ref.layer, ref.call))
        return ref if place is None else replace(ref, layer=place[0], call=place[1])

    layers: list[Layer] = []
    for layer in graph.layers:
        item = replacements.get(layer.name)
        layers += [layer.map(rewired)] if item is None else _replaced(layer, item, rewired)
    return replace(graph, layers=tuple(layers), outputs=map_refs(graph.outputs, rewired))


def _replaced(old: Layer, item: Replacement, rewired: Callable[[TensorRef], TensorRef]) -> list[Layer]:
    """The old layer with the calls that stay, if any, and the wired chain."""
    numbers, kept = _chosen_calls(old, item), _kept_calls(old, item)
    first = tuple(adapted(old.calls[number], old, item.chain[0]).map(rewired).map(_unmeasured) for number in numbers)
    made = [replace(item.chain[0], calls=first)]
    for layer in item.chain[1:]:
        before = made[-1].name
        made.append(replace(layer, calls=tuple(take(TensorRef(layer=before, call=n)) for n in range(len(numbers)))))
    staying = [replace(old, calls=tuple(old.calls[number].map(rewired) for number in kept))] if kept else []
    return [*staying, *made]


def _unmeasured(ref: TensorRef) -> TensorRef:
    """A new layer's input: what the file recorded behind it no longer tells what the new layer gives."""
    return replace(ref, shape=None)


def _chosen_calls(old: Layer, item: Replacement) -> list[int]:
    _check_calls(old, sorted(item.calls or ()))
    return sorted(set(item.calls)) if item.calls is not None else list(range(len(old.calls)))


def _kept_calls(old: Layer, item: Replacement) -> list[int]:
    chosen = _chosen_calls(old, item)
    return [number for number in range(len(old.calls)) if number not in chosen]


def _check_outputs(graph: Graph, by_name: Mapping[str, Layer], replacements: Mapping[str, Replacement]) -> None:
    """Refuse a class of one output where further outputs of the old layer are used."""
    taps = taps_of(graph)
    for name, item in replacements.items():
        numbers = set(_chosen_calls(by_name[name], item))
        further = [index for call, index in taps.get(name, ()) if index > 0 and call in numbers]
        is_single = all(len(list(iter_refs(by_name[name].calls[number].args))) <= 1 for number in numbers)
        if further and is_single and _gives_one(item.chain[-1]):
            raise EditError(
                f"output {further[0]} of '{name}' is used, but the new {item.chain[-1].kind_name} gives one only",
                hint="replace or remove what takes that output first",
            )


def _gives_one(layer: Layer) -> bool:
    """Whether the class is known to give a single tensor for a single one, whatever it is called with."""
    entry = catalog.find(layer.kind_name)
    if entry is None or entry.is_operation or catalog.variables(layer.kind_name, layer.config) is None:
        return False
    can_give_more = {"return_state", "layer", "cell"} & {argument.name for argument in entry.arguments}
    return not can_give_more and "return_attention_scores" not in entry.call_arguments


def _check_calls(layer: Layer, numbers: Sequence[int]) -> None:
    for number in numbers:
        if not 0 <= number < len(layer.calls):
            raise EditError(
                f"'{layer.name}' has no call {number}; it is called {measures.counted(len(layer.calls), 'time')}",
                hint="count calls from 0",
            )
    if layer.is_input:
        raise EditError(f"'{layer.name}' is an input of the model and cannot be replaced")
