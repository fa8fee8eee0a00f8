"""Layers in the editors' schema: every class that Keras has, with its arguments, and layers inside layers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from modelrecipe import catalog

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from modelrecipe.fields import Schema

_INNER_LAYERS = ("layer", "backward_layer", "cell", "cells", "layers")
_WORTH_SHARING = 60
"""Characters from which on an argument that several classes have is written once."""


def layer_definitions(layer_spec: Schema) -> dict[str, Schema]:
    """Layer specs whose `config` is checked against their `class`, inner layers likewise, and all those configs.

    Args:
        layer_spec: the schema of a layer spec whose `class` and `config` may be anything.

    Returns:
        Definitions under their names, `LayerSpec` among them.
    """
    layers, operations = sorted(catalog.layer_names()), sorted(catalog.operation_names())
    configs = {name: _config_schema(name) for name in (*layers, *operations)}
    groups = _alike(configs)
    scalar, mapping = layer_spec["anyOf"]
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
            **layer_spec,
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
