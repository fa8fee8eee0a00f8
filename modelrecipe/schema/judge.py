"""Whether data fit a JSON Schema of draft 7, by the keywords that steps use; jsonschema says what is wrong.

jsonschema takes longer to import than a small model to plan, and nearly every recipe that is read is right. A keyword
that is not known here is left to it, and so is every refusal. The words of both are compared by a test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelrecipe.fields import Schema

Rule = Callable[[Any, Any, "Schema", "Schema"], bool]
"""Of a keyword: takes the data, what stands behind the keyword, the schema around it, and the root."""

_NOTES = frozenset(
    ("default", "definitions", "description", "examples", "instead", "patternErrorMessage", "refused", "title")
)
_DEFINITIONS = "#/definitions/"


def surely_fits(data: Any, schema: Schema) -> bool:
    """Whether data fit a schema for certain; False says only that jsonschema has to be asked."""
    return _fits(data, schema, schema)


def is_integer(data: object) -> bool:
    """Whether a whole number stands there: draft 7 takes 2.0 for one, steps take it for a mistake."""
    return isinstance(data, int) and not isinstance(data, bool)


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "array": lambda data: isinstance(data, list),
    "boolean": lambda data: isinstance(data, bool),
    "integer": is_integer,
    "null": lambda data: data is None,
    "number": lambda data: isinstance(data, int | float) and not isinstance(data, bool),
    "object": lambda data: isinstance(data, dict),
    "string": lambda data: isinstance(data, str),
}


def _fits(data: Any, schema: Any, root: Schema) -> bool:
    if not isinstance(schema, dict):
        return schema is True
    reference = schema.get("$ref")
    if reference is not None:  # what stands beside it is ignored in draft 7
        name = reference.removeprefix(_DEFINITIONS)
        return name in root.get("definitions", ()) and _fits(data, root["definitions"][name], root)
    return all(
        key in _RULES and _RULES[key](data, value, schema, root) for key, value in schema.items() if key not in _NOTES
    )


def _has_type(data: Any, rule: Any, _: Schema, __: Schema) -> bool:
    names = [rule] if isinstance(rule, str) else rule
    return any(name in _TYPES and _TYPES[name](data) for name in names)


def _is_same(data: Any, value: Any) -> bool:
    """Equality of plain values; JSON keeps true and 1 apart, and whatever has parts is left to jsonschema."""
    is_plain = isinstance(value, str | int | float | None)
    return is_plain and isinstance(data, bool) == isinstance(value, bool) and data == value


def _has_keys(data: Any, rule: Any, _: Schema, root: Schema) -> bool:
    return not isinstance(data, dict) or all(_fits(data[key], part, root) for key, part in rule.items() if key in data)


def _has_no_others(data: Any, rule: Any, schema: Schema, root: Schema) -> bool:
    if rule is True or not isinstance(data, dict):
        return True
    known = schema.get("properties", ())
    return all(_fits(value, rule, root) for key, value in data.items() if key not in known)


def _bound(kind: str, keeps: Callable[[Any, Any], bool]) -> Rule:
    """A rule for data of one kind; all other data pass by it."""
    is_concerned = _TYPES[kind]
    return lambda data, rule, schema, root: not is_concerned(data) or keeps(data, rule)


# Bounds are asked for as jsonschema does, which lets NaN pass.
_RULES: Mapping[str, Rule] = {
    "additionalProperties": _has_no_others,
    "allOf": lambda data, rule, _, root: all(_fits(data, part, root) for part in rule),
    "anyOf": lambda data, rule, _, root: any(_fits(data, part, root) for part in rule),
    "const": lambda data, rule, _, root: _is_same(data, rule),
    "enum": lambda data, rule, _, root: any(_is_same(data, value) for value in rule),
    "exclusiveMaximum": _bound("number", lambda data, rule: not data >= rule),
    "exclusiveMinimum": _bound("number", lambda data, rule: not data <= rule),
    "items": lambda data, rule, _, root: not isinstance(data, list) or all(_fits(item, rule, root) for item in data),
    "maxItems": _bound("array", lambda data, rule: len(data) <= rule),
    "maxProperties": _bound("object", lambda data, rule: len(data) <= rule),
    "maximum": _bound("number", lambda data, rule: not data > rule),
    "minItems": _bound("array", lambda data, rule: len(data) >= rule),
    "minLength": _bound("string", lambda data, rule: len(data) >= rule),
    "minProperties": _bound("object", lambda data, rule: len(data) >= rule),
    "minimum": _bound("number", lambda data, rule: not data < rule),
    "pattern": _bound("string", lambda data, rule: re.search(rule, data) is not None),
    "properties": _has_keys,
    "propertyNames": lambda data, rule, _, root: not isinstance(data, dict) or all(_fits(k, rule, root) for k in data),
    "required": _bound("object", lambda data, rule: all(key in data for key in rule)),
    "type": _has_type,
}
