"""Whether losses and metrics measure what is meant: Keras computes some of them on anything, and says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelrecipe.data.fit import are_alike
from modelrecipe.engine.feeds import below
from modelrecipe.engine.totals import callers_ends
from modelrecipe.engine.training_fit import losses, refuse_unfit
from modelrecipe.errors import LanguageError, Problems
from modelrecipe.measures import shape
from modelrecipe.references import iter_refs
from modelrecipe.training.keras_objects import CHOSEN, Loss, Metric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.data import DataSummary
    from modelrecipe.graph import Graph, Layer
    from modelrecipe.outcome import Signature
    from modelrecipe.training.keras_objects import Losses, Metrics

_OF_LABELS = ("SparseCategoricalAccuracy", "SparseCategoricalCrossentropy", "SparseTopKCategoricalAccuracy")
_BY_ARGUMENTS = ("IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU", "BinaryIoU")
"""Metrics whose arguments say what the targets look like."""


def refuse_measures(checkpoint: Checkpoint, summary: DataSummary, metrics: Metrics | None) -> None:
    """Refuse metrics that would stretch targets and outputs to one another, or compare fractions for equality.

    Raises:
        LanguageError: one does.
        Problems: several do.
    """
    found = [
        problem
        for output, at, metric in _by_output(callers_ends(checkpoint)[1], metrics)
        for problem in _misfit(checkpoint, summary, output, metric, ("metrics", *at))
    ]
    if found:
        raise found[0] if len(found) == 1 else Problems(found)


def refuse_opened(checkpoint: Checkpoint, summary: DataSummary, loss: Losses | None, metrics: Metrics | None) -> None:
    """Refuse data of which only TensorFlow could tell what they are, now that it did.

    Raises:
        RecipeError: they do not fit the model, the loss or a metric.
    """
    with below("data"):
        refuse_unfit(checkpoint, summary, losses(loss) if loss is not None else None)
    refuse_measures(checkpoint, summary, metrics)


def _by_output(
    outputs: tuple[Signature, ...], metrics: Metrics | None
) -> Iterator[tuple[Signature, tuple[str | int, ...], Metric]]:
    """Each metric with the output that it looks at, and where it stands; none where that is Keras' to say."""
    named = {output.name: output for output in outputs}
    if isinstance(metrics, Mapping):
        groups = [(named[name], (name,), given) for name, given in metrics.items() if name in named]
    else:
        groups = [(outputs[0], (), metrics)] if metrics is not None and len(outputs) == 1 else []
    for output, at, given in groups:
        if isinstance(given, Metric):
            yield output, at, given
        else:
            yield from ((output, (*at, number), item) for number, item in enumerate(given))


def _misfit(
    checkpoint: Checkpoint, summary: DataSummary, output: Signature, metric: Metric, at: tuple[str | int, ...]
) -> Iterator[LanguageError]:
    name = metric.class_name
    if metric.class_ in CHOSEN or metric.is_registered or name in _BY_ARGUMENTS or output.shape is None:
        return
    if name == "Accuracy" and not _is_operation(checkpoint, output.name):
        what = f"'Accuracy' counts what equals its target exactly, as the fractions of '{output.name}' never do"
        yield LanguageError(what, hint="write accuracy: Keras then takes the kind that fits", at=at)
        return
    wanted = output.shape[:-1] if name in _OF_LABELS else output.shape
    for item in summary.tensors or ():
        is_its = item.role == "y" and item.name in (output.name, None)
        if is_its and not are_alike(item.shape, wanted):
            takes = "labels" if name in _OF_LABELS else "targets"
            what = f"'{metric.class_}' takes {takes} {shape(wanted)}, but {item.key} gives {shape(item.shape)}"
            yield LanguageError(what, hint=_instead(name), at=at)


def _instead(name: str) -> str:
    sparse = f"Sparse{name}"
    if sparse in _OF_LABELS:
        return f"write {sparse} for labels"
    if name in _OF_LABELS:
        return f"write {name.removeprefix('Sparse')} for rows"
    return "Keras would stretch one to the other; write accuracy, or targets of the outputs' shape"


def doubts(checkpoint: Checkpoint, given: Losses | None) -> list[str]:
    """What is hardly meant so: probabilities that no softmax or sigmoid makes."""
    graph = checkpoint.model.graph
    if graph is None:
        return []
    ends = _makers(checkpoint)
    if isinstance(given, tuple) and len(given) == len(ends):
        given = dict(zip(ends, given, strict=True))
    pairs = [(name, given.get(name) if isinstance(given, Mapping) else given) for name in ends]
    return [
        f"'{name}' gives any number, but the loss takes probabilities: "
        f"write {{class: {loss.class_name}, config: {{from_logits: true}}}}, or an activation"
        for name, items in pairs
        for loss in (items if isinstance(items, tuple) else (items,))
        if isinstance(loss, Loss) and loss.takes_probabilities and ends[name].config.get("activation") == "linear"
    ]


def _makers(checkpoint: Checkpoint) -> dict[str, Layer]:
    """The layer that each output comes from, by the output's name."""
    graph = checkpoint.model.graph
    if graph is None:
        return {}
    pairs = zip(callers_ends(checkpoint)[1], iter_refs(graph.outputs), strict=True)
    return {end.name: _end(graph, ref.layer) for end, ref in pairs}


def _end(graph: Graph, name: str) -> Layer:
    """The layer that an output comes from, inside nested models the innermost."""
    layer = graph.layer(name)
    if layer.graph is None:
        return layer
    refs = list(iter_refs(layer.graph.outputs))
    return _end(layer.graph, refs[0].layer) if len(refs) == 1 else layer


def _is_operation(checkpoint: Checkpoint, name: str) -> bool:
    """Whether an output comes from a bare operation, which may round or number classes."""
    maker = _makers(checkpoint).get(name)
    return maker is not None and maker.is_operation
