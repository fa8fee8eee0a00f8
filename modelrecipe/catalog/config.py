"""Whether a configuration fits its class: unknown, missing, wrongly typed arguments and unknown words.

Knows the catalog's entries; knows no recipes, so a problem says where it stands by keys alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelrecipe.catalog.entry import KINDS, Argument, find
from modelrecipe.catalog.variables import class_of
from modelrecipe.errors import did_you_mean
from modelrecipe.frozen import frozen

_KIND_WORDS = {
    "integer": "an integer",
    "number": "a number",
    "string": "a text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
_ANY_CASE = ("padding", "data_format")
_LAYER_ARGUMENTS = ("layer", "backward_layer", "cell", "cells", "layers")
_MOST_WORDS = 8
_DRAFT = "http://json-schema.org/draft-07/schema#"


@frozen
class ConfigProblem:
    """One way in which a configuration does not fit.

    Args:
        at: keys below the configuration that lead to the culprit; none where something is missing from the whole.
        message: what is wrong.
        hint: what to write instead.
    """

    at: tuple[str | int, ...] = ()
    message: str
    hint: str | None = None


def check_config(name: str, config: Mapping[str, Any], *, partial: bool = False) -> list[ConfigProblem]:
    """Every problem of a configuration, in its own order; none for a class that the catalog does not know.

    Args:
        name: of a layer or an operation: `Dense`, `ops.Add`.
        config: constructor arguments, as Keras serialises them or with the shorthand `{class, config}` for objects.
        partial: whether arguments may be missing, because they are taken over from another layer.
    """
    entry = find(name)
    return [] if entry is None else list(check_arguments(entry.name, entry.arguments, config, partial=partial))


def check_arguments(
    name: str, arguments: Sequence[Argument], config: Mapping[str, Any], *, partial: bool = False
) -> Iterator[ConfigProblem]:
    """Every problem of a configuration of a class that takes these arguments; see `check_config`."""
    known = {argument.name: argument for argument in arguments}
    for key, value in config.items():
        if key not in known:
            message = f"unknown argument '{key}' of {name}"
            yield ConfigProblem(at=(key,), message=message, hint=did_you_mean(str(key), known))
        else:
            yield from _value_problems(name, known[key], value)
    for argument in arguments:
        if argument.required and argument.name not in config and not partial:
            message = f"{name} needs the argument '{argument.name}'"
            yield ConfigProblem(message=message, hint=f"add '{argument.name}' to its config")


def _value_problems(name: str, argument: Argument, value: Any) -> Iterator[ConfigProblem]:
    at, subject = (argument.name,), f"argument '{argument.name}' of {name}"
    if _kind_of(value) not in _accepted(argument):
        expected = _listed([_KIND_WORDS[kind] for kind in argument.kind])
        yield ConfigProblem(at=at, message=f"{subject} must be {expected}, not {_shown(value)}")
    elif isinstance(value, str) and argument.choices and not _is_choice(argument, value):
        yield ConfigProblem(
            at=at,
            message=f"{subject} must be {_choice_words(argument)}, not '{value}'",
            hint=did_you_mean(value, argument.choices),
        )
    elif argument.name in _LAYER_ARGUMENTS:
        yield from _inner_problems(subject, at, value)


def _inner_problems(subject: str, at: tuple[str | int, ...], value: Any) -> Iterator[ConfigProblem]:
    """Problems of layers that stand in an argument, at any depth."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        for number, item in enumerate(value):
            yield from _inner_problems(subject, (*at, number), item)
    elif isinstance(value, Mapping) and "class_name" not in value and "class" not in value:
        hint = "write {class: Dense, config: {...}}"
        yield ConfigProblem(at=at, message=f"{subject} names no layer class", hint=hint)
    elif isinstance(value, Mapping):
        class_name, config = class_of(value), value.get("config") or {}
        if class_name is not None and isinstance(config, Mapping):
            for problem in check_config(class_name, config):
                yield ConfigProblem(at=(*at, "config", *problem.at), message=problem.message, hint=problem.hint)


def _accepted(argument: Argument) -> tuple[str, ...]:
    """The kinds with those that they comprise: an integer is a number."""
    return (*argument.kind, "integer") if "number" in argument.kind else argument.kind


def _kind_of(value: Any) -> str:
    """The JSON kind; Keras' own way to write a tuple or an array counts as a list."""
    if isinstance(value, Mapping):
        return "array" if value.get("class_name") in ("__tuple__", "__numpy__", "__tensor__") else "object"
    table = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", tuple: "array"}
    return table.get(type(value), "null" if value is None else "unknown")


def _is_choice(argument: Argument, value: str) -> bool:
    folded = value.lower() if argument.name in _ANY_CASE else value
    return folded in argument.choices or (">" in value and _takes_registered(argument))


def _takes_registered(argument: Argument) -> bool:
    """Whether a registered name, as `package>function`, may stand there: wherever an object may."""
    return "object" in argument.kind


def _choice_words(argument: Argument) -> str:
    if len(argument.choices) > _MOST_WORDS:
        return "a name that Keras knows"
    return _listed([f"'{choice}'" for choice in argument.choices])


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _shown(value: Any) -> str:
    """The value as the user wrote it, shortened; names in quotes."""
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
    text = "null" if value is None else text
    text = text if len(text) <= 40 else f"{text[:37]}..."
    return f"'{text}'" if isinstance(value, str) else text


def config_schema(name: str) -> dict[str, Any]:
    """JSON Schema (draft 07) of the configuration of a class; missing arguments are not its business.

    Raises:
        KeyError: the catalog has no class of that name.
    """
    entry = find(name)
    if entry is None:
        raise KeyError(name)
    return {
        "$schema": _DRAFT,
        "type": "object",
        "properties": {argument.name: _argument_schema(argument) for argument in entry.arguments},
        "additionalProperties": False,
    }


def _argument_schema(argument: Argument) -> dict[str, Any]:
    notes: dict[str, Any] = {"description": argument.doc} if argument.doc else {}
    if argument.default is not None:
        notes["default"] = argument.default
    if set(argument.kind) == set(KINDS):
        return notes
    if not argument.choices:
        return {**notes, "type": argument.kind[0] if len(argument.kind) == 1 else list(argument.kind)}
    others = [kind for kind in argument.kind if kind != "string"]
    words: list[dict[str, Any]] = [{"enum": list(argument.choices)}]
    if argument.name in _ANY_CASE:
        words.append({"type": "string", "pattern": _any_case(argument.choices)})
    if _takes_registered(argument):
        words.append({"type": "string", "pattern": ">"})
    if others:
        words.append({"type": others})
    return {**notes, **words[0]} if len(words) == 1 else {**notes, "anyOf": words}


def _any_case(words: Sequence[str]) -> str:
    """A pattern for these words in capitals or not, as JSON Schema, whose patterns have no flags, can write it."""
    spelt = ("".join(f"[{c}{c.upper()}]" if c.islower() else c for c in word) for word in words)
    return f"^({'|'.join(spelt)})$"
