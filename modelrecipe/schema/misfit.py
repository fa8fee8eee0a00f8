"""How data does not fit a JSON Schema, in words that say what to write instead. Knows neither recipes nor steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from modelrecipe.errors import LanguageError, UnknownKeyError, did_you_mean, nearest_names
from modelrecipe.schema.judge import is_integer, surely_fits
from modelrecipe.source.scalar import quoted, resolve

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
_MOST_WORDS = 12
_APART = "stand together; write each in an item of its own"
_YAML_1_1 = {"yes": "true", "y": "true", "on": "true", "no": "false", "n": "false", "off": "false"}


@lru_cache(maxsize=1)
def _validator() -> Any:
    """Draft 7, with integers as steps want them."""
    from jsonschema import Draft7Validator  # takes longer to import than a recipe to read
    from jsonschema.validators import extend

    return extend(
        Draft7Validator, type_checker=Draft7Validator.TYPE_CHECKER.redefine("integer", lambda _, data: is_integer(data))
    )


def problems(data: Any, schema: Schema) -> Iterator[LanguageError]:
    """Every way in which `data` does not fit `schema`; `at` leads to the culprit.

    An unknown key is an `UnknownKeyError` and stands at the key itself, everything else at a value. A schema may say
    of keys that do not belong there why, in `refused`, and which other key is meant, in `instead`.
    """
    if surely_fits(data, schema):
        return
    found = [problem for error in _validator()(schema).iter_errors(data) for problem in _explain(error, schema)]
    yield from _without_echo(found)


def _without_echo(found: list[LanguageError]) -> Iterator[LanguageError]:
    """A key that is missing because it is written otherwise is one mistake, told where the wrong key stands.

    So is a key too many that is none.
    """
    echoes: set[int] = set()
    for unknown in found:
        if not isinstance(unknown, UnknownKeyError):
            continue
        place = unknown.at[:-1]
        missing = [item for item in found if item.at == place and item.message.startswith("missing key")]
        strange = [item for item in found if isinstance(item, UnknownKeyError) and item.at[:-1] == place]
        echoes |= {id(item) for item in found if item.at == place and item.message.endswith(_APART)}
        for item in missing:
            key = item.message.removeprefix("missing key ")
            if unknown.hint == f"did you mean {key}?":
                echoes.add(id(item))
            elif len(missing) == len(strange) == 1:
                unknown.hint = f"key {key} is missing"
                echoes.add(id(item))
    yield from (item for item in found if id(item) not in echoes)


def _explain(error: ValidationError, root: Schema) -> Iterator[LanguageError]:
    at = tuple(error.absolute_path)
    if error.validator in ("anyOf", "oneOf"):
        yield from _explain_choice(error, root)
    elif error.validator == "additionalProperties":
        instance: Any = error.instance
        for key in instance:
            if key not in _schema(error).get("properties", ()):
                yield _unknown(str(key), _schema(error), at)
    elif "propertyNames" in error.absolute_schema_path:
        message = f"{_schema(error)['patternErrorMessage']}, not {_said(error.instance)}"
        yield UnknownKeyError(message, at=(*at, str(error.instance)))
    else:
        yield LanguageError(_in_words(error), hint=_hint(error.instance, [_schema(error)], root), at=at)


def _unknown(key: str, schema: Schema, at: tuple[str | int, ...]) -> UnknownKeyError:
    """A key that a mapping does not have; its schema may be titled by what its keys are."""
    known, noun, instead = list(schema.get("properties", ())), schema.get("title", "key"), schema.get("instead", {})
    hint = f"write '{instead[key]}'" if key in instead else did_you_mean(key, known)
    fallback = f"unknown {noun} '{key}'", hint or f"known {noun}s: {', '.join(known)}"
    message, hint = schema.get("refused", {}).get(key, fallback)
    return UnknownKeyError(message, hint=hint, at=(*at, key))


def _explain_choice(error: ValidationError, root: Schema) -> Iterator[LanguageError]:
    """Go on with the one alternative whose form (mapping, list, scalar) the value has."""
    branches: dict[Any, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.relative_schema_path[0], []).append(inner)
    fitting = [found for found in branches.values() if not any(_is_form_error(inner, error) for inner in found)]
    if fitting and not _is_another_list(error, min(fitting, key=len)):
        for inner in min(fitting, key=len):
            yield from _explain(inner, root)
        return
    options = list(_alternatives(_schema(error), root))
    shown = quoted(json.dumps(error.instance)).strip("'") if fitting else _said(error.instance)
    message = f"must be {_either(_forms(options))}, not {shown}"
    yield LanguageError(message, hint=_hint(error.instance, options, root), at=tuple(error.absolute_path))


def _is_another_list(error: ValidationError, found: Sequence[ValidationError]) -> bool:
    """Whether a list stands there of which no item has the right form: one mistake, not one for each item."""
    items = error.instance
    wrong = {inner.absolute_path[-1] for inner in found if inner.validator == "type" and len(inner.relative_path) == 1}
    return isinstance(items, list) and len(items) > 1 and len(wrong) == len(items)


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
    # What a pattern says of itself covers the numbers that may stand in its place.
    said = [option for option in options if "patternErrorMessage" in option]
    forms: list[str] = []
    for option in said or options:
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
        "enum": lambda: f"{_one_of(rule)}, not {_said(value)}",
        "const": lambda: f"must be {_quoted(rule)}, not {_said(value)}",
        "minimum": lambda: f"must be at least {rule}, not {value}",
        "maximum": lambda: f"must be at most {rule}, not {value}",
        "exclusiveMinimum": lambda: f"must be more than {rule}, not {value}",
        "exclusiveMaximum": lambda: f"must be less than {rule}, not {value}",
        "minLength": lambda: "the text is empty",
        "minItems": lambda: f"must hold {_least(error)} items, not {len(value)}" if value else "the list is empty",
        "maxItems": lambda: f"must hold {_most(error)} items, not {len(value)}",
        "minProperties": lambda: "the mapping is empty",
        "maxProperties": lambda: f"{_quoted_all(value)} {_APART}",
        "pattern": lambda: f"{_schema(error).get('patternErrorMessage', 'is not well formed')}, not {_said(value)}",
    }
    found = words.get(str(error.validator))
    return found() if found else error.message[:120]


def _quoted_all(keys: Mapping[str, Any]) -> str:
    return " and ".join(f"'{key}'" for key in keys)


def _least(error: ValidationError) -> str:
    rule = error.validator_value
    return str(rule) if _schema(error).get("maxItems") == rule else f"at least {rule}"


def _most(error: ValidationError) -> str:
    rule = error.validator_value
    return str(rule) if _schema(error).get("minItems") == rule else f"at most {rule}"


def _one_of(words: Sequence[object]) -> str:
    if len(words) > _MOST_WORDS:
        return f"must be one of {len(words)} names"
    return f"must be {_either([_quoted(word) for word in words])}"


def _missing(error: ValidationError) -> str:
    # jsonschema raises one error per missing key and names the key in its message alone.
    return error.message.rpartition(" is a required")[0].strip("'\"")


def _hint(value: Any, options: Sequence[Schema], root: Schema) -> str | None:
    """What to write instead of a value whose kind, or whose word, none of the options takes."""
    kinds = {kind for option in options for kind in _kinds(option)}
    if isinstance(value, str):
        found = _text_hint(value, kinds, options)
        if found:
            return found
    if isinstance(value, bool | int | float) and kinds == {"string"} and not any("pattern" in item for item in options):
        return f'write "{_said(value)}" if the text is meant'
    if isinstance(value, list):
        return _list_hint(options, root) if value else None
    return _nesting_hint(value, options, root)


def _kinds(option: Schema) -> Sequence[str]:
    kinds = option.get("type", ())
    return [kinds] if isinstance(kinds, str) else kinds


def _text_hint(value: str, kinds: Collection[str], options: Sequence[Schema]) -> str | None:
    if "boolean" in kinds and value.lower() in _YAML_1_1:
        return f"write {_YAML_1_1[value.lower()]}"
    is_plain = not {"number", "integer", "boolean"}.isdisjoint(kinds) or "const" in options[0]
    if is_plain and _is_quoted_value(value, options):
        return f"write {value} without quotes"
    near = nearest_names(value, [str(word) for option in options for word in option.get("enum", ())])
    return f"did you mean {_either([_quoted(name) for name in near])}?" if near else None


def _is_quoted_value(value: str, options: Sequence[Schema]) -> bool:
    """Whether the text would fit if it were not in quotes."""
    try:
        meant = resolve(value)
    except LanguageError:
        return False
    return not isinstance(meant, str) and any(_validator()(option).is_valid(meant) for option in options)


def _nesting_hint(value: Any, options: Sequence[Schema], root: Schema) -> str | None:
    """How a value that would fit one level deeper is written: as the only item of a list, as the first key."""
    shown = "{...}" if isinstance(value, Mapping) else _said(value).strip("'")
    for option in options:
        if "items" in option and option.get("minItems", 1) <= 1 and _fits(value, option["items"], root):
            return f"write [{shown}]"
        for key, part in list(option.get("properties", {}).items())[:1]:
            if value is not None and "const" not in part and _fits(value, part, root):
                more = ", ..." if len(option.get("required", ())) > 1 else ""
                return f"write {{{key}: {shown}{more}}}"
    return None


def _fits(value: Any, schema: Schema, root: Schema) -> bool:
    return _validator()({**schema, "definitions": root.get("definitions", {})}).is_valid(value)


def _list_hint(options: Sequence[Schema], root: Schema) -> str | None:
    """A selector takes several alternatives under a key of its own; a list may be the value of the first key."""
    for option in options:
        if "any" in option.get("properties", ()):
            return "write {any: [...]} for several"
        for key, part in list(option.get("properties", {}).items())[:1]:
            inner = [form for schema in part.get("allOf", [part]) for form in _alternatives(schema, root)]
            if any("any" in form.get("properties", ()) for form in inner):
                return f"write {{{key}: {{any: [...]}}}} for several"
            if any("items" in form for form in inner):
                return f"write {{{key}: [...]}}"
    return None
