"""The registry as a JSON Schema (draft-07): of one step, of a recipe's head, and of the whole language for editors.

Validation and editors use the same parts. Only the editors' edition also lets a `${variable}` stand wherever more than
plain text is asked for, because a recipe is validated after its variables have been put in, and only there the
arguments of layers are spelt out, because `layer_spec` checks them with better words.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from modelrecipe import catalog, registry
from modelrecipe.fields import Schema, class_schema
from modelrecipe.misfit import problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

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
            "pattern": r"^[A-Za-z_]\w*$",
            "patternErrorMessage": "the name of a variable must be letters, digits and '_'",
        },
        "additionalProperties": _VARIABLE,
        "description": "declared variables, used as ${name}",
    },
    "imports": {
        "type": "array",
        "items": {
            "type": "string",
            "pattern": r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$",
            "patternErrorMessage": "must be the name of a module, as package.module",
        },
        "description": "Python modules that register custom layers; needs --allow-code",
    },
    "steps": {"type": "array", "description": "what is done, in order"},
}
_DRAFT = "http://json-schema.org/draft-07/schema#"
_REFERENCE: Schema = {"type": "string", "pattern": r"^\$\{[A-Za-z_]\w*\}$", "description": "a variable, as ${name}"}
_TO_REFERENCE: Schema = {"$ref": "#/definitions/variable"}
_INNER_LAYERS = ("layer", "backward_layer", "cell", "cells", "layers")
_WORTH_SHARING = 60
"""Characters from which on an argument that several classes have is written once."""


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
    head = head_schema()
    head["properties"]["seed"] = _with_variables(_HEAD["seed"])
    head["properties"]["steps"] = {**_HEAD["steps"], "items": _with_variables(item)}
    named = {f"step_{word}": part for word, part in words.items()}
    shared = _with_variables({"definitions": {**definitions, **named, **_layer_definitions(definitions)}})
    shared["definitions"]["variable"] = _REFERENCE
    return {"$schema": _DRAFT, "title": "modelrecipe recipe, version 1", **head, **shared}


def _layer_definitions(definitions: Mapping[str, Schema]) -> dict[str, Schema]:
    """Layer specs whose `config` is checked against their `class`, inner layers likewise, and all those configs."""
    layers, operations = sorted(catalog.layer_names()), sorted(catalog.operation_names())
    configs = {name: _config_schema(name) for name in (*layers, *operations)}
    groups = _alike(configs)
    scalar, mapping = definitions["LayerSpec"]["anyOf"]
    properties = {
        **mapping["properties"],
        "class": _class_name("LayerClass", mapping["properties"]["class"]),
        # The name of a layer stands beside its config.
        "config": {**mapping["properties"]["config"], "properties": {"name": False}},
    }
    fitting = {"allOf": [{"$ref": "#/definitions/ConfigOfClass"}]}
    spec = {**mapping, "properties": properties, **fitting}
    inner = {key: mapping["properties"][key] for key in ("class", "config")}
    return {
        **_shared({f"config_{names[0]}": configs[names[0]] for names in groups}),
        "ConfigOfClass": {"allOf": list(_config_rules(groups))},
        "LayerClass": _class_names([*layers, *operations]),
        "LayerSpec": {
            **definitions["LayerSpec"],
            "anyOf": [_class_name("LayerClass", scalar), spec],
        },
        "InnerClass": _class_names(layers),
        "InnerLayer": {
            "description": "a layer inside a layer, in full or as Keras serialises it",
            "type": "object",
            "properties": {**inner, "class": _class_name("InnerClass", inner["class"]), **_serialised_keys()},
            "additionalProperties": False,
            "anyOf": [{"required": ["class"]}, {"required": ["class_name"]}],
            **fitting,
        },
    }


def _class_names(names: list[str]) -> Schema:
    registered = {"type": "string", "pattern": "^[^>]+>[^>]+$", "description": "a registered class, as package>Layer"}
    return {"anyOf": [{"enum": names}, registered]}


def _class_name(definition: str, described: Schema) -> Schema:
    return {"description": described["description"], "allOf": [{"$ref": f"#/definitions/{definition}"}]}


def _serialised_keys() -> dict[str, Schema]:
    """The keys beside `config` that Keras writes where a layer stands in an argument (`keras.saving.serialize`)."""
    text = {"type": ["string", "null"]}
    return {
        "class_name": {**text, "description": "class, as Keras serialises it"},
        "module": {**text, "description": "where Keras finds the class"},
        "registered_name": {**text, "description": "package>Layer of a custom class"},
        "build_config": {"type": "object", "description": "shapes that the layer was built for"},
    }


def _alike(configs: Mapping[str, Schema]) -> list[list[str]]:
    """The classes with the same arguments together: further names of a layer, and most operations."""
    groups: dict[str, list[str]] = {}
    for name, config in configs.items():
        groups.setdefault(json.dumps(config), []).append(name)
    return list(groups.values())


def _config_rules(groups: Iterable[list[str]]) -> Iterator[Schema]:
    for names in groups:
        is_class = {"const": names[0]} if len(names) == 1 else {"enum": names}
        yield {
            "if": {"properties": {"class": is_class}, "required": ["class"]},
            "then": {"properties": {"config": {"$ref": f"#/definitions/config_{names[0]}"}}},
        }


def _config_schema(name: str) -> Schema:
    schema = {key: value for key, value in catalog.config_schema(name).items() if key != "$schema"}
    properties = {key: _argument(key, part) for key, part in schema["properties"].items()}
    return {**schema, "properties": properties}


def _argument(name: str, schema: Schema) -> Schema:
    """The schema of one argument, with layers inside it as layers."""
    described = {"description": f"the argument '{name}' of the class", **schema}
    kinds = described.get("type", ())
    if name not in _INNER_LAYERS or "object" not in ([kinds] if isinstance(kinds, str) else kinds):
        return described
    one: Schema = {"$ref": "#/definitions/InnerLayer"}
    others = [{"type": kind} for kind in kinds if kind not in ("object", "array")] if isinstance(kinds, list) else []
    many = [{"type": "array", "items": one}] if "array" in kinds else []
    return {"description": described["description"], "anyOf": [one, *many, *others]}


def _shared(configs: Mapping[str, Schema]) -> dict[str, Schema]:
    """The configs, with every argument that several classes have as a definition of its own."""
    texts = {own: {key: json.dumps(part) for key, part in _properties(config)} for own, config in configs.items()}
    counts: dict[tuple[str, str], int] = {}
    for arguments in texts.values():
        for item in arguments.items():
            counts[item] = counts.get(item, 0) + 1
    names = _numbered(item for item, count in counts.items() if count > 1 and len(item[1]) > _WORTH_SHARING)
    result: dict[str, Schema] = {name: json.loads(text) for (_, text), name in names.items()}
    for own, config in configs.items():
        properties = {
            key: {"$ref": f"#/definitions/{names[key, text]}"} if (key, text) in names else config["properties"][key]
            for key, text in texts[own].items()
        }
        result[own] = {**config, "properties": properties}
    return result


def _properties(config: Schema) -> Iterable[tuple[str, Schema]]:
    return config["properties"].items()


def _numbered(items: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """A name for each argument: `argument_units`, and `argument_units_2` for another of that name."""
    taken: dict[str, int] = {}
    names: dict[tuple[str, str], str] = {}
    for key, text in items:
        taken[key] = taken.get(key, 0) + 1
        names[key, text] = f"argument_{key}" + (f"_{taken[key]}" if taken[key] > 1 else "")
    return names


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
