"""Keras 3 has no ThresholdedReLU; its ReLU with a threshold is the same function, `x if x > theta else 0`."""

from __future__ import annotations

from typing import Any

from modelrecipe.formats.repair import Json, Repair, Writer

_KEPT = ("name", "trainable", "dtype")


def _mend(data: Json, writer: Writer) -> Json:
    del writer
    config = data["config"]
    if data["class_name"] != "ThresholdedReLU" or not isinstance(config, dict):
        return data
    kept = {key: config[key] for key in _KEPT if key in config}
    relu = {**kept, "max_value": None, "negative_slope": 0.0, "threshold": _number(config.get("theta", 1.0))}
    return {**data, "class_name": "ReLU", "config": relu}


def _number(value: Any) -> float:
    """A number, which some versions wrote as a numpy array of none dimensions."""
    if isinstance(value, dict):
        inner = value.get("config")
        value = inner.get("value") if isinstance(inner, dict) else value.get("value")
    return float(value)


REPAIR = Repair(
    name="thresholded-relu",
    cause="Keras 3 has no ThresholdedReLU",
    versions="Keras 1.0 to 2.15, tf.keras",
    cure="it becomes a ReLU with that threshold, the same function",
    layer=_mend,
)
