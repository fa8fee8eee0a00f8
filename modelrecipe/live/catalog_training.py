"""Learns what Keras' optimizers, losses, metrics and callbacks are: names, short names, arguments.

Signatures tell most; what else an argument takes (nothing at all, which words) is tried. Knows Keras; only the catalog
writer needs it.
"""

from __future__ import annotations

import inspect
import json
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import keras.src.losses
import keras.src.metrics
import keras.src.optimizers

from modelrecipe.live.catalog_arguments import allowed_words, as_json

if TYPE_CHECKING:
    from modelrecipe.live.catalog_arguments import Facts

DATA = Path(__file__).parent.parent / "catalog" / "training.json"
_ROOMS = {
    "optimizer": (keras.optimizers, keras.src.optimizers.ALL_OBJECTS_DICT),
    "loss": (keras.losses, keras.src.losses.ALL_OBJECTS_DICT),
    "metric": (keras.metrics, keras.src.metrics.ALL_OBJECTS_DICT),
    "callback": (keras.callbacks, {}),
}
_ABSTRACT = ("Optimizer", "Loss", "Metric", "Callback", "CallbackList")
_SAMPLES: dict[str, Any] = {
    "num_classes": 3,
    "target_class_ids": [0],
    "recall": 0.5,
    "precision": 0.5,
    "specificity": 0.5,
    "sensitivity": 0.5,
    "filename": "x.csv",
    "filepath": "x.keras",
    "directory": "x",
    "backup_dir": "x",
    "schedule": len,
    "fn": len,
    "inner_optimizer": keras.optimizers.SGD(),
    "optimizer_map": [],
    "default_optimizer": keras.optimizers.SGD(),
}
"""Arguments without which some class cannot be made."""
_KINDS = (
    (r"(save|update)_freq|verbose", "integer string"),
    (r"name", "string null"),
    (r"file(name|path)|(log|backup)_dir|directory", "string"),
    (r"weight_decay|(global_)?clip(norm|value)|loss_scale_factor|baseline|initial_value_threshold", "number null"),
    (r"(ema_overwrite_frequency|gradient_accumulation_steps|ignore_class|class_id|top_k)", "integer null"),
    (r"recall|precision|sensitivity|specificity", "number"),
    (r"patience|cooldown|start_from_epoch|k|num_(classes|thresholds)|ns_steps|max_to_keep|warmup_steps", "integer"),
    (r"axis", "integer array null"),
    (r"profile_batch", "integer array string"),
)
"""Kinds that the name tells; the default's type would be too narrow, or says nothing."""
_WORDS = {"mode": ["auto", "min", "max"]}
"""Words that Keras takes instead of any other, with a warning."""


def learn() -> dict[str, Any]:
    """Everything that the catalog says of them, as the data file has it."""
    found: dict[str, Any] = {"keras": keras.__version__}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # words that only draw a warning are tried too
        for kind, (room, named) in _ROOMS.items():
            classes = {name: value for name, value in vars(room).items() if _is_class(name, value)}
            found[kind] = {
                "classes": {name: _arguments(classes[name]) for name in sorted(classes)},
                "words": {word: _class_name(word, value, classes) for word, value in sorted(named.items())},
            }
            words = found[kind]["words"]
            found[kind]["words"] = {word: name for word, name in words.items() if name and word not in classes}
    return found


def _is_class(name: str, value: Any) -> bool:
    return isinstance(value, type) and name not in _ABSTRACT


def _class_name(word: str, value: Any, classes: dict[str, Any]) -> str | None:
    """The class behind a short name; of a function, the class that wraps it."""
    for name, kind in classes.items():
        if value is kind or (not isinstance(value, type) and _wrapped(kind) is value):
            return name
    return None


def _wrapped(kind: Any) -> Any:
    made = _made(kind, {})
    return getattr(made, "fn", getattr(made, "_fn", None)) if made is not None else None


def _made(kind: Any, config: dict[str, Any]) -> Any:
    parameters = inspect.signature(kind.__init__).parameters.values()
    needed = {item.name: _SAMPLES[item.name] for item in parameters if item.name in _SAMPLES}
    try:
        return kind(**{**needed, **config})
    except (ValueError, TypeError, AttributeError, ImportError):
        return None


def _arguments(kind: Any) -> list[Facts]:
    named = inspect.signature(kind.__init__).parameters.values()
    return [
        _fact(kind, item)
        for item in named
        if item.name != "self" and item.kind not in (item.VAR_KEYWORD, item.VAR_POSITIONAL)
    ]


def _fact(kind: Any, item: inspect.Parameter) -> Facts:
    fact: Facts = {"name": item.name}
    is_required = item.default is item.empty
    default = None if is_required else as_json(item.default)
    kinds = _kinds(item.name, default)
    if kinds:
        fact["kind"] = [*kinds, "null"] if kinds == ["string"] and _takes_none(kind, item) else kinds
    if is_required:
        fact["required"] = True
    elif default is not None:
        fact["default"] = default
    words = _WORDS.get(item.name) or (
        allowed_words(lambda word: _refusal(kind, item.name, word), default) if isinstance(default, str) else []
    )
    if words:
        fact["choices"] = words
    return fact


def _takes_none(kind: Any, item: inspect.Parameter) -> bool:
    return item.default is not item.empty and _made(kind, {item.name: None}) is not None


def _kinds(name: str, default: Any) -> list[str]:
    """Possible JSON kinds; empty where anything may stand."""
    by_name = next((kinds for pattern, kinds in _KINDS if re.fullmatch(pattern, name)), None)
    if by_name is not None:
        return by_name.split()
    table = {bool: "boolean", int: "number", float: "number", str: "string", list: "array"}
    return [table[type(default)]] if type(default) in table else []


def _refusal(kind: Any, name: str, word: str) -> str | None:
    parameters = inspect.signature(kind.__init__).parameters
    needed = {key: _SAMPLES[key] for key in parameters if key in _SAMPLES}
    try:
        kind(**{**needed, name: word})
    except (ValueError, TypeError, AttributeError, ImportError) as error:
        return str(error)
    return None


def render(data: dict[str, Any]) -> str:
    """The data file's text: one line per class."""
    parts = [f' "keras": {json.dumps(data["keras"])}']
    for kind in _ROOMS:
        rows = ",\n".join(
            f"   {json.dumps(name)}: {json.dumps(facts, separators=(',', ':'), ensure_ascii=False)}"
            for name, facts in data[kind]["classes"].items()
        )
        words = json.dumps(data[kind]["words"], ensure_ascii=False)
        parts.append(f' "{kind}": {{\n  "classes": {{\n{rows}\n  }},\n  "words": {words}\n }}')
    return "{\n" + ",\n".join(parts) + "\n}\n"
