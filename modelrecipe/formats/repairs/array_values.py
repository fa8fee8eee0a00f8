"""Numbers that Keras 2 kept as arrays stand in the configuration as `{"type": "ndarray", "values": ...}`."""

from __future__ import annotations

from typing import Any

from modelrecipe.formats.repair import Json, Repair, Writer, is_layer, with_config

_NOT_LAYERS = ("initializer", "regularizer", "constraint", "activation")


def _mend(data: Json, writer: Writer) -> Json:
    del writer
    config = data["config"]
    if not isinstance(config, dict):
        return data
    found = {key: value if _is_inner(key, value) else _plain(value) for key, value in config.items()}
    changed = {key: value for key, value in found.items() if value is not config[key]}
    return with_config(data, **changed) if changed else data


def _is_inner(key: str, value: Any) -> bool:
    """Whether a layer that is mended by itself stands there; a regularizer has its form, but is not reached so."""
    return is_layer(value) and not key.endswith(_NOT_LAYERS)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        items = [item if is_layer(item) else _plain(item) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if not isinstance(value, dict):
        return value
    if value.get("type") == "ndarray" and len(value) == 2:
        return next((value[key] for key in ("values", "value") if key in value), value)
    items = {key: _plain(item) for key, item in value.items()}
    return items if any(items[key] is not value[key] for key in value) else value


REPAIR = Repair(
    name="array-values",
    cause='a number is written as `{"type": "ndarray", "values": ...}`',
    versions="Keras 2.0 to 2.3",
    cure="the number itself",
    layer=_mend,
)
