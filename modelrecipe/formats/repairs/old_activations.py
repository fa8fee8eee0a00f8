"""Activations in forms that Keras 3 does not read: names of TensorFlow's functions, layers without a module."""

from __future__ import annotations

from typing import Any

from modelrecipe import catalog
from modelrecipe.formats.repair import Json, Repair, Writer, with_config

# `__name__` of what people passed as `tf.nn.softmax`, `tf.identity`, ...
_NAMES = {
    "identity": "linear",
    "log_softmax_v2": "log_softmax",
    "softmax_v2": "softmax",
    "swish_v1": "swish",
}
_FUNCTIONS = ("function", "builtin_function_or_method")


def _mend(data: Json, writer: Writer) -> Json:
    del writer
    config = data["config"]
    if not isinstance(config, dict):
        return data
    found = {key: _read(value) for key, value in config.items() if str(key).endswith("activation")}
    changed = {key: value for key, value in found.items() if value is not config[key]}
    return with_config(data, **changed) if changed else data


def _read(value: Any) -> Any:
    if isinstance(value, str):
        return _NAMES.get(value, value)
    if not isinstance(value, dict) or value.get("module") is not None:
        return value
    if value.get("class_name") in _FUNCTIONS and isinstance(value.get("config"), str):
        return _NAMES.get(value["config"], value["config"])
    if isinstance(value.get("config"), dict) and catalog.find(str(value.get("class_name"))) is not None:
        return {"registered_name": None, **value, "module": "keras.layers"}
    return value


REPAIR = Repair(
    name="old-activations",
    cause="an activation is written as a function of TensorFlow, or as a layer without a module",
    versions="tf.keras 1.13 to 2.11",
    cure="the name of Keras' function, the module of Keras' layers",
    layer=_mend,
)
