"""Whether a layer's configuration holds what a recipe writes, in spite of the several ways in which Keras writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ABSENT = object()
_ITEMS = ("__tuple__", "__list__")


def contains(config: Any, wanted: Any) -> bool:
    """Whether every key of `wanted` stands in `config` with an equal value.

    Keras writes one size for all axes as a list (`pool_size: 2` fits `[2, 2]`), and functions, initializers and dtype
    policies by their names or as objects (`glorot_uniform` fits `{class_name: GlorotUniform, ...}`). `{class: X}`
    fits a serialised object of that class.
    """
    config = _plain(config)
    if isinstance(wanted, Mapping):
        if not isinstance(config, Mapping):
            return False
        return all(contains(config.get(_KEYS.get(key, key), _ABSENT), value) for key, value in wanted.items())
    if isinstance(config, Mapping):
        return isinstance(wanted, str) and _plain_name(wanted) in _names(config)
    return _equal(config, wanted)


_KEYS = {"class": "class_name"}


def _equal(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, list | tuple) and isinstance(value, list):
        return len(value) == len(wanted) and all(contains(*pair) for pair in zip(value, wanted, strict=True))
    if isinstance(value, list):
        return bool(value) and all(_equal(item, wanted) for item in value)
    if isinstance(wanted, list | tuple):
        return bool(wanted) and all(_equal(value, item) for item in wanted)
    if isinstance(wanted, bool) or isinstance(value, bool):
        return value is wanted
    return value == wanted


def _plain(value: Any) -> Any:
    """A tuple, however Keras wrote it, as a list."""
    if isinstance(value, Mapping) and value.get("class_name") in _ITEMS and isinstance(value.get("items"), list):
        return value["items"]
    return list(value) if isinstance(value, tuple) else value


def _names(config: Mapping[str, Any]) -> set[str]:
    """Everything that a serialised object may be called: its class, its registered name, its own name."""
    inner = config.get("config")
    own = inner.get("name") if isinstance(inner, Mapping) else inner
    said = (config.get("class_name"), config.get("registered_name"), own)
    return {_plain_name(name) for name in said if isinstance(name, str)}


def _plain_name(name: str) -> str:
    """`GlorotUniform` and `glorot_uniform` are one initializer."""
    return name.replace("_", "").lower()


def dtype_of(config: Mapping[str, Any]) -> str | None:
    """The name of the dtype policy in a layer's configuration."""
    dtype = config.get("dtype")
    if isinstance(dtype, Mapping):
        inner = dtype.get("config")
        return inner.get("name") if isinstance(inner, Mapping) else None
    return dtype if isinstance(dtype, str) else None
