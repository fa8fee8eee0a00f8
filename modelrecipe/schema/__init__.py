"""The registry as a JSON Schema (draft-07): of one step, of a recipe's head, and of the whole language for editors.

Validation and editors use the same parts. Only the editors' edition also lets a `${variable}` stand wherever more than
plain text is asked for, because a recipe is validated after its variables have been put in, and only there the
arguments of layers are spelt out, because `layer_spec` checks them with better words.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from modelrecipe import registry
from modelrecipe.fields import Schema, class_schema
from modelrecipe.schema.layers import layer_definitions
from modelrecipe.schema.misfit import problems

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelrecipe.step import Step

__all__ = ["ITEM_KEYS", "VARIABLE_TYPES", "head_schema", "include_schema", "problems", "recipe_schema", "step_schema"]

VARIABLE_TYPES = ("string", "path", "integer", "number", "boolean", "list")
ITEM_KEYS: Mapping[str, Schema] = {
    "id": {
        "type": "string",
        "pattern": r"^[A-Za-z_][\w-]*$",
        "patternErrorMessage": "must begin with a letter and go on with letters, digits, '_' and '-'",
        "description": "a name for the step in plan and report",
    },
    "description": {"type": "string", "description": "why the step is there"},
    "when": {"type": "boolean", "description": "leave the step out when this variable is false"},
}
_VARIABLE: Schema = {
    "type": "object",
    "properties": {
        "type": {"enum": list(VARIABLE_TYPES), "description": "a path is relative to the recipe file"},
        "default": {"description": "the value without --set; without it, a value must be given"},
        "description": {"type": "string", "description": "what it is for"},
        "env": {
            "type": "string",
            "pattern": r"^[A-Za-z_]\w*$",
            "patternErrorMessage": "must be the name of an environment variable",
            "description": "an environment variable that may give the value",
        },
    },
    "required": ["type"],
    "additionalProperties": False,
}
_HEAD: Mapping[str, Schema] = {
    "version": {"const": 1, "description": "version of the recipe language"},
    "name": {"type": "string", "description": "name of the recipe, for reports and the lock"},
    "description": {"type": "string", "description": "what the recipe is for"},
    "seed": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1, "description": "of everything random"},
    "vars": {
        "type": "object",
        "propertyNames": {
            "pattern": r"^[A-Za-z_][A-Za-z0-9_]*$",
            "patternErrorMessage": "the name of a variable must be plain letters, digits and '_'",
        },
        "additionalProperties": _VARIABLE,
        "description": "declared variables, used as ${name}",
    },
    "imports": {
        "type": "array",
        "items": {
            "type": "string",
            "pattern": r"^(?!.*\.py$)[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$",
            "patternErrorMessage": "must be the name of a module, as package.module",
        },
        "description": "Python modules that register custom layers; needs --allow-code",
    },
    "steps": {"type": "array", "description": "what is done, in order"},
}
_DRAFT = "http://json-schema.org/draft-07/schema#"
_REFERENCE: Schema = {
    "type": "string",
    "pattern": r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$",
    "description": "a variable, as ${name}",
}
_TO_REFERENCE: Schema = {"$ref": "#/definitions/variable"}


@lru_cache(maxsize=1)
def _parts() -> tuple[dict[str, Schema], dict[str, Schema]]:
    """The schema of each step, and the definitions that they share."""
    definitions: dict[str, Schema] = {}
    return {word: _step_part(step, definitions) for word, step in registry.steps().items()}, definitions


def _step_part(step: type[Step], definitions: dict[str, Schema]) -> Schema:
    """The schema of one step; what it shares with others goes into `definitions`."""
    return {**class_schema(step, definitions=definitions), "description": step.summary()}


def head_schema() -> Schema:
    """The schema of a recipe without its steps."""
    return {
        "type": "object",
        "properties": dict(_HEAD),
        "required": ["version", "steps"],
        "additionalProperties": False,
    }


def include_schema() -> Schema:
    """The schema of `include`, which is no step but is written as one."""
    mapping = {
        "type": "object",
        "properties": {
            "recipe": {
                "type": "string",
                "minLength": 1,
                "description": "path of the other recipe, relative to this file",
            },
            "vars": {"type": "object", "description": "values for its variables"},
        },
        "required": ["recipe"],
        "additionalProperties": False,
    }
    scalar = {"type": "string", "minLength": 1, "description": "short for recipe"}
    return {"anyOf": [scalar, mapping], "description": "Put the steps of another recipe here."}


@lru_cache(maxsize=64)
def step_schema(word: str) -> Schema:
    """The schema of one step, with the definitions it needs."""
    if word == "include":
        return include_schema()
    definitions: dict[str, Schema] = {}
    return {**_step_part(registry.step(word), definitions), "definitions": definitions}


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
    head = head_schema()
    head["properties"]["vars"] = {**_HEAD["vars"], "additionalProperties": _with_default_types(_VARIABLE)}
    head["properties"]["seed"] = _with_variables(_HEAD["seed"])
    head["properties"]["steps"] = {**_HEAD["steps"], "items": _with_variables(item)}
    named = {f"step_{word}": part for word, part in words.items()}
    shared = _with_variables({"definitions": {**definitions, **named, **layer_definitions(definitions["LayerSpec"])}})
    shared["definitions"]["variable"] = _REFERENCE
    return {"$schema": _DRAFT, "title": "modelrecipe recipe, version 1", **head, **shared}


def _with_default_types(variable: Schema) -> Schema:
    """A declaration whose default must be of its type."""
    kinds = {"path": "string", "list": "array"}
    rules = [
        {
            "if": {"properties": {"type": {"const": word}}, "required": ["type"]},
            "then": {"properties": {"default": {"type": kinds.get(word, word)}}},
        }
        for word in VARIABLE_TYPES
    ]
    return {**variable, "allOf": rules}


_LITERAL_KEYS = ("propertyNames", "if", "required", "enum", "const", "default", "oneOf")


def _with_variables(schema: Any) -> Any:
    """Let a `${variable}` stand for every value that is no plain text and no mapping with keys of its own."""
    if isinstance(schema, list):
        return [_with_variables(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = _inside_with_variables(schema)
    if not _asks_for_more(schema):
        return result
    described = {key: result.pop(key) for key in ("description", "default") if key in result}
    return {**described, "anyOf": [result, dict(_TO_REFERENCE)]}


def _inside_with_variables(schema: Schema) -> Schema:
    result: Schema = {}
    for key, value in schema.items():
        if key in ("properties", "definitions"):
            result[key] = {name: _with_variables(part) for name, part in value.items()}
        elif key == "anyOf":
            # One variable beside all alternatives says the same as one beside each.
            allows = any(_asks_for_more(option) for option in value)
            result[key] = [_inside_with_variables(option) for option in value] + [dict(_TO_REFERENCE)] * allows
        else:
            result[key] = value if key in _LITERAL_KEYS else _with_variables(value)
    return result


def _asks_for_more(schema: Schema) -> bool:
    """Whether a schema has a rule that the text `${name}` would not meet, and no alternatives of its own."""
    kinds = schema.get("type", ())
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    is_text = "string" in kinds and "pattern" not in schema
    return bool(kinds and not is_text and kinds != {"object"}) or "enum" in schema
