"""Does every untouched layer still get what it was made for? Tested on shapes, before and after Keras has its say.

Keras raises for a kernel of another size, but it broadcasts `(None, 1)` against `(None, 8)` without a word. Both are
found here, from the shapes that the file recorded (before) and those that flow now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from modelrecipe import catalog, shapes
from modelrecipe.errors import ShapeError
from modelrecipe.flow import Flow
from modelrecipe.graph import Call, Graph, Layer, walk
from modelrecipe.identity import cached_by_identity
from modelrecipe.propagate import TensorKey, own_shapes
from modelrecipe.references import Shape

if TYPE_CHECKING:
    from modelrecipe.checkpoint import Checkpoint

Now = Mapping[str, Mapping[TensorKey, Shape | None]]


@cached_by_identity(maxsize=2)
def refuse_misfits(checkpoint: Checkpoint) -> None:
    """Refuse a graph in which an edit has broken an untouched layer; one that has passed is not asked again.

    Raises:
        ShapeError: names both layers and shapes.
    """
    for misfit in misfits(checkpoint) if checkpoint.is_restructured else ():
        raise misfit


def misfits(checkpoint: Checkpoint, now: Now | None = None) -> Iterator[ShapeError]:
    """Every call of an untouched layer that an edit before it has broken.

    Args:
        checkpoint: the edited model.
        now: shapes as Keras found them, by path of the graph; without them, what the rules of `shapes` know.
    """
    graphs = {"": checkpoint.model, **{item.path: item.layer for item in walk(checkpoint.model) if item.layer.graph}}
    for path, model in graphs.items():
        if model.graph is None:
            continue
        known = (now or {}).get(path) or own_shapes(model.graph)
        for layer in model.graph.layers:
            for call in layer.calls:
                yield from _call_misfits(checkpoint, model.graph, path, layer, call, known)


def _call_misfits(
    checkpoint: Checkpoint, graph: Graph, path: str, layer: Layer, call: Call, known: Mapping[TensorKey, Shape | None]
) -> Iterator[ShapeError]:
    refs = call.refs()
    before = [ref.expected or ref.shape for ref in refs]
    after = [known.get(ref.key) for ref in refs]
    if layer.is_new or before == after or any(shape is None for shape in (*before, *after)):
        return
    fed = [(ref.layer, shape) for ref, shape in zip(refs, after, strict=True) if shape is not None]
    full_path = f"{path}/{layer.name}" if path else layer.name
    changed_names = [name for (name, now), was in zip(fed, before, strict=True) if now != was]
    if _broadcasts(layer) and _pattern(before) != _pattern(after):
        changed = next((name, now, was) for (name, now), was in zip(fed, before, strict=True) if now != was)
        others = ", ".join(f"{shape} of '{name}'" for name, shape in fed if name != changed[0]) or str(changed[1])
        yield ShapeError(
            f"'{changed[0]}' outputs {changed[1]}, but '{full_path}' ({layer.kind_name}) combines it with {others},"
            " and Keras would broadcast it silently",
            hint=f"it was {changed[2]} before; give the new layer an output of that shape",
            layer=_culprit(checkpoint, path, changed_names),
        )
        return
    for name, now, was in _wrong_weights(checkpoint, layer, [shape for _, shape in fed]):
        yield ShapeError(
            f"'{fed[0][0]}' outputs {fed[0][1]}, but '{full_path}' ({layer.kind_name}) was built for {before[0]}:"
            f" its {name} is {was} and would have to be {now}",
            hint=f"give what stands before it an output of {before[0]}, or replace '{full_path}' too",
            layer=_culprit(checkpoint, path, changed_names),
        )
        return


def _broadcasts(layer: Layer) -> bool:
    entry = catalog.find(layer.kind_name)
    return entry is not None and entry.broadcasts


def _pattern(given: Sequence[Shape | None]) -> list[object]:
    """For each axis, counted from the last, which inputs are stretched: what broadcasting does, whatever the sizes."""
    present = [shape for shape in given if shape is not None]
    rank = max(len(shape) for shape in present)
    aligned = [(0,) * (rank - len(shape)) + tuple(shape) for shape in present]
    return [
        "same" if len(set(sizes)) == 1 else tuple(size in (0, 1) for size in sizes)
        for sizes in zip(*aligned, strict=True)
    ]


def _wrong_weights(
    checkpoint: Checkpoint, layer: Layer, inputs: Sequence[Shape]
) -> Iterator[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    if layer.graph is not None or not checkpoint.weights.of(layer.key):
        return
    needed = shapes.variable_shapes(layer.class_name, layer.config, inputs)
    for tensor in checkpoint.weights.of(layer.key):
        wanted = (needed or {}).get(tensor.name)
        if wanted is not None and tensor.shape is not None and tuple(wanted) != tuple(tensor.shape):
            yield tensor.name, tuple(wanted), tuple(tensor.shape)


def _culprit(checkpoint: Checkpoint, path: str, names: Sequence[str]) -> str | None:
    """The key of the nearest new layer before the break; None when something was removed instead."""
    flow = Flow.of(checkpoint.model)
    prefix = f"{path}/" if path else ""
    before = {prefix + name for name in names}
    for name in names:
        before |= flow.upstream(prefix + name)
    new = [item.layer.key for item in walk(checkpoint.model) if item.path in before and item.layer.is_new]
    return new[-1] if new else None
