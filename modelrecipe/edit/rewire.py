"""Edits of one graph's wiring: replace, insert, remove, rename. Each gives back a new graph.

New layers come without calls; this room makes the calls. What a new layer is called with, and who takes its output, is
decided here and nowhere else. Refusals name the layers and say what to write instead.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from modelrecipe import catalog
from modelrecipe.edit.calls import adapted, single_input, with_input
from modelrecipe.edit.masks import without_masks_of
from modelrecipe.errors import EditError
from modelrecipe.graph import Call, Graph, Layer, TensorRef, iter_refs, map_refs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

Tap = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """What takes the place of one layer.

    Args:
        chain: new layers without calls, at least one; the first takes the old inputs, the last gives the outputs.
        calls: numbers of the calls to replace; None for all. The others stay with the old layer.
    """

    chain: Sequence[Layer]
    calls: Collection[int] | None = None


@dataclass(frozen=True, kw_only=True)
class Insertion:
    """What is put behind or in front of one layer.

    Args:
        make: gives the chain for the place with the given number.
        calls: `each`: every place gets a chain of its own; `once`: one chain is shared by all of them.
    """

    make: Callable[[int], Sequence[Layer]]
    calls: Literal["each", "once"] = "once"


def replace_layers(graph: Graph, replacements: Mapping[str, Replacement]) -> Graph:
    """Put chains of new layers in the place of layers; each new layer is called once per replaced call.

    Raises:
        EditError: a name is taken, a call number does not exist, a tensor argument has no place in the new class, or
            a further output is used that the new class does not give.
    """
    by_name = {layer.name: layer for layer in graph.layers}
    leaving = [name for name, item in replacements.items() if not _kept_calls(by_name[name], item)]
    _check_new(graph, [layer for item in replacements.values() for layer in item.chain], leaving=leaving)
    _check_outputs(graph, by_name, replacements)
    graph = without_masks_of(graph, *leaving)
    moved: dict[tuple[str, int], tuple[str, int]] = {}
    for name, item in replacements.items():
        old = by_name[name]
        numbers = _chosen_calls(old, item)
        moved.update({(name, number): (item.chain[-1].name, rank) for rank, number in enumerate(numbers)})
        moved.update({(name, number): (name, rank) for rank, number in enumerate(_kept_calls(old, item))})

    def rewired(ref: TensorRef) -> TensorRef:
        layer, call = moved.get((ref.layer, ref.call), (ref.layer, ref.call))
        return replace(ref, layer=layer, call=call)

    layers: list[Layer] = []
    for layer in graph.layers:
        item = replacements.get(layer.name)
        layers += [_rewire(layer, rewired)] if item is None else _replaced(layer, item, rewired)
    return replace(graph, layers=tuple(layers), outputs=map_refs(graph.outputs, rewired))


def _replaced(old: Layer, item: Replacement, rewired: Callable[[TensorRef], TensorRef]) -> list[Layer]:
    """The old layer with the calls that stay, if any, and the wired chain."""
    numbers, kept = _chosen_calls(old, item), _kept_calls(old, item)
    first = tuple(adapted(old.calls[number], old, item.chain[0]).map(rewired).map(_unmeasured) for number in numbers)
    made = [replace(item.chain[0], calls=first)]
    for layer in item.chain[1:]:
        before = made[-1].name
        made.append(replace(layer, calls=tuple(_take(TensorRef(layer=before, call=n)) for n in range(len(numbers)))))
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


def insert_after(graph: Graph, insertions: Mapping[str, Insertion]) -> Graph:
    """Put new layers behind every tensor that the named layers give.

    Raises:
        EditError: a name is taken, or nothing takes what a layer gives.
    """
    taps = taps_of(graph)
    ends: dict[tuple[str, int, int], TensorRef] = {}
    made: dict[str, list[Layer]] = {}
    for name, item in insertions.items():
        made[name] = []
        if name not in taps:
            raise EditError(
                f"nothing takes the output of '{name}', so nothing can stand behind it", hint="leave it out"
            )
        for chain, served in _chains(item, taps[name]):
            sources = [TensorRef(layer=name, call=call, index=index) for call, index in served]
            made[name] += _wired(chain, sources)
            for number, source in enumerate(sources):
                ends[source.key] = TensorRef(layer=chain[-1].name, call=number)
    _check_new(graph, [layer for layers in made.values() for layer in layers], leaving=())

    def rewired(ref: TensorRef) -> TensorRef:
        end = ends.get(ref.key)
        return ref if end is None else replace(ref, layer=end.layer, call=end.call, index=0)

    layers = [part for layer in graph.layers for part in (_rewire(layer, rewired), *made.get(layer.name, ()))]
    return replace(graph, layers=tuple(layers), outputs=map_refs(graph.outputs, rewired))


def insert_before(graph: Graph, insertions: Mapping[str, Insertion]) -> Graph:
    """Put new layers in front of layers with one input.

    Raises:
        EditError: a layer has no input, or several; a name is taken.
    """
    made: dict[str, list[Layer]] = {}
    changed: dict[str, Layer] = {}
    graph = without_masks_of(graph, *insertions)
    by_name = {layer.name: layer for layer in graph.layers}
    for name, item in insertions.items():
        old = by_name.get(name)
        if old is None:  # an operation of a mask, which went with it
            continue
        if old.is_input:
            raise EditError(f"nothing can stand before the input '{name}'", hint=f"write after: {name}")
        made[name] = []
        calls = list(old.calls)
        for chain, served in _chains(item, [(number, 0) for number in range(len(old.calls))]):
            made[name] += _wired(chain, [single_input(old, number) for number, _ in served])
            for rank, (number, _) in enumerate(served):
                end = TensorRef(layer=chain[-1].name, call=rank)
                calls[number] = with_input(calls[number], single_input(old, number), end)
        changed[name] = replace(old, calls=tuple(calls))
    _check_new(graph, [layer for layers in made.values() for layer in layers], leaving=())
    layers = [part for layer in graph.layers for part in (*made.get(layer.name, ()), changed.get(layer.name, layer))]
    return replace(graph, layers=tuple(layers))


def remove_layers(graph: Graph, names: Collection[str]) -> Graph:
    """Take layers out; what they were given goes on in the place of what they gave.

    Raises:
        EditError: a layer is an input, takes several tensors, or several of its outputs are used.
    """
    bypass: dict[tuple[str, int, int], TensorRef] = {}
    taps = taps_of(graph)
    names = dict.fromkeys(names)
    by_name = {layer.name: layer for layer in graph.layers}
    for name in names:
        layer = by_name[name]
        if layer.is_input:
            raise EditError(f"'{name}' is an input of the model and cannot be removed", hint="remove what follows it")
        if len({index for _, index in taps.get(name, ())}) > 1:
            raise EditError(f"several outputs of '{name}' are used, so no single tensor can take their place")
        bypass.update({(name, call, index): single_input(layer, call) for call, index in taps.get(name, ())})

    def rewired(ref: TensorRef) -> TensorRef:
        expected = ref.expected or ref.shape
        while ref.key in bypass:
            ref = replace(bypass[ref.key], expected=expected)
        return ref

    graph = without_masks_of(graph, *names)
    layers = tuple(_rewire(layer, rewired) for layer in graph.layers if layer.name not in names)
    return replace(graph, layers=layers, outputs=map_refs(graph.outputs, rewired))


def rename_layers(graph: Graph, names: Mapping[str, str]) -> Graph:
    """Give layers other names, in their own configuration and wherever a call refers to them.

    Raises:
        EditError: two layers would have one name, or Keras would refuse a name.
    """
    after = [names.get(layer.name, layer.name) for layer in graph.layers]
    counted = Counter(after)
    for name in names.values():
        if not name or "/" in name:
            raise EditError(f"'{name}' cannot be a layer's name", hint="a name is not empty and holds no '/'")
        if counted[name] > 1:
            owners = [
                old for old, new in zip([layer.name for layer in graph.layers], after, strict=True) if new == name
            ]
            listed = " and ".join(f"'{owner}'" for owner in owners[:2])
            raise EditError(f"{listed} would both be named '{name}'", hint="let `to` hold {name} or {index}")
    layers = tuple(replace(layer, name=new) for layer, new in zip(graph.layers, after, strict=True))

    def rewired(ref: TensorRef) -> TensorRef:
        return replace(ref, layer=names.get(ref.layer, ref.layer))

    return replace(
        graph,
        layers=tuple(_rewire(layer, rewired) for layer in layers),
        inputs=map_refs(graph.inputs, rewired),
        outputs=map_refs(graph.outputs, rewired),
    )


def unreachable(graph: Graph) -> list[str]:
    """Layers, other than inputs, whose output reaches no output of the graph."""
    needed = {ref.layer for ref in iter_refs(graph.outputs)}
    waiting = list(needed)
    by_name = {layer.name: layer for layer in graph.layers}
    while waiting:
        for call in by_name[waiting.pop()].calls:
            for ref in call.refs():
                if ref.layer not in needed:
                    needed.add(ref.layer)
                    waiting.append(ref.layer)
    return [layer.name for layer in graph.layers if layer.name not in needed and not layer.is_input]


def taps_of(graph: Graph) -> dict[str, list[Tap]]:
    """Which outputs of each layer are used, as (call number, output number), sorted."""
    refs = [ref for layer in graph.layers for call in layer.calls for ref in call.refs()]
    found: dict[str, set[Tap]] = {}
    for ref in (*refs, *iter_refs(graph.outputs)):
        found.setdefault(ref.layer, set()).add((ref.call, ref.index))
    return {name: sorted(taps) for name, taps in found.items()}


def _chains(item: Insertion, taps: Sequence[Tap]) -> list[tuple[Sequence[Layer], Sequence[Tap]]]:
    """Each chain to insert, with the places that it serves."""
    if item.calls == "once" or len(taps) <= 1:
        return [(item.make(0), list(taps))]
    return [(item.make(number), [tap]) for number, tap in enumerate(taps)]


def _wired(chain: Sequence[Layer], sources: Sequence[TensorRef]) -> list[Layer]:
    """The chain's layers with one call for every source."""
    made: list[Layer] = []
    for layer in chain:
        before = made[-1].name if made else None
        refs = sources if before is None else [TensorRef(layer=before, call=n) for n in range(len(sources))]
        made.append(replace(layer, calls=tuple(_take(ref) for ref in refs)))
    return made


def _take(ref: TensorRef) -> Call:
    return Call(args=(ref,))


def _rewire(layer: Layer, function: Callable[[TensorRef], TensorRef]) -> Layer:
    return replace(layer, calls=tuple(call.map(function) for call in layer.calls)) if layer.calls else layer


def _check_new(graph: Graph, chain: Sequence[Layer], leaving: Collection[str]) -> None:
    """Refuse new layers that the graph cannot hold."""
    taken = {layer.name for layer in graph.layers} - set(leaving)
    for layer in chain:
        if layer.is_operation and graph.kind == "sequential":
            raise EditError(
                f"'{layer.name}' ({layer.kind_name}) cannot stand in a Sequential model, which holds layers only",
                hint="write a layer class instead of a bare operation",
            )
        if layer.name in taken:
            raise EditError(
                f"there is a layer '{layer.name}' already", hint="give the new layer another name; it may hold {name}"
            )
        taken.add(layer.name)


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
                f"'{layer.name}' has no call {number}; it is called {len(layer.calls)} times", hint="count calls from 0"
            )
    if layer.is_input:
        raise EditError(f"'{layer.name}' is an input of the model and cannot be replaced")
