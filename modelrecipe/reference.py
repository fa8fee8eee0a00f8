"""The words of the language as text: for `modelrecipe steps`, and as Markdown for the README and the reference page.

Everything comes from the classes of the steps. `python -m modelrecipe.reference` writes all generated files of the
project anew; with `--check` it says which of them are stale.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelrecipe.errors import FileError, UsageError, did_you_mean
from modelrecipe.fields import Schema
from modelrecipe.schema import include_schema, recipe_schema, step_schema
from modelrecipe.step import Step, Touch
from modelrecipe.steps import BUILT_IN

_BEGIN, _END = "<!-- steps:begin -->", "<!-- steps:end -->"
_NOTE = "<!-- Written by `python -m modelrecipe.reference` from the classes of the steps; change those. -->"
_TOUCHES: Mapping[Touch, str] = {
    Touch.VALUES: "values",
    Touch.FLAGS: "flags",
    Touch.NAMES: "names",
    Touch.STRUCTURE: "structure",
    Touch.LIVE: "everything that training changes",
}
_FORMS = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "true or false",
    "array": "list",
    "object": "mapping",
    "null": "null",
}
_INCLUDE = "Another recipe's steps are put here, with values for its variables; each file's paths are its own."


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter as documentation shows it.

    Args:
        key: as recipes write it.
        type: in words.
        default: as recipes would write it; empty where there is none.
        required: whether it must be given.
        doc: what it means.
    """

    key: str
    type: str
    default: str
    required: bool
    doc: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A step, or a form of value that steps share, as documentation shows it.

    Args:
        name: the word of the step, or the form's name in words.
        summary: one sentence.
        body: the rest of the docstring; paragraphs as in the source.
        touches: what may differ after the step, in words; empty for a form of value.
        scalar: what a bare value stands for; empty where none may stand.
        parameters: in order.
        example: YAML; empty where there is none.
    """

    name: str
    summary: str
    body: str = ""
    touches: str = ""
    scalar: str = ""
    parameters: tuple[Parameter, ...] = ()
    example: str = ""


def step_entry(word: str, steps: Mapping[str, type[Step]]) -> Entry:
    """The documentation of one step.

    Raises:
        UsageError: there is no such step.
    """
    if word == "include":
        return _entry("include", _INCLUDE, include_schema(), touches="nothing", example="- include: parts/freeze.yaml")
    if word not in steps:
        known = [*steps, "include"]
        raise UsageError(f"there is no step '{word}'", hint=did_you_mean(word, known) or "known steps: " + ", ".join(known))
    return _entry(word, inspect.getdoc(steps[word]) or "", step_schema(word), touches=touches_in_words(steps[word].touches))


def forms(steps: Iterable[type[Step]]) -> list[Entry]:
    """The forms of value that the parameters of the steps share (selectors, layer specs), each once."""
    found: dict[str, Entry] = {}
    for step in steps:
        schema = step_schema(step.word)
        for name in _referred(schema, schema["definitions"]):
            definition = schema["definitions"][name]
            docs = _docs_of(name, steps)
            found.setdefault(name, _entry(in_words(name), docs or definition.get("description", ""), definition))
    return list(found.values())


def touches_in_words(touches: Touch) -> str:
    """What may differ after a step: `flags`, or `values and names`."""
    return " and ".join(word for touch, word in _TOUCHES.items() if touch & touches) or "nothing"


def in_words(name: str) -> str:
    """A class name in words: `LayerSpec` is a layer spec."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def type_in_words(schema: Schema) -> str:
    """What a value must be, in words: `integer or text`, `selector`, `layer spec, or a list of them`."""
    if "$ref" in schema:
        return in_words(schema["$ref"].rpartition("/")[2])
    if "allOf" in schema:
        return type_in_words(schema["allOf"][0])
    if "enum" in schema:
        return _either([f"`{value}`" for value in schema["enum"]]) if len(schema["enum"]) < 8 else "one of a list of names"
    if "anyOf" in schema:
        return _choice(schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_plural(type_in_words(schema.get('items', {})))}"
    return _FORMS.get(str(schema.get("type")), "anything")


def _choice(options: list[Schema]) -> str:
    said = [type_in_words(option) for option in options]
    for number, option in enumerate(options):
        alone = type_in_words(option["items"]) if option.get("type") == "array" else None
        if alone is not None and alone in said:
            others = [item for item in said[:number] + said[number + 1 :] if item != alone]
            return _either([*others, f"{alone}, or a list of them"])
    return _either(list(dict.fromkeys(said)))


def _either(options: list[str]) -> str:
    return options[0] if len(options) == 1 else ", ".join(options[:-1]) + " or " + options[-1]


def _plural(word: str) -> str:
    return {"text": "texts", "anything": "anything"}.get(word, f"{word}s" if word.isalpha() or " " not in word else word)


def _entry(name: str, doc: str, schema: Schema, *, touches: str = "", example: str = "") -> Entry:
    mapping = next((option for option in schema.get("anyOf", ()) if "properties" in option), schema)
    scalar = next((option for option in schema.get("anyOf", ()) if "properties" not in option), None)
    text, _, written = doc.partition("\nExample:\n")
    summary, _, body = text.partition("\n\n")
    required = mapping.get("required", ())
    parameters = tuple(
        Parameter(
            key=key,
            type=type_in_words(part),
            default=json.dumps(part["default"]).strip('"') if "default" in part else "",
            required=key in required,
            doc=part.get("description", ""),
        )
        for key, part in mapping.get("properties", {}).items()
    )
    return Entry(
        name=name,
        summary=" ".join(summary.split()),
        body=body.strip(),
        touches=touches,
        scalar=parameters[0].key if scalar is not None and parameters else "",
        parameters=parameters,
        example=example or inspect.cleandoc(written).strip(),
    )


def _referred(schema: Any, definitions: Mapping[str, Schema]) -> Iterator[str]:
    """Names of the definitions that a schema refers to, directly or through others, in the order of mention."""
    seen: dict[str, None] = {}
    waiting: list[Any] = [{key: value for key, value in schema.items() if key != "definitions"}]
    while waiting:
        part = waiting.pop(0)
        if isinstance(part, Mapping):
            if "$ref" in part:
                name = part["$ref"].rpartition("/")[2]
                if name not in seen:
                    seen[name] = None
                    waiting.append(definitions[name])
            waiting += [value for key, value in part.items() if key != "$ref"]
        elif isinstance(part, list):
            waiting += part
    return iter(seen)
