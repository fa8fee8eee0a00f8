"""What to say of a selector: how it is written, and what the model has instead of what it asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelrecipe.errors import nearest_names
from modelrecipe.selector.config_match import contains, dtype_of

if TYPE_CHECKING:
    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.graph import Located

_MOST_NAMES = 6


def in_words(value: object, *, quotes: bool = False) -> str:
    """A value as a recipe writes it, on one line.

    Args:
        value: text, number, flag, list or mapping; a selector says itself what it is.
        quotes: whether a bare text is put in quotes.
    """
    if isinstance(value, tuple | list):
        return "[" + ", ".join(in_words(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {in_words(item)}" for key, item in value.items()) + "}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"'{value}'" if quotes and isinstance(value, str) else str(value)


def nearest_hint(pattern: str, found: Sequence[Located], *, is_path: bool = False) -> str | None:
    """The layers whose names resemble a glob; the first ones where none does.

    Args:
        pattern: what was written.
        found: the layers that could be meant.
        is_path: whether the whole path is asked for even if no `/` is written; a nested layer's name alone is none.
    """
    is_path = is_path or "/" in pattern
    wanted = re.sub(r"[*?\\[\\]]", "", pattern.removeprefix("/"))
    names = [located.path if is_path else located.layer.name for located in found]
    own = wanted.rpartition("/")[2]
    namesakes = [located.path for located in found if located.layer.name == own] if is_path else []
    near = namesakes[:_MOST_NAMES] or nearest_names(wanted, names) or names[:_MOST_NAMES]
    return "nearest layers: " + ", ".join(f"'{name}'" for name in near) if near else None


def key_hint(key: str, value: Any, found: Sequence[Located], checkpoint: Checkpoint) -> str | None:
    """What the layers that the other keys match have, where no one of them has `value`."""
    if key in ("name", "regex"):
        return nearest_hint(value, found, is_path=key == "regex")
    if key == "type":
        wanted = value if isinstance(value, str) else value[0]
        return _listed("types", wanted, (item.layer.kind_name for item in found if not item.layer.is_input))
    if key == "config":
        return _config_hint(value, found)
    if key == "has":
        return _listed("weights", value, (tensor.name for item in found for tensor in checkpoint.tensors(item)))
    if key == "dtype":
        return _listed("dtypes", value, filter(None, (dtype_of(item.layer.config) for item in found)))
    if key == "index":
        return f"the last one is {len(found) - 1}"
    if key == "trainable":
        return f"they are all {'frozen' if value else 'trainable'}"
    return None


def _listed(what: str, wanted: str, present: Iterable[str]) -> str | None:
    names = sorted(set(present))
    near = nearest_names(wanted, names)
    if near:
        return f"nearest {what} here: {', '.join(near)}"
    shown = ", ".join(names[:_MOST_NAMES]) + (", ..." if names[_MOST_NAMES:] else "")
    return f"{what} here: {shown}" if names else f"there are no {what} here"


def _config_hint(wanted: Mapping[str, Any], found: Sequence[Located]) -> str | None:
    """For the first argument that no layer has so: its values, or the arguments that there are."""
    for key, value in wanted.items():
        configs = [located.layer.config for located in found]
        if any(contains(config, {key: value}) for config in configs):
            continue
        values = [in_words(config[key]) for config in configs if key in config and not isinstance(config[key], Mapping)]
        if values:
            return _listed(f"values of {key}", in_words(value), values)
        return _listed("arguments", key, (name for config in configs for name in config))
    return None
