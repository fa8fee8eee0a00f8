"""Settings: arguments that change neither variables, nor shapes, nor masks, as the catalog learnt them from Keras.

Knows classes and arguments alone; which layer of a model has which is not its business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelrecipe.catalog.config import ConfigProblem, check_config
from modelrecipe.catalog.entry import Argument, find, layer_names, raw_facts
from modelrecipe.errors import did_you_mean

_STEPS = {
    "trainable": "use freeze or unfreeze",
    "name": "use rename",
    "lora_rank": "use enable_lora or merge_lora",
    "lora_alpha": "use enable_lora",
}
_BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}


def settings(class_name: str) -> tuple[str, ...]:
    """The settings of a class; none for one that the catalog does not know."""
    return tuple((raw_facts(class_name) or {}).get("settings", ()))


def setting_problems(class_name: str, given: Mapping[str, Any]) -> list[ConfigProblem]:
    """Every reason why arguments of a class cannot be given as settings.

    Args:
        class_name: of a layer that the catalog knows.
        given: arguments with their new values.
    """
    entry, known = find(class_name), (raw_facts(class_name) or {}).get("settings", {})
    found = check_config(class_name, given, partial=True)
    wrong = {problem.at[:1] for problem in found}
    for key, value in given.items():
        argument = entry.argument(key) if entry is not None else None
        if (key,) in wrong or argument is None:
            continue
        subject = f"argument '{key}' of {class_name}"
        if key in _STEPS:
            found.append(ConfigProblem(at=(key,), message=f"{subject} is no setting", hint=_STEPS[key]))
        elif key not in known:
            message = f"{subject} is no setting: it may change variables, shapes or the graph"
            hint = f"use replace, as with: {{class: {class_name}, config: {{{key}: ...}}}} and inherit: config"
            found.append(ConfigProblem(at=(key,), message=message, hint=hint))
        else:
            found += _value_problems(subject, argument, value, known[key])
    return found


def _value_problems(subject: str, argument: Argument, value: Any, rule: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    at = (argument.name,)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not _is_inside(value, rule):
            wanted = " and ".join(f"{word} {rule[key]:g}" for key, word in _BOUNDS.items() if key in rule)
            yield ConfigProblem(at=at, message=f"{subject} must be {wanted}, not {value:g}")
    elif isinstance(value, str) and value in rule.get("not", ()):
        message = f"{subject} cannot become '{value}', which gives another shape or needs arguments"
        yield ConfigProblem(at=at, message=message)
    elif isinstance(value, str) and value not in rule.get("enum", (value,)):
        message = f"{subject} cannot be '{value}'; known are {', '.join(rule['enum'])}"
        yield ConfigProblem(at=at, message=message, hint=did_you_mean(value, rule["enum"]))
    elif isinstance(value, Mapping) and argument.choices:
        name = value.get("class", value.get("class_name"))
        if name not in argument.choices and ">" not in str(value.get("registered_name") or name):
            message = f"{subject} is of an unknown class '{name}'"
            yield ConfigProblem(at=at, message=message, hint=did_you_mean(str(name), argument.choices))


def _is_inside(value: float, rule: Mapping[str, Any]) -> bool:
    return (
        rule.get("minimum", value) <= value <= rule.get("maximum", value)
        and ("exclusiveMinimum" not in rule or value > rule["exclusiveMinimum"])
        and ("exclusiveMaximum" not in rule or value < rule["exclusiveMaximum"])
    )


def regularizers(class_name: str) -> Mapping[str, tuple[str, ...]]:
    """For each argument of a class that is a regularizer of weights: the names of the variables that it is for."""
    found = (raw_facts(class_name) or {}).get("regularizers", {})
    return {key: tuple(names) for key, names in found.items()}


def lora_classes() -> tuple[str, ...]:
    """The layer classes that Keras can give adapters of low rank, by alphabet."""
    entries = [entry for name in layer_names() if (entry := find(name)) is not None and entry.class_name == name]
    return tuple(entry.name for entry in entries if entry.argument("lora_rank") is not None)
