"""Size and ends of a model, as far as its document tells."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelrecipe.outcome import Signature, Totals
from modelrecipe.propagate import end_shapes
from modelrecipe.references import TensorRef, iter_refs

if TYPE_CHECKING:
    from modelrecipe.checkpoint import Checkpoint


def totals(checkpoint: Checkpoint) -> Totals:
    """Size and ends of a model as far as its document tells."""
    graph = checkpoint.model.graph
    if graph is None:
        return Totals(
            layers=len(list(checkpoint.layers())),
            parameters=checkpoint.parameters(),
            trainable=checkpoint.trainable_parameters(),
        )
    ends: list[tuple[Signature, ...]] = []
    for structure, of_inputs in ((graph.inputs, True), (graph.outputs, False)):
        shapes = end_shapes(graph, of_inputs=of_inputs)
        refs = list(iter_refs(structure))
        dtypes = [graph.layer(ref.layer).config.get("dtype") if of_inputs else None for ref in refs]
        ends.append(
            tuple(
                Signature(name=ref.layer, shape=shape, dtype=dtype if isinstance(dtype, str) else None)
                for ref, shape, dtype in zip(refs, shapes, dtypes, strict=True)
            )
        )
    return Totals(
        layers=sum(1 for _ in checkpoint.layers()),
        parameters=checkpoint.parameters(),
        trainable=checkpoint.trainable_parameters(),
        inputs=ends[0],
        outputs=ends[1],
    )


def callers_ends(checkpoint: Checkpoint) -> tuple[tuple[Signature, ...], tuple[Signature, ...]]:
    """Inputs and outputs by the names under which Keras takes and gives them while it trains.

    Those are the layers' names, but the keys of a model that gives a mapping (keras, `CompileLoss.build`).
    """
    graph, found = checkpoint.model.graph, totals(checkpoint)
    if graph is None:
        return found.inputs, found.outputs
    return _by_key(graph.inputs, found.inputs), _by_key(graph.outputs, found.outputs)


def _by_key(structure: Any, ends: tuple[Signature, ...]) -> tuple[Signature, ...]:
    if not isinstance(structure, dict) or not all(isinstance(item, TensorRef) for item in structure.values()):
        return ends
    return tuple(replace(end, name=key) for key, end in zip(sorted(structure), ends, strict=True))
