"""The registry as a JSON Schema, and what a schema's refusals mean in words.

Validation and editors use one schema; only the editors' edition also lets a `${variable}` stand wherever a number, a
flag or a list belongs, because a recipe is validated after its variables have been put in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError

from modelrecipe import catalog, registry
from modelrecipe.errors import LanguageError, did_you_mean
from modelrecipe.fields import Schema, class_schema

VARIABLE_TYPES = ("string", "path", "integer", "number", "boolean", "list")
ITEM_KEYS: Mapping[str, Schema] = {
    "id": {"type": "string", "pattern": r"^[A-Za-z_][\w-]*$", "description": "a name for the step in plan and report"},
    "description": {"type": "string", "description": "why the step is there"},
    "when": {"type": "boolean", "description": "leave the step out when this variable is false"},
}
_REFERENCE = {"type": "string", "pattern": r"^\$\{[A-Za-z_]\w*\}$", "description": "a variable"}
_DRAFT = "http://json-schema.org/draft-07/schema#"


@lru_cache(maxsize=1)
def _parts() -> tuple[dict[str, Schema], dict[str, Schema]]:
    """The schema of each step, and the definitions that they share."""
    definitions: dict[str, Schema] = {}
    words = {
        word: {**class_schema(step, definitions=definitions), "description": step.summary()}
        for word, step in registry.steps().items()
    }
    return words, definitions


def head_schema() -> Schema:
    """The schema of a recipe without its steps."""
    variable = {
        "type": "object",
        "properties": {
            "type": {"enum": list(VARIABLE_TYPES), "description": "a path is relative to the recipe file"},
            "default": {"description": "the value without --set; without it, a value must be given"},
            "description": {"type": "string"},
            "env": {"type": "string", "description": "an environment variable that may give the value"},
        },
        "required": ["type"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "version": {"const": 1, "description": "version of the recipe language"},
            "name": {"type": "string", "description": "name of the recipe, for reports and the lock"},
            "description": {"type": "string", "description": "what the recipe is for"},
            "seed": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1, "description": "of everything random"},
            "vars": {
                "type": "object",
                "propertyNames": {"pattern": r"^[A-Za-z_]\w*$"},
                "additionalProperties": variable,
                "description": "declared variables, used as ${name}",
            },
            "imports": {
                "type": "array",
                "items": {"type": "string", "pattern": r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"},
                "description": "Python modules that register custom layers; needs --allow-code",
            },
            "steps": {"type": "array", "description": "what is done, in order"},
        },
        "required": ["version", "steps"],
        "additionalProperties": False,
    }


def include_schema() -> Schema:
    """The schema of `include`, which is no step but is written as one."""
    mapping = {
        "type": "object",
        "properties": {
            "recipe": {"type": "string", "description": "path of the other recipe, relative to this file"},
            "vars": {"type": "object", "description": "values for its variables"},
        },
        "required": ["recipe"],
        "additionalProperties": False,
    }
    return {"anyOf": [{"type": "string"}, mapping], "description": "Put the steps of another recipe here."}


def step_schema(word: str) -> Schema:
    """The schema of one step, with the definitions it needs."""
    words, definitions = _parts()
    return {**(include_schema() if word == "include" else words[word]), "definitions": definitions}


def recipe_schema() -> Schema:
    """The whole language for editors, in draft-07."""
    words, definitions = _parts()
    words = {**words, "include": include_schema()}
    item = {
        "type": "object",
        "properties": {**ITEM_KEYS, **{word: {"$ref": f"#/definitions/step_{word}"} for word in words}},
        "additionalProperties": False,
        "oneOf": [{"required": [word]} for word in words],
    }
    schema = head_schema()
    schema["properties"]["steps"]["items"] = item
    named = {f"step_{word}": part for word, part in words.items()}
    configs = {f"config_{name}": catalog.config_schema(name) for name in sorted(_class_names())}
    layer_spec = definitions.get("LayerSpec")
    shared = dict(definitions)
    if layer_spec is not None:
        shared["LayerSpec"] = _with_configs(layer_spec)
    loose = _with_variables({**schema, "definitions": {**shared, **named, **configs}})
    return {"$schema": _DRAFT, "title": "modelrecipe recipe, version 1", **loose}


def _class_names() -> tuple[str, ...]:
    return (*catalog.layer_names(), *catalog.operation_names())


def _with_configs(layer_spec: Schema) -> Schema:
    """A layer spec whose `config` is checked against the arguments of its `class`."""
    scalar, mapping = layer_spec["anyOf"]
    names = sorted(_class_names())
    custom = {"type": "string", "pattern": ">", "description": "a registered class, as package>Layer"}
    any_class = {"anyOf": [{"enum": names}, custom, {"type": "string"}]}
    rules = [
        {
            "if": {"properties": {"class": {"const": name}}, "required": ["class"]},
            "then": {"properties": {"config": {"$ref": f"#/definitions/config_{name}"}}},
        }
        for name in names
    ]
    properties = {**mapping["properties"], "class": {**mapping["properties"]["class"], **any_class}}
    properties["class"].pop("type", None)
    return {
        **layer_spec,
        "anyOf": [{**any_class, "description": scalar["description"]}, {**mapping, "properties": properties, "allOf": rules}],
    }


_LITERAL_KEYS = ("properties", "definitions", "propertyNames", "if", "required", "enum", "const", "default")


def _with_variables(schema: Any) -> Any:
    """Let a `${variable}` stand for every value that is no plain text and no mapping with keys of its own."""
    if isinstance(schema, list):
        return [_with_variables(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result: Schema = {}
    for key, value in schema.items():
        if key in ("properties", "definitions"):
            result[key] = {name: _with_variables(part) for name, part in value.items()}
        else:
            result[key] = value if key in _LITERAL_KEYS else _with_variables(value)
    if result.get("type") in ("number", "integer", "boolean") or "pattern" in result or _is_plain_enum(result):
        described = {"description": result.pop("description")} if "description" in result else {}
        return {**described, "anyOf": [result, dict(_REFERENCE)]}
    return result


def _is_plain_enum(schema: Schema) -> bool:
    return "enum" in schema and set(schema) <= {"enum", "description", "default"}


def problems(data: Any, schema: Schema) -> Iterator[LanguageError]:
    """Every way in which `data` does not fit `schema`; `at` leads to the culprit.

    An unknown or missing key points at the key itself, everything else at the value.
    """
    for error in Draft7Validator(schema).iter_errors(data):
        yield from _explain(error)


def _explain(error: ValidationError) -> Iterator[LanguageError]:
    at = tuple(error.absolute_path)
    if error.validator in ("anyOf", "oneOf"):
        yield from _explain_choice(error)
    elif error.validator == "additionalProperties":
        known = list(error.schema.get("properties", ()))  # type: ignore[union-attr]
        for key in error.instance:
            if key not in known:
                hint = did_you_mean(str(key), known) or "known keys: " + ", ".join(known)
                yield LanguageError(f"unknown key '{key}'", hint=hint, at=(*at, str(key)))
    else:
        yield LanguageError(_in_words(error), hint=_hint(error), at=at)


def _explain_choice(error: ValidationError) -> Iterator[LanguageError]:
    """Go on with the one alternative whose form (mapping, list, scalar) the value has."""
    branches: dict[Any, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.relative_schema_path[0], []).append(inner)
    fitting = [found for found in branches.values() if not any(_is_form_error(inner, error) for inner in found)]
    if len(fitting) >= 1:
        best = min(fitting, key=len)
        for inner in best:
            yield from _explain(inner)
        return
    yield LanguageError(
        f"must be {_either(_forms(error.schema))}, not {_said(error.instance)}", at=tuple(error.absolute_path)
    )


def _is_form_error(inner: ValidationError, outer: ValidationError) -> bool:
    same_value = list(inner.absolute_path) == list(outer.absolute_path)
    if inner.validator in ("anyOf", "oneOf") and same_value:
        nested = inner.context or ()
        return all(_is_form_error(part, outer) for part in nested)
    return same_value and inner.validator in ("type", "enum")


_FORM_NAMES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a text",
    "number": "a number",
    "integer": "an integer",
    "boolean": "true or false",
    "null": "null",
}


def _forms(schema: Any) -> list[str]:
    if "enum" in schema:
        return [", ".join(f"'{value}'" for value in schema["enum"])]
    kinds = schema.get("type")
    if kinds is not None:
        return [_FORM_NAMES[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    if "$ref" in schema:
        return ["a text", "a mapping"]
    found: list[str] = []
    for option in schema.get("anyOf", ()):
        found += [form for form in _forms(option) if form not in found]
    return found


def _either(options: Sequence[str]) -> str:
    return options[0] if len(options) == 1 else ", ".join(options[:-1]) + " or " + options[-1]


def _said(value: Any) -> str:
    if isinstance(value, str):
        return f"'{value}'" if len(value) <= 40 else f"'{value[:37]}...'"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return json.dumps(value) if value is not None else "nothing"


def _in_words(error: ValidationError) -> str:
    value, rule = error.instance, error.validator_value
    words = {
        "required": lambda: f"missing key '{_missing(error)}'",
        "type": lambda: f"must be {_either(_forms(error.schema))}, not {_said(value)}",
        "enum": lambda: f"must be {_either([repr(item) for item in rule])}, not {_said(value)}",
        "const": lambda: f"must be {rule}, not {_said(value)}",
        "minimum": lambda: f"must be at least {rule}, not {value}",
        "maximum": lambda: f"must be at most {rule}, not {value}",
        "exclusiveMinimum": lambda: f"must be greater than {rule}, not {value}",
        "minItems": lambda: "the list is empty" if not value else f"must hold at least {rule} items, not {len(value)}",
        "maxItems": lambda: f"must hold at most {rule} items, not {len(value)}",
        "minProperties": lambda: "the mapping is empty",
        "pattern": lambda: f"{error.schema.get('patternErrorMessage', 'is not well formed')}, not {_said(value)}",
    }
    found = words.get(str(error.validator))
    return found() if found else error.message[:120]


def _missing(error: ValidationError) -> str:
    # jsonschema raises one error per missing key and names the key in its message alone.
    return error.message.rpartition(" is a required")[0].strip("'\"")


def _hint(error: ValidationError) -> str | None:
    if error.validator == "enum" and isinstance(error.instance, str):
        return did_you_mean(error.instance, [str(item) for item in error.validator_value])
    return None
