"""Keras 3 adds a bias to the wrong axis where the maps of a channels-first convolution are as wide as they are many.

Its TensorFlow backend takes any addition of something with one long axis for that of a bias, and looks at the last axis
first (`add` in `keras/src/backend/tensorflow/numpy.py` of Keras 3.15). Keras 1 and 2 said which axis they meant. Such a
convolution is computed channels last here, between two layers that permute: the numbers are the same, whatever backend.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe.formats.repair import Repair, Writer
from modelrecipe.frozen import frozen
from modelrecipe.graph import Call, Layer, walk
from modelrecipe.propagate import graph_shapes
from modelrecipe.references import TensorRef, map_refs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelrecipe.checkpoint import Checkpoint

_RANKS: Mapping[str, int] = {
    "Conv1D": 1,
    "Conv2D": 2,
    "Conv3D": 3,
    "Conv1DTranspose": 1,
    "Conv2DTranspose": 2,
    "Conv3DTranspose": 3,
    "DepthwiseConv1D": 1,
    "DepthwiseConv2D": 2,
    "SeparableConv1D": 1,
    "SeparableConv2D": 2,
}
_ALONG_AN_AXIS = ("softmax", "log_softmax", "glu", "sparsemax")


def _mend(checkpoint: Checkpoint, writer: Writer) -> tuple[Checkpoint, Sequence[str]]:
    if not writer.version or not writer.is_before(3):
        return checkpoint, ()
    keys = _struck(checkpoint.model)
    if not keys:
        return checkpoint, ()
    mended = [located.path for located in walk(checkpoint.model) if located.layer.key in keys]
    return replace(checkpoint, model=_without_bias_first(checkpoint.model, keys)), mended


def _struck(model: Layer) -> set[str]:
    """Keys of the layers whose maps are as wide as they are many at any call, or may be: their size is not known."""
    if model.graph is None:
        return set()
    shapes = graph_shapes(model.graph)
    found: set[str] = set()
    for layer in model.graph.layers:
        found |= _struck(layer)
        if _has_bias_first(layer):
            outputs = [shapes.get((layer.name, number, 0)) for number in range(len(layer.calls))]
            if any(shape is None or shape[-1] in (None, shape[1]) for shape in outputs):
                found.add(layer.key)
    return found


def _has_bias_first(layer: Layer) -> bool:
    config = layer.config
    return (
        layer.class_name in _RANKS
        and config.get("data_format") == "channels_first"
        and config.get("use_bias", True) is not False
        and config.get("activation") not in _ALONG_AN_AXIS
    )


@frozen
class _Names:
    before: str
    after: str


def _without_bias_first(model: Layer, keys: set[str]) -> Layer:
    """The same model with these layers channels last between two permutations, at any depth."""
    if model.graph is None:
        return model
    layers = [_without_bias_first(layer, keys) for layer in model.graph.layers]
    taken = {layer.name for layer in layers}
    names: dict[str, _Names] = {}
    for layer in layers:
        if layer.key in keys:
            names[layer.name] = _Names(
                before=_free(layer.name, "to_last", taken), after=_free(layer.name, "to_first", taken)
            )

    def behind(ref: TensorRef) -> TensorRef:
        return replace(ref, layer=names[ref.layer].after, index=0) if ref.layer in names else ref

    placed: list[Layer] = []
    for layer in layers:
        moved = replace(layer, calls=tuple(call.map(behind) for call in layer.calls))
        placed += _between(moved, names[layer.name]) if layer.name in names else [moved]
    graph = replace(model.graph, layers=tuple(placed), outputs=map_refs(model.graph.outputs, behind))
    return replace(model, graph=graph)


def _between(layer: Layer, names: _Names) -> list[Layer]:
    rank = _RANKS[layer.class_name]
    numbers = range(len(layer.calls))
    before = _permute(names.before, layer, [*range(2, rank + 2), 1], layer.calls)
    after = _permute(names.after, layer, [rank + 1, *range(1, rank + 1)], [_call(layer.name, n) for n in numbers])
    calls = tuple(replace(call, args=_call(names.before, number).args) for number, call in enumerate(layer.calls))
    return [before, replace(layer, config={**layer.config, "data_format": "channels_last"}, calls=calls), after]


def _call(name: str, number: int) -> Call:
    return Call(args=(TensorRef(layer=name, call=number),))


def _permute(name: str, layer: Layer, dims: list[int], calls: Sequence[Call]) -> Layer:
    dtype = {"dtype": layer.config["dtype"]} if layer.config.get("dtype") is not None else {}
    form = layer.calls[0].form if layer.calls else "keras3"
    return Layer(
        name=name,
        class_name="Permute",
        module=layer.module,
        config={"name": name, "trainable": True, **dtype, "dims": dims},
        calls=tuple(replace(call, kwargs={}, form=form) for call in calls),
        key=f"{layer.key}#{name}",
    )


def _free(name: str, ending: str, taken: set[str]) -> str:
    wanted = f"{name}_{ending}"
    while wanted in taken:
        wanted += "_1"
    taken.add(wanted)
    return wanted


REPAIR = Repair(
    name="channels-first-bias",
    cause="a channels-first convolution with a bias gives maps as wide as they are many (or of unknown width): Keras 3 "
    "with TensorFlow adds the bias along the wrong axis",
    versions="Keras 1.0 to 2.15, tf.keras",
    cure="it is computed channels last, between two Permute layers",
    document=_mend,
)
