"""The dtype policy of layers while they are trained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelrecipe.graph import update_layers, walk

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
