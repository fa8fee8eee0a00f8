"""Shapes of every tensor of a graph, as far as they can be known without Keras.

What the file recorded is believed for layers that no edit reached; behind an edit the rules of `shapes` go on, and
where they end, only Keras can tell (None).
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe import shapes
from modelrecipe.graph import Call, Graph, Layer, Located, locate, walk
from modelrecipe.identity import cached_by_identity
from modelrecipe.references import Shape, TensorRef, iter_refs, map_refs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from modelrecipe.checkpoint import Checkpoint

TensorKey = tuple[str, int, int]


def graph_shapes(graph: Graph, given: Sequence[Shape | None] | None = None) -> dict[TensorKey, Shape | None]:
    """The shape of every tensor of one graph under (layer, call, index).

    Args:
        graph: the graph.
        given: shapes of its inputs, in their order, where it is called with others than its own.
    """
    recorded = _recorded(graph)
    found: dict[TensorKey, Shape | None] = {}
    for number, ref in enumerate(iter_refs(graph.inputs)):
        found[ref.key] = given[number] if given is not None and number < len(given) else _input_shape(graph, ref)
    for layer in graph.layers:
        if layer.is_input and (layer.name, 0, 0) not in found:
            found[(layer.name, 0, 0)] = _input_shape(graph, TensorRef(layer=layer.name))
    for layer, number in _in_order_of_need(graph, found):
        _call_shapes(layer, number, recorded, found)
    return found


def _in_order_of_need(graph: Graph, known: Collection[TensorKey]) -> Iterator[tuple[Layer, int]]:
    """Every call, by its layer and number, behind those whose tensors it takes; none of a circle.

    Args:
        graph: the graph; its layers may stand in any order.
        known: tensors that no call has to make.
    """
    calls = {(layer.name, number): (layer, number) for layer in graph.layers for number in range(len(layer.calls))}
    missing: dict[tuple[str, int], int] = {}
    takers: dict[tuple[str, int], list[tuple[str, int]]] = {}
    for taker, (layer, number) in calls.items():
        needed = {ref.key[:2] for ref in layer.calls[number].refs() if ref.key not in known} & calls.keys()
        missing[taker] = len(needed)
        for maker in needed:
            takers.setdefault(maker, []).append(taker)
    ready = deque(call for call, count in missing.items() if not count)
    while ready:
        made = ready.popleft()
        yield calls[made]
        for taker in takers.get(made, ()):
            missing[taker] -= 1
            if not missing[taker]:
                ready.append(taker)


def annotate(checkpoint: Checkpoint, known: Mapping[str, Mapping[TensorKey, Shape | None]] | None = None) -> Checkpoint:
    """Write shapes into every reference of every graph.

    Args:
        checkpoint: a model whose shapes are those of its source.
        known: shapes by path of the graph, as Keras found them; without them, what the file and the rules know.
    """

    def visit(layer: Layer, path: str) -> Layer:
        if layer.graph is None:
            return layer
        found = known.get(path, {}) if known is not None else graph_shapes(layer.graph)

        def noted(ref: TensorRef) -> TensorRef:
            shape = found.get(ref.key)
            return replace(ref, shape=shape) if shape is not None and shape != ref.shape else ref

        prefix = f"{path}/" if path else ""
        layers = tuple(visit(item, prefix + item.name).map(noted) for item in layer.graph.layers)
        graph = replace(layer.graph, layers=layers, outputs=map_refs(layer.graph.outputs, noted))
        return replace(layer, graph=graph)

    return replace(checkpoint, model=visit(checkpoint.model, ""))


def is_complete(checkpoint: Checkpoint) -> bool:
    """Whether the shape of every output of the model is known."""
    graph = checkpoint.model.graph
    return graph is not None and all(shape is not None for shape in end_shapes(graph))


def _recorded(graph: Graph) -> Mapping[tuple[str, int], Mapping[int, Shape]]:
    """What the file says: for each call (layer, number) the shapes of its outputs by their index."""
    refs = [ref for layer in graph.layers for call in layer.calls for ref in call.refs()]
    refs += list(iter_refs(graph.outputs))
    found: dict[tuple[str, int], dict[int, Shape]] = {}
    for ref in refs:
        if ref.shape is not None:
            found.setdefault((ref.layer, ref.call), {})[ref.index] = ref.shape
    return found


def _input_shape(graph: Graph, ref: TensorRef) -> Shape | None:
    config = graph.layer(ref.layer).config
    shape = config.get("batch_shape") or config.get("batch_input_shape")
    if isinstance(shape, list | tuple):
        return tuple(shape)
    return None


def _call_shapes(
    layer: Layer,
    number: int,
    recorded: Mapping[tuple[str, int], Mapping[int, Shape]],
    found: dict[TensorKey, Shape | None],
) -> None:
    call = layer.calls[number]
    inputs = [found.get(ref.key) for ref in call.refs()]
    made_for = [(ref.key, ref.expected or ref.shape) for ref in call.refs()]
    is_as_recorded = all(shape is not None and found.get(key) == shape for key, shape in made_for)
    outputs: list[Shape | None]
    given = recorded.get((layer.name, number), {})
    inner = graph_shapes(layer.graph, inputs) if layer.graph is not None else {}
    if is_as_recorded and 0 in given and not _ends_otherwise(layer, inner, given):
        found.update({(layer.name, number, index): shape for index, shape in given.items()})
        return
    if layer.graph is not None:
        outputs = [inner.get(ref.key) for ref in iter_refs(layer.graph.outputs)]
    else:
        outputs = [rule_shape(layer, call, inputs)]
    for index, shape in enumerate(outputs):
        found[(layer.name, number, index)] = shape


def _ends_otherwise(layer: Layer, inner: Mapping[TensorKey, Shape | None], given: Mapping[int, Shape]) -> bool:
    """Whether an edit inside a nested model changed, or may have changed, what the file recorded of its outputs."""
    if layer.graph is None:
        return False
    has_new = any(item.layer.is_new for item in walk(layer))
    pairs = [(inner.get(ref.key), given.get(index)) for index, ref in enumerate(iter_refs(layer.graph.outputs))]
    return any(now != was if now is not None else has_new for now, was in pairs if was is not None)


def rule_shape(layer: Layer, call: Call, inputs: Sequence[Shape | None]) -> Shape | None:
    """The output shape of one call by the rules of `shapes`; None where only Keras can tell."""
    if layer.is_operation and len(list(iter_refs(call.args))) != len(_flat(call.args)):
        return None
    try:
        return shapes.output_shape(layer.class_name, layer.config, inputs, is_operation=layer.is_operation)
    except (IndexError, TypeError, ZeroDivisionError, KeyError, ValueError):
        # The rules describe layers on inputs that fit them; on others the build says what is wrong.
        return None


def _flat(args: Sequence[object]) -> list[object]:
    found: list[object] = []
    for item in args:
        found += _flat(item) if isinstance(item, list | tuple) else [item]
    return found


def input_shapes(model: Layer, path: str, call: int = 0) -> list[Shape | None]:
    """The shapes that a layer is called with."""
    return shapes_into(locate(model, path), call)


def shapes_into(located: Located, call: int = 0) -> list[Shape | None]:
    """Like `input_shapes`, for a layer that was found already."""
    graph = located.parents[-1].graph
    if graph is None or call >= len(located.layer.calls):
        return []
    found = own_shapes(graph)
    return [found.get(ref.key) for ref in located.layer.calls[call].refs()]


def output_shapes(model: Layer, path: str) -> list[Shape | None]:
    """The shapes that the first call of a layer gives, one for each output that is known."""
    located = locate(model, path)
    graph = located.parents[-1].graph
    found = {} if graph is None else own_shapes(graph)
    given = {key: shape for key, shape in found.items() if key[:2] == (located.layer.name, 0)}
    return [given[key] for key in sorted(given)]


def end_shapes(graph: Graph, *, of_inputs: bool = False) -> list[Shape | None]:
    """The shapes of a graph's outputs (or inputs), in their order."""
    found = own_shapes(graph)
    return [found.get(ref.key) for ref in iter_refs(graph.inputs if of_inputs else graph.outputs)]


@cached_by_identity(maxsize=16)
def own_shapes(graph: Graph) -> Mapping[TensorKey, Shape | None]:
    """The shape of every tensor of a graph that is called with its own inputs; see `graph_shapes`."""
    return graph_shapes(graph)
