"""A Resizing of whole numbers gave fractions; that of Keras 3 rounds them to the type that it was given."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe.formats.repair import Repair, Writer
from modelrecipe.graph import Graph, Layer, walk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelrecipe.checkpoint import Checkpoint


def _mend(checkpoint: Checkpoint, writer: Writer) -> tuple[Checkpoint, Sequence[str]]:
    if not (writer.version and writer.is_before(3)):
        return checkpoint, ()
    if not any(_takes_whole_numbers(located.layer) for located in walk(checkpoint.model)):
        return checkpoint, ()
    mended: list[str] = []
    model = _in_model(checkpoint.model, "", mended)
    return (replace(checkpoint, model=model), mended) if mended else (checkpoint, ())


def _takes_whole_numbers(layer: Layer) -> bool:
    dtype = layer.config.get("dtype")
    return layer.is_input and isinstance(dtype, str) and dtype.startswith(("int", "uint"))


def _in_model(model: Layer, prefix: str, mended: list[str]) -> Layer:
    """The same model; a Rescaling by one in front of each Resizing changes no fraction, and makes some of integers."""
    if model.graph is None:
        return model
    layers: list[Layer] = []
    taken = {layer.name for layer in model.graph.layers}
    for layer in model.graph.layers:
        inner = _in_model(layer, f"{prefix}{layer.name}/", mended)
        if layer.class_name == "Resizing" and layer.calls:
            source = _cast(layer, taken)
            taken.add(source.name)
            mended.append(prefix + layer.name)
            layers.append(source)
            inner = _behind(inner, source.name)
        layers.append(inner)
    if all(new is old for new, old in zip(layers, model.graph.layers, strict=False)):
        return model
    graph: Graph = replace(model.graph, layers=tuple(layers))
    return replace(model, graph=graph)


def _cast(layer: Layer, taken: set[str]) -> Layer:
    name = f"{layer.name}_cast"
    while name in taken:
        name += "_"
    dtype = {"dtype": layer.config["dtype"]} if layer.config.get("dtype") is not None else {}
    return Layer(
        name=name,
        class_name="Rescaling",
        module=layer.module,
        config={"name": name, "trainable": True, **dtype, "scale": 1.0, "offset": 0.0},
        calls=tuple(replace(call, kwargs={}) for call in layer.calls),
        key=f"{layer.key}_cast",
    )


def _behind(layer: Layer, name: str) -> Layer:
    calls = tuple(
        call.map(lambda ref, number=number: replace(ref, layer=name, call=number, index=0))
        for number, call in enumerate(layer.calls)
    )
    return replace(layer, calls=calls)


REPAIR = Repair(
    name="whole-number-images",
    cause="a Resizing in a model of whole numbers rounds what it gives to whole numbers",
    versions="tf.keras 2.3 to 2.15",
    cure="a Rescaling by 1 in front makes fractions of them first",
    document=_mend,
)
