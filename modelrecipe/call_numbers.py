"""How Keras numbers the calls of a layer, made regular.

A call refers to an earlier call by its place among the layer's calls; the list of outputs does the same. Keras 3 counts
the calls of a functional model from 1 in the list of outputs alone (keras, `Functional.get_config`), Keras 2 counted
those of every nested model from 1 everywhere, and the numbers of a nested model that had been called elsewhere may
begin higher. A numbering is right when every call can be made before its result is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from modelrecipe.frozen import frozen
from modelrecipe.graph import Layer
from modelrecipe.references import iter_refs


@frozen(kw_only=False)
class CallNumbers:
    """For one layer, the number of each call, from 0, under the number that the file uses.

    Args:
        inner: as used by calls of other layers.
        ends: as used by the graph's outputs.
        output_base: what the outputs count from.
    """

    inner: Mapping[int, int]
    ends: Mapping[int, int]
    output_base: int


@frozen(kw_only=False)
class _Used:
    inner: set[int]
    ends: set[int]


# For a layer, what calls and what outputs count from: Keras 3, Keras 2, and without exceptions.
_Style = Callable[[Layer], tuple[int, int]]


def _keras_2(layer: Layer) -> tuple[int, int]:
    return (1, 1) if layer.graph is not None else (0, 0)


_STYLES: tuple[_Style, ...] = (
    lambda layer: (0, int(_is_functional(layer))),
    _keras_2,
    lambda layer: (0, 1),
    lambda layer: (0, 0),
)


def number_calls(layers: Sequence[Layer], outputs: Any) -> Mapping[str, CallNumbers]:
    """The numbers of every layer's calls, by layer name.

    Args:
        layers: all layers of a graph, with references as the file has them.
        outputs: the graph's outputs, likewise.

    Raises:
        ValueError: the references fit no numbering.
    """
    used = {layer.name: _Used(set(), set()) for layer in layers}
    for layer in layers:
        for call in layer.calls:
            for ref in call.refs():
                used[ref.layer].inner.add(ref.call)
    for ref in iter_refs(outputs):
        used[ref.layer].ends.add(ref.call)
    is_old = any(call.form == "legacy" for layer in layers for call in layer.calls)
    for style in (_keras_2, *_STYLES) if is_old else _STYLES:
        numbers = {layer.name: _numbers(layer, used[layer.name], style(layer)) for layer in layers}
        sound = {name: found for name, found in numbers.items() if found is not None}
        if len(sound) == len(numbers) and _can_be_called(layers, sound):
            return sound
    raise ValueError("the numbers of the calls fit no order of calls")


def _is_functional(layer: Layer) -> bool:
    return layer.graph is not None and layer.graph.kind == "functional"


def _numbers(layer: Layer, used: _Used, bases: tuple[int, int]) -> CallNumbers | None:
    """The numbers under one style; None where they do not fit the layer's calls."""
    inner_base, output_base = bases
    if not _is_functional(layer) and min(used.ends, default=0) >= len(layer.calls) > 0:
        output_base = 1  # a subclass of Functional that lists no layers
    count = max(1, len(layer.calls))
    order = sorted({n - inner_base for n in used.inner} | {n - output_base for n in used.ends})
    if all(0 <= number < count for number in order):
        rank = {number: number for number in order}
    elif len(order) == count:
        rank = {number: place for place, number in enumerate(order)}
    else:
        return None
    return CallNumbers(
        {n: rank[n - inner_base] for n in used.inner}, {n: rank[n - output_base] for n in used.ends}, output_base
    )


def _can_be_called(layers: Sequence[Layer], numbers: Mapping[str, CallNumbers]) -> bool:
    """Whether the calls can be made one after the other, each layer's in order."""
    done = {layer.name: 0 for layer in layers}
    waiting = [layer for layer in layers if layer.calls]
    entries = {layer.name for layer in layers if not layer.calls}
    while waiting:
        before = sum(done.values())
        for layer in waiting:
            while done[layer.name] < len(layer.calls) and all(
                ref.layer in entries or numbers[ref.layer].inner[ref.call] < done[ref.layer]
                for ref in layer.calls[done[layer.name]].refs()
            ):
                done[layer.name] += 1
        if sum(done.values()) == before:
            return False
        waiting = [layer for layer in waiting if done[layer.name] < len(layer.calls)]
    return True
