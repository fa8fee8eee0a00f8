"""What the classes of the steps say about themselves, as values: parameters with types in words, defaults, examples.

`reference` makes Markdown of it and `documentation_text` text for a terminal.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from typing import TYPE_CHECKING, Any, get_args

from modelrecipe.errors import UsageError, did_you_mean
from modelrecipe.fields import Schema, fields_of, read
from modelrecipe.frozen import frozen
from modelrecipe.recipe import iter_problems
from modelrecipe.schema import include_schema, step_schema
from modelrecipe.step import Step, Touch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_MOST_NAMES = 8
_TOUCHES: Mapping[Touch, str] = {
    Touch.VALUES: "values",
    Touch.FLAGS: "flags",
    Touch.NAMES: "names",
    Touch.STRUCTURE: "structure",
    Touch.SETTINGS: "settings",
    Touch.LIVE: "statistics",
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
INCLUDE = """Put the steps of another recipe here.

Its variables are its own: `vars` gives them values. Its paths are relative to its own file. Included recipes may
include others, but not themselves.

Example:
    - include: {recipe: parts/head.yaml, vars: {classes: 5}}
"""


@frozen
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


@frozen
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
        return _entry("include", INCLUDE, include_schema(), touches="what its steps touch")
    if word not in steps:
        known = [*steps, "include"]
        raise UsageError(
            f"there is no step '{word}'", hint=did_you_mean(word, known) or "known steps: " + ", ".join(known)
        )
    step = steps[word]
    entry = _entry(word, inspect.getdoc(step) or "", step_schema(word), touches=touches_in_words(step.touches))
    return entry if _may_be_scalar(step, entry) else dataclasses.replace(entry, scalar="")


def _may_be_scalar(step: type[Step], entry: Entry) -> bool:
    """Whether the first parameter alone makes a whole step; the schema cannot tell where steps need one of several."""
    first = fields_of(step)[0].hint if fields_of(step) else str
    is_number = (get_args(first) or (first,))[0] in (int, float)
    return bool(entry.scalar) and not list(iter_problems(read(step, 0.5 if is_number else "x")))


def forms(steps: Iterable[type[Step]]) -> list[Entry]:
    """The forms of value that the parameters of the steps share (selectors, layer specs), each once."""
    found: dict[str, Entry] = {}
    for step in steps:
        definitions = step_schema(step.word)["definitions"]
        for form in _forms_in(step):
            found.setdefault(
                form.__name__, _entry(in_words(form.__name__), inspect.getdoc(form) or "", definitions[form.__name__])
            )
    return list(found.values())


def _forms_in(cls: type) -> Iterator[type]:
    """Dataclasses that the fields of a dataclass hold, and those that these hold, in the order of mention."""
    seen: dict[type, None] = {}
    waiting: list[Any] = [item.hint for item in fields_of(cls)]
    while waiting:
        hint = waiting.pop(0)
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            if hint not in seen and not hasattr(hint, "own_schema"):
                seen[hint] = None
                waiting += [item.hint for item in fields_of(hint)]
        else:
            waiting += [part for part in get_args(hint) if not isinstance(part, str)]
    yield from seen


def touches_in_words(touches: Touch) -> str:
    """What may differ after a step: `flags`, or `values and names`."""
    return " and ".join(word for touch, word in _TOUCHES.items() if touch & touches) or "nothing"


def in_words(name: str) -> str:
    """A class name in words: `LayerSpec` is a layer spec."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def type_in_words(schema: Schema) -> str:
    """What a value must be, in words: `integer or text`, `selector`, `layer spec, or a list of them`."""
    if "title" in schema:
        return schema["title"]
    if "$ref" in schema:
        return in_words(schema["$ref"].rpartition("/")[2])
    if "allOf" in schema:
        return type_in_words(schema["allOf"][0])
    if "enum" in schema:
        names = [f"`{value}`" for value in schema["enum"]]
        return _either(names) if len(names) <= _MOST_NAMES else f"one of {len(names)} names"
    if "anyOf" in schema:
        return _choice(schema["anyOf"])
    if schema.get("type") == "array":
        words = type_in_words(schema.get("items", {}))
        return f"list, each {words}" if " or " in words else f"list of {plural(words)}"
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


def plural(words: str) -> str:
    """Several of a thing: `penalties`, `layer specs`; words that are no noun stay, as `during`."""
    if not words.replace(" ", "").isalpha() or words.endswith("ing"):
        return words
    return f"{words.removesuffix('y')}ies" if words.endswith("y") else f"{words}s"


def _entry(name: str, doc: str, schema: Schema, *, touches: str = "") -> Entry:
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
        example=inspect.cleandoc(written).strip(),
    )
