"""How data does not fit a JSON Schema, in words that say what to write instead. Knows neither recipes nor steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jsonschema
from jsonschema import Draft7Validator

from modelrecipe.errors import LanguageError, UnknownKeyError, did_you_mean
from modelrecipe.yaml_scalar import quoted, resolve

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

    from modelrecipe.fields import Schema

_FORM_NAMES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a text",
    "number": "a number",
    "integer": "an integer",
    "boolean": "true or false",
    "null": "null",
}
_YAML_1_1 = {"yes": "true", "y": "true", "on": "true", "no": "false", "n": "false", "off": "false"}


def _is_whole(_: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# Draft 7 takes 2.0 for an integer; steps take it for a mistake.
_Validator = jsonschema.validators.extend(
    Draft7Validator, type_checker=Draft7Validator.TYPE_CHECKER.redefine("integer", _is_whole)
)


def problems(data: Any, schema: Schema) -> Iterator[LanguageError]:
    """Every way in which `data` does not fit `schema`; `at` leads to the culprit.

    An unknown key is an `UnknownKeyError` and stands at the key itself, everything else at a value.
    """
    for error in _Validator(schema).iter_errors(data):
        yield from _explain(error, schema)


def _explain(error: ValidationError, root: Schema) -> Iterator[LanguageError]:
    at = tuple(error.absolute_path)
    if error.validator in ("anyOf", "oneOf"):
        yield from _explain_choice(error, root)
    elif error.validator == "additionalProperties":
        known = list(_schema(error).get("properties", ()))
        for key in error.instance:
            if key not in known:
                hint = did_you_mean(str(key), known) or "known keys: " + ", ".join(known)
                yield UnknownKeyError(f"unknown key '{key}'", hint=hint, at=(*at, str(key)))
    elif "propertyNames" in error.absolute_schema_path:
        message = f"{_schema(error)['patternErrorMessage']}, not {_said(error.instance)}"
        yield UnknownKeyError(message, at=(*at, str(error.instance)))
    else:
        yield LanguageError(_in_words(error), hint=_hint(error.instance, [_schema(error)]), at=at)


def _explain_choice(error: ValidationError, root: Schema) -> Iterator[LanguageError]:
    """Go on with the one alternative whose form (mapping, list, scalar) the value has."""
    branches: dict[Any, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.relative_schema_path[0], []).append(inner)
    fitting = [found for found in branches.values() if not any(_is_form_error(inner, error) for inner in found)]
    if fitting:
        for inner in min(fitting, key=len):
            yield from _explain(inner, root)
        return
    options = list(_alternatives(_schema(error), root))
    message = f"must be {_either(_forms(options))}, not {_said(error.instance)}"
    yield LanguageError(message, hint=_hint(error.instance, options), at=tuple(error.absolute_path))


def _is_form_error(inner: ValidationError, outer: ValidationError) -> bool:
    """Whether an alternative is ruled out by the kind of value that stands there."""
    if list(inner.absolute_path) != list(outer.absolute_path):
        return False
    if inner.validator in ("anyOf", "oneOf"):
        return all(_is_form_error(part, outer) for part in inner.context or ())
    return inner.validator in ("type", "enum")


def _alternatives(schema: Schema, root: Schema) -> Iterator[Schema]:
    """The schemas without alternatives of their own that a schema comes down to."""
    if "$ref" in schema:
        yield from _alternatives(root["definitions"][schema["$ref"].rpartition("/")[2]], root)
    elif "anyOf" in schema:
        for option in schema["anyOf"]:
            yield from _alternatives(option, root)
    else:
        yield schema


def _forms(options: Sequence[Schema]) -> list[str]:
    """The forms of value that the options take, in words."""
    forms: list[str] = []
    for option in options:
        kinds = option.get("type", ())
        if "patternErrorMessage" in option:
            forms.append(option["patternErrorMessage"].removeprefix("must be "))
        elif "enum" in option:
            forms += [_quoted(value) for value in option["enum"]]
        else:
            forms += [_FORM_NAMES[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    return list(dict.fromkeys(forms))


def _either(options: Sequence[str]) -> str:
    return options[0] if len(options) == 1 else ", ".join(options[:-1]) + " or " + options[-1]


def _quoted(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else json.dumps(value)


def _said(value: Any) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return json.dumps(value) if value is not None else "nothing"


def _schema(error: ValidationError) -> Schema:
    """The schema that refuses; it is never a bare true or false here."""
    return error.schema if isinstance(error.schema, dict) else {}


def _in_words(error: ValidationError) -> str:
    value: Any = error.instance
    rule: Any = error.validator_value
    words: Mapping[str, Callable[[], str]] = {
        "required": lambda: f"missing key '{_missing(error)}'",
        "type": lambda: f"must be {_either(_forms([_schema(error)]))}, not {_said(value)}",
        "enum": lambda: f"must be {_either([_quoted(item) for item in rule])}, not {_said(value)}",
        "const": lambda: f"must be {_quoted(rule)}, not {_said(value)}",
        "minimum": lambda: f"must be at least {rule}, not {value}",
        "maximum": lambda: f"must be at most {rule}, not {value}",
        "minLength": lambda: "the text is empty",
        "minItems": lambda: f"must hold at least {rule} items, not {len(value)}" if value else "the list is empty",
        "maxItems": lambda: f"must hold at most {rule} items, not {len(value)}",
        "minProperties": lambda: "the mapping is empty",
        "pattern": lambda: f"{_schema(error).get('patternErrorMessage', 'is not well formed')}, not {_said(value)}",
    }
    found = words.get(str(error.validator))
    return found() if found else error.message[:120]


def _missing(error: ValidationError) -> str:
    # jsonschema raises one error per missing key and names the key in its message alone.
    return error.message.rpartition(" is a required")[0].strip("'\"")


def _hint(value: Any, options: Sequence[Schema]) -> str | None:
    """What to write instead of a value whose kind, or whose word, none of the options takes."""
    kinds = {kind for option in options for kind in _kinds(option)}
    words = [str(word) for option in options for word in option.get("enum", ())]
    if isinstance(value, str):
        if "boolean" in kinds and value.lower() in _YAML_1_1:
            return f"write {_YAML_1_1[value.lower()]}"
        if (kinds & {"number", "integer", "boolean"} or "const" in options[0]) and _is_quoted_value(value, options):
            return f"write {value} without quotes"
        return did_you_mean(value, words)
    if isinstance(value, bool | int | float) and kinds == {"string"} and not any("pattern" in item for item in options):
        return f'write "{_said(value)}" if the text is meant'
    if isinstance(value, list) and value:
        return _list_hint(options)
    return None


def _kinds(option: Schema) -> Sequence[str]:
    kinds = option.get("type", ())
    return [kinds] if isinstance(kinds, str) else kinds


def _is_quoted_value(value: str, options: Sequence[Schema]) -> bool:
    """Whether the text would fit if it were not in quotes."""
    try:
        meant = resolve(value)
    except LanguageError:
        return False
    return not isinstance(meant, str) and any(_Validator(option).is_valid(meant) for option in options)


def _list_hint(options: Sequence[Schema]) -> str | None:
    """A selector takes several alternatives under a key of its own."""
    takes_any = any("any" in option.get("properties", ()) for option in options)
    return "write {any: [...]} for several" if takes_any else None
