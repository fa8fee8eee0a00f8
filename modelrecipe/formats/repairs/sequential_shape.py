"""Before Keras 3 the first layer of a Sequential model carried the shape of the model's input.

Keras 3 ignores it, and then builds the model for whatever it is called with first, or for a wrong rank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe.formats.repair import Json, Repair, Writer, name_of, with_config

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHAPE = "batch_input_shape"


def _mend(data: Json, writer: Writer) -> Json:
    """A Sequential model whose first layer says what it takes, with an InputLayer in front that says it."""
    del writer
    layers = data["config"].get("layers") if isinstance(data["config"], dict) else None
    if data["class_name"] != "Sequential" or not isinstance(layers, list) or not layers:
        return data
    first = layers[0]
    shape, dtype = _input_of(first)
    if shape is None or first.get("class_name") == "InputLayer":
        return data
    arguments: Json = {"batch_shape": shape, "name": _free_name(name_of(first), [name_of(layer) for layer in layers])}
    if dtype is not None:
        arguments["dtype"] = dtype
    of_keras_3 = {"module": "keras.layers", "registered_name": None} if "module" in first else {}
    source = {**of_keras_3, "class_name": "InputLayer", "config": arguments}
    return with_config(data, layers=[source, without_shape(first), *layers[1:]])


def without_shape(data: Json) -> Json:
    """A serialised layer that does not carry the shape any more."""
    return with_config(data, drop=(_SHAPE, "input_dtype")) if isinstance(data["config"], dict) else data


def _free_name(first: str, taken: Sequence[str]) -> str:
    """A name for the input: what Keras would have called it, or that with a number."""
    wanted = f"{first}_input"
    names = (wanted, *(f"{wanted}_{number}" for number in range(1, len(taken) + 1)))
    return next(name for name in names if name not in taken)


def _input_of(first: Json) -> tuple[list[int | None] | None, str | None]:
    """Shape and type of what a first layer takes; a nested model or a wrapper may hold it deeper inside."""
    config = first.get("config")
    if isinstance(config, list):
        return _input_of(config[0]) if config else (None, None)
    if not isinstance(config, dict):
        return None, None
    if isinstance(config.get(_SHAPE), list):
        dtype = config.get("input_dtype") or (config.get("dtype") if first.get("class_name") == "Embedding" else None)
        return config[_SHAPE], dtype if isinstance(dtype, str) else None
    layers, inputs = config.get("layers"), config.get("input_layers")
    if isinstance(layers, list) and layers and (inputs is None or len(inputs) == 1):
        names = [name_of(layer) for layer in layers]
        return _input_of(layers[0] if inputs is None else layers[names.index(inputs[0][0])])
    return None, None


REPAIR = Repair(
    name="sequential-shape",
    cause="the first layer of a Sequential model carries the shape of its input, which Keras 3 does not read there",
    versions="Keras 1.0 to 2.15, tf.keras",
    cure="an InputLayer of that shape goes in front",
    layer=_mend,
)
