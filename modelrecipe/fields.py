"""From an annotated dataclass to a JSON Schema fragment, and from plain data back to the dataclass.

A parameter is declared once, as a field with its type and `Doc`; schema, documentation and reading follow. A class that
has its own spelling in recipes (a selector, a layer spec) is a dataclass too, with a class method `from_scalar` when
a bare scalar may stand for it; one whose form no list of fields can say, as a step inside a step, has the class methods
`own_schema` and `own_reading`. Reading trusts that the data fit the schema: `schema` has checked that before.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

from modelrecipe.frozen import frozen

T = TypeVar("T")
Schema = dict[str, Any]

_SCALARS: Mapping[type, str] = {str: "string", int: "integer", float: "number", bool: "boolean", types.NoneType: "null"}


@frozen(kw_only=False)
class Doc:
    """What a parameter means, in one line; units where it has any."""

    text: str


@frozen(kw_only=False)
class Rule:
    """Further JSON Schema keywords of a parameter: bounds, patterns, examples.

    Compared by identity, because `typing` hashes what stands in an annotation and a mapping has no hash.
    """

    keywords: Mapping[str, Any]

    __eq__ = object.__eq__
    __hash__ = object.__hash__


@frozen(kw_only=False)
class Field:
    """One parameter as recipes spell it."""

    key: str
    attribute: str
    hint: Any
    doc: str
    required: bool
    default: Any


@lru_cache(maxsize=256)
def fields_of(cls: type) -> tuple[Field, ...]:
    """The parameters of a dataclass, in order; the first one may stand alone as a scalar.

    A trailing underscore of an attribute is not part of the key: `from_` is written `from`.
    """
    hints = _hints_of(cls)
    found: list[Field] = []
    for item in dataclasses.fields(cls):
        hint = hints[item.name]
        has_default = item.default is not dataclasses.MISSING
        default = item.default if has_default else _made_default(item)
        found.append(
            Field(
                key=item.name.rstrip("_"),
                attribute=item.name,
                hint=hint,
                doc=next((part.text for part in _extras(hint) if isinstance(part, Doc)), ""),
                required=default is dataclasses.MISSING,
                default=None if default is dataclasses.MISSING else default,
            )
        )
    return tuple(found)


def _hints_of(cls: type) -> dict[str, Any]:
    """The types of the fields alone: what stands beside them, as a `ClassVar`, may be known to type checkers only."""
    wanted = {item.name for item in dataclasses.fields(cls)}
    hints: dict[str, Any] = {}
    for part in reversed(cls.__mro__):
        own = {name: hint for name, hint in vars(part).get("__annotations__", {}).items() if name in wanted}
        scope = vars(sys.modules[part.__module__])
        hints |= typing.get_type_hints(types.SimpleNamespace(__annotations__=own), scope, include_extras=True)
    return hints


def _made_default(item: dataclasses.Field[Any]) -> Any:
    return dataclasses.MISSING if item.default_factory is dataclasses.MISSING else item.default_factory()


def _extras(hint: Any) -> tuple[Any, ...]:
    return get_args(hint)[1:] if get_origin(hint) is Annotated else ()


def rules_of(hint: Any) -> dict[str, Any]:
    """The further JSON Schema keywords of a parameter: its bounds, as the schema has them."""
    origin, arguments = get_origin(hint), get_args(hint)
    found: dict[str, Any] = {}
    if origin in (Union, types.UnionType):
        for part in arguments:
            found |= rules_of(part)
    elif origin is Annotated:
        found = rules_of(arguments[0])
        for part in arguments[1:]:
            found |= part.keywords if isinstance(part, Rule) else {}
    return found


def object_schema(cls: type, *, definitions: dict[str, Schema]) -> Schema:
    """The schema of the mapping form of a dataclass.

    Args:
        cls: a dataclass.
        definitions: collects the schemas of the classes that its fields use, under their class names.
    """
    properties: dict[str, Schema] = {}
    required: list[str] = []
    for item in fields_of(cls):
        schema: Schema = schema_of(item.hint, definitions=definitions)
        if item.default is None and not item.required:
            schema = _without_null(schema)
        if item.doc:
            # Draft-07 ignores everything beside a `$ref`, so the reference moves one level down.
            schema = {"allOf": [schema]} if "$ref" in schema else schema
            schema = dict[str, Any](description=item.doc, **schema)
        if not item.required and isinstance(item.default, str | int | float | bool):
            schema["default"] = item.default
        properties[item.key] = schema
        if item.required:
            required.append(item.key)
    result: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        result["required"] = required
    return result


def class_schema(cls: type, *, definitions: dict[str, Schema]) -> Schema:
    """The schema of a dataclass with its scalar form, when the first field alone can be a scalar."""
    mapping = object_schema(cls, definitions=definitions)
    rule = getattr(cls, "schema_rule", None)
    if rule is not None:
        mapping.update(rule)
    first = fields_of(cls)[0] if dataclasses.fields(cls) else None
    others_required = [item for item in fields_of(cls)[1:] if item.required]
    scalar = _scalar_part(schema_of(first.hint, definitions=definitions), definitions) if first else None
    if scalar is None or others_required:
        return mapping
    return {"anyOf": [{**scalar, "description": f"short for {first.key}" if first else ""}, mapping]}


def _scalar_part(schema: Schema, definitions: Mapping[str, Schema]) -> Schema | None:
    """The part of a schema that a scalar can meet, or None."""
    if "$ref" in schema:
        return _scalar_part(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        parts = [part for part in (_scalar_part(option, definitions) for option in schema["anyOf"]) if part]
        return {"anyOf": parts} if len(parts) > 1 else parts[0] if parts else None
    return dict(schema) if schema.get("type") in ("string", "number", "integer", "boolean") else None


def schema_of(hint: Any, *, definitions: dict[str, Schema]) -> Schema:
    """The schema of a field's type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        rules = [part.keywords for part in arguments[1:] if isinstance(part, Rule)]
        schema = schema_of(arguments[0], definitions=definitions)
        for keywords in rules:
            schema = {**schema, **keywords}
        return schema
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema_of(part, definitions=definitions) for part in arguments]}
    if origin in (list, tuple):
        return {"type": "array", "items": schema_of(arguments[0], definitions=definitions), "minItems": 1}
    if origin is not None and issubclass(origin, Mapping):
        values = {} if arguments[1] is Any else schema_of(arguments[1], definitions=definitions)
        return {"type": "object", "additionalProperties": values or True}
    if hint is str:
        return {"type": "string", "minLength": 1}
    if hint in _SCALARS:
        return {"type": _SCALARS[hint]}
    if hint is Any:
        return {}
    return _reference(hint, definitions)


