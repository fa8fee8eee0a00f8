"""The dtype policy of layers while they are trained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelrecipe.graph import update_layers, walk
from modelrecipe.live.private import inner_layers
from modelrecipe.live.session import import_keras

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelrecipe.checkpoint import Checkpoint


def with_policy(document: Checkpoint, precision: str | None) -> Checkpoint:
    """The document with the layers of float32 at another dtype policy; others stay as they are."""
    if precision is None:
        return document
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": precision}, "registered_name": None}
    leaves = [item.path for item in walk(document.model) if item.layer.graph is None and not item.layer.is_input]
    change = {path: lambda layer: replace(layer, config=_at_policy(layer.config, policy)) for path in leaves}
    return replace(document, model=update_layers(document.model, change))


def _at_policy(config: Any, policy: Mapping[str, Any]) -> Any:
    """A configuration with another policy, that of layers which it holds included."""
    if isinstance(config, list):
        return [_at_policy(item, policy) for item in config]
    if not isinstance(config, dict):
        return config
    return {
        key: dict(policy) if key == "dtype" and _is_float32(value) else _at_policy(value, policy)
        for key, value in config.items()
    }


def _is_float32(dtype: Any) -> bool:
    return dtype == "float32" or (isinstance(dtype, dict) and dtype.get("config") == {"name": "float32"})


def regularize_in_float32(model: Any) -> None:
    """Let activity regularizers work in float32 where their layer does not: Keras could not add what they give."""
    for layer in inner_layers(model):
        if layer.activity_regularizer is not None:
            layer.activity_regularizer = activity_regularizer(layer, layer.activity_regularizer)


def activity_regularizer(layer: Any, regularizer: Any) -> Any:
    """A regularizer as a live layer takes it."""
    is_plain = regularizer is None or isinstance(regularizer, _InFloat32)
    return regularizer if is_plain or layer.compute_dtype in ("float32", "float64") else _InFloat32(regularizer)


class _InFloat32:
    """What Keras calls as an activity regularizer; squares of float16 would soon be infinite."""

    def __init__(self, regularizer: Any) -> None:
        self._regularizer = regularizer

    def __call__(self, outputs: Any) -> Any:
        """The penalty."""
        return self._regularizer(import_keras().ops.cast(outputs, "float32"))
