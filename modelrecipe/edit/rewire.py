"""Edits of one graph's wiring: insert, remove, rename. Each gives back a new graph; `replacement` has its own room.

New layers come without calls; the two rooms make the calls. What a new layer is called with, and who takes its output,
is decided there and nowhere else. Refusals name the layers and say what to write instead.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from modelrecipe.edit.calls import single_input, with_input
from modelrecipe.edit.masks import without_masks_of
from modelrecipe.errors import EditError
from modelrecipe.frozen import frozen
from modelrecipe.graph import Call, Graph, Layer
from modelrecipe.references import TensorRef, iter_refs, map_refs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

Tap = tuple[int, int]


@frozen
class Insertion:
    """What is put behind or in front of one layer.

    Args:
        make: gives the chain for the place with the given number.
        calls: `each`: every place gets a chain of its own; `once`: one chain is shared by all of them.
    """

    make: Callable[[int], Sequence[Layer]]
    calls: Literal["each", "once"] = "once"


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
    check_new(graph, [layer for layers in made.values() for layer in layers], leaving=())

    def rewired(ref: TensorRef) -> TensorRef:
        end = ends.get(ref.key)
        return ref if end is None else replace(ref, layer=end.layer, call=end.call, index=0)

    layers = [part for layer in graph.layers for part in (layer.map(rewired), *made.get(layer.name, ()))]
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
    check_new(graph, [layer for layers in made.values() for layer in layers], leaving=())
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
    layers = tuple(layer.map(rewired) for layer in graph.layers if layer.name not in names)
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
            raise EditError(f"{listed} would both be named '{name}'")
    layers = tuple(replace(layer, name=new) for layer, new in zip(graph.layers, after, strict=True))

    def rewired(ref: TensorRef) -> TensorRef:
        return replace(ref, layer=names.get(ref.layer, ref.layer))

    return replace(
        graph,
        layers=tuple(layer.map(rewired) for layer in layers),
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
        made.append(replace(layer, calls=tuple(take(ref) for ref in refs)))
    return made


def take(ref: TensorRef) -> Call:
    """The call of a new layer on one tensor."""
    return Call(args=(ref,))


def check_new(graph: Graph, chain: Sequence[Layer], leaving: Collection[str]) -> None:
    """Refuse new layers that the graph cannot hold once the layers named in `leaving` have gone.

    Raises:
        EditError: a name is taken, or a Sequential model would hold a bare operation.
    """
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
