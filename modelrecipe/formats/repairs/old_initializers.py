"""Initializers of tf.keras 1 and early 2 name a `dtype`, which those of Keras 3 do not take."""

from __future__ import annotations

from typing import Any

from modelrecipe.formats.repair import Json, Repair, Writer


def _mend(data: Json, writer: Writer) -> Json:
    del writer
    config = data["config"]
    if not isinstance(config, dict):
        return data
    changed: Json = {
        key: {**value, "config": {name: item for name, item in value["config"].items() if name != "dtype"}}
        for key, value in config.items()
        if key.endswith("initializer") and _names_dtype(value)
    }
    return {**data, "config": {**config, **changed}} if changed else data


def _names_dtype(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("config"), dict) and "dtype" in value["config"]


REPAIR = Repair(
    name="initializer-dtype",
    cause="an initializer names a `dtype`, which those of Keras 3 do not take",
    versions="tf.keras 1.13 to 2.3",
    cure="it is dropped; the layer's own dtype holds",
    layer=_mend,
)
