"""A `Normalization` that was adapted before its Sequential model had an input leaves an input of no known size.

Keras 2 wrote such an input as `(None, None)`, since `adapt` sees datasets; its mean tells the sizes that it has.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe.formats.repair import Repair, Writer
from modelrecipe.graph import Graph, Layer, update_graph, walk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.weights import Tensor

_SHAPES = ("batch_shape", "batch_input_shape")


def _mend(checkpoint: Checkpoint, writer: Writer) -> tuple[Checkpoint, Sequence[str]]:
    del writer
    mended: list[str] = []
    model = checkpoint.model
    inside = {located.path: located.layer for located in walk(model)}
    for path, layer in {"": model, **inside}.items():
        graph = layer.graph
        source = _with_sizes(graph, checkpoint) if graph is not None else None
        if graph is not None and source is not None:
            model = update_graph(model, path, lambda graph, source=source: _with_input(graph, source))
            mended.append(f"{path}/{source.name}" if path else source.name)
    return (replace(checkpoint, model=model), mended) if mended else (checkpoint, ())


def _with_input(graph: Graph, source: Layer) -> Graph:
    return replace(graph, layers=(source, *graph.layers[1:]))


def _with_sizes(graph: Graph, checkpoint: Checkpoint) -> Layer | None:
    """The input of a chain with the sizes that the Normalization behind it kept; None where nothing is missing."""
    if graph.kind != "sequential" or len(graph.layers) < 2 or graph.layers[1].class_name != "Normalization":
        return None
    source, layer = graph.layers[:2]
    mean = next((tensor for tensor in checkpoint.weights.of(layer.key) if tensor.name == "mean"), None)
    config = dict(source.config)
    for key in _SHAPES:
        if isinstance(config.get(key), list) and mean is not None:
            config[key] = _filled(config[key], layer.config, mean)
    return replace(source, config=config) if config != source.config else None


def _filled(shape: Sequence[int | None], config: Mapping[str, object], mean: Tensor) -> list[int | None]:
    """A shape with the sizes of the axes that a mean was kept for."""
    axis = config.get("axis")
    axes = [axis] if isinstance(axis, int) else axis
    places = sorted({place % len(shape) for place in axes if isinstance(place, int)}) if isinstance(axes, list) else []
    if mean.shape is None or len(places) != len(mean.shape):
        return list(shape)
    sizes = dict(zip(places, mean.shape, strict=True))
    return [sizes.get(place) if size is None else size for place, size in enumerate(shape)]


REPAIR = Repair(
    name="adapted-shapes",
    cause="the input of a Sequential model that begins with an adapted `Normalization` has no known sizes",
    versions="tf.keras 2.3 to 2.15",
    cure="it gets those of the layer's mean",
    document=_mend,
)