def _without_null(schema: Schema) -> Schema:
    """An optional parameter is left out, not written as null."""
    if "anyOf" not in schema:
        return schema
    options = [option for option in schema["anyOf"] if option != {"type": "null"}]
    others = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**options[0], **others} if len(options) == 1 else {**others, "anyOf": options}


def _reference(cls: type, definitions: dict[str, Schema]) -> Schema:
    own = getattr(cls, "own_schema", None)
    if own is not None:
        return own(definitions)
    name = cls.__name__
    if name not in definitions:
        definitions[name] = {}  # stands in while a class that refers to itself is described
        definitions[name].update(class_schema(cls, definitions=definitions))
        definitions[name].setdefault("description", (cls.__doc__ or "").partition("\n")[0])
    return {"$ref": f"#/definitions/{name}"}


def read(cls: type[T], data: Any) -> T:
    """Make a dataclass from data that fit its schema; a scalar stands for the first field."""
    items = fields_of(cls)
    if not isinstance(data, Mapping):
        data = {items[0].key: data}
    values = {item.attribute: read_value(item.hint, data[item.key]) for item in items if item.key in data}
    return cls(**values)


def read_value(hint: Any, data: Any) -> Any:
    """Make a value of the type `hint` from data that fit its schema."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return read_value(arguments[0], data)
    if origin in (Union, types.UnionType):
        return read_value(_fitting(arguments, data), data)
    if origin in (list, tuple):
        return tuple(read_value(arguments[0], item) for item in data)
    if dataclasses.is_dataclass(hint):
        own = getattr(hint, "own_reading", None)
        return own(data) if own is not None else read(cast("type[Any]", hint), data)
    if origin is not None and isinstance(data, Mapping):
        return {key: read_value(arguments[1], item) for key, item in data.items()}
    return float(data) if hint is float else data


def _fitting(options: tuple[Any, ...], data: Any) -> Any:
    """The first option of a union that the data's form admits; a class with those keys goes before one without."""
    admitting = [option for option in options if _admits(option, data)]
    return next((option for option in admitting if _has_keys(option, data)), (*admitting, *options)[0])


def _admits(hint: Any, data: Any) -> bool:
    origin = get_origin(hint)
    if origin is Annotated:
        return _admits(get_args(hint)[0], data)
    if origin is Literal:
        return data in get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_admits(part, data) for part in get_args(hint))
    if origin in (list, tuple):
        return isinstance(data, list)
    if origin is not None:
        return isinstance(data, Mapping)
    if hint is float:
        return isinstance(data, int | float) and not isinstance(data, bool)
    if hint is int:
        return isinstance(data, int) and not isinstance(data, bool)
    if dataclasses.is_dataclass(hint):
        return not isinstance(data, list)
    return hint is Any or isinstance(data, hint)


def _has_keys(hint: Any, data: Any) -> bool:
    """Whether a mapping has keys and values of a class, and not names of somebody's choosing; all else may."""
    hint = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if not isinstance(data, Mapping) or not dataclasses.is_dataclass(hint):
        return True
    known = {item.key: item.hint for item in fields_of(cast("type[Any]", hint))}
    return all(key in known and _admits(known[key], value) for key, value in data.items())


def defaults(cls: type) -> Iterator[tuple[str, Any]]:
    """Key and default of every optional parameter."""
    for item in fields_of(cls):
        if not item.required:
            yield item.key, item.default
