"""Layers inside the configuration of a wrapper name no module, without which Keras 3 does not find their classes.

Keras 3 looks a layer without a module up among its own where a model lists it, but not inside `Bidirectional`,
`TimeDistributed`, `RNN` and `StackedRNNCells`.
"""

from __future__ import annotations

from typing import Any

from modelrecipe import catalog
from modelrecipe.formats.repair import Json, Repair, Writer, is_layer, with_config

_FUNCTIONAL = ("keras.src.models.functional", "Functional")
_MODELS = {"Functional": _FUNCTIONAL, "Model": _FUNCTIONAL, "Sequential": ("keras", "Sequential")}
_NOT_LAYERS = ("initializer", "regularizer", "constraint", "activation", "function", "dtype")


def _mend(data: Json, writer: Writer) -> Json:
    """The same layer with modules in those that it holds; a model's own layers need some only inside a wrapper."""
    del writer
    config = data["config"]
    is_model = isinstance(config, list) or (isinstance(config, dict) and isinstance(config.get("layers"), list))
    if not isinstance(config, dict) or (is_model and "module" not in data):
        return data
    found = {key: _completed(value) for key, value in config.items() if not str(key).endswith(_NOT_LAYERS)}
    changed = {key: value for key, value in found.items() if value is not config[key]}
    return with_config(data, **changed) if changed else data


def _completed(value: Any) -> Any:
    if isinstance(value, list):
        items = [_completed(item) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if not is_layer(value) or "module" in value:
        return value
    name = value["class_name"]
    if name in _MODELS:
        module, class_name = _MODELS[name]
        return {"module": module, "registered_name": None, **value, "class_name": class_name}
    if catalog.find(name) is None:
        return value
    return {"module": "keras.layers", "registered_name": None, **value}


REPAIR = Repair(
    name="inner-modules",
    cause="a layer inside a wrapper names no module, and Keras 3 does not find its class",
    versions="Keras 1.0 to 2.11, tf.keras",
    cure="it gets the module of Keras' own layers",
    layer=_mend,
)
