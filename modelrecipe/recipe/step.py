"""One step of a recipe: where it stands, whether its value fits, and what the step itself says is wrong with it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelrecipe import catalog, fields, registry, schema
from modelrecipe.errors import LanguageError, RecipeError, UnknownKeyError, did_you_mean, nearest_names
from modelrecipe.frozen import frozen
from modelrecipe.selector import Selector

if TYPE_CHECKING:
    from modelrecipe.source import Source
    from modelrecipe.step import Step

BESIDE = ("id", "description", "when")
"""The keys that may stand beside a step's word."""
_INCLUDE = "include"


@frozen
class RecipeStep:
    """One step of a recipe with where it stands.

    Args:
        step: the step.
        word: its word in the language.
        data: its value after variables were put in; what the lock keeps.
        source: the file it stands in; another one than the recipe's for an included step.
        at: path of the step's value inside that file.
        folder: what its paths are relative to.
        id, description: as the recipe says.
    """

    step: Step
    word: str
    data: Any
    source: Source = field(repr=False, compare=False)
    at: tuple[str | int, ...] = ()
    folder: Path = field(default=Path(), compare=False)
    id: str | None = None
    description: str | None = None

    def placed(self, error: RecipeError) -> RecipeError:
        """The error with its place in the text and its dotted key filled in, unless it has them."""
        return placed(error, self.source, self.at, self.word)


def placed(error: RecipeError, source: Source, at: tuple[str | int, ...] = (), word: str = "") -> RecipeError:
    """The error with its place and its dotted key filled in, unless it has them.

    Args:
        error: its `at` leads from `at` to the culprit.
        source: the text.
        at: path of the value that was looked at.
        word: what the dotted key begins with.
    """
    is_about_key = isinstance(error, UnknownKeyError)
    if error.place is None:
        path = (*at, *error.at)
        error.place = source.key_place(path) if is_about_key else source.place(path)
    if error.key is None:
        keys = [part for part in error.at if isinstance(part, str)]
        error.key = ".".join(part for part in (word, *(keys[:-1] if is_about_key else keys)) if part) or None
    return error


def step_word(item: Any) -> tuple[str | None, list[RecipeError]]:
    """The one step key of an item of `steps`, if it has one that can be gone on with, and what is wrong around it."""
    if not isinstance(item, dict) or not item:
        return None, [_not_a_step(item)]
    strange = [key for key in item if key not in BESIDE and not _is_word(key)]
    words = [key for key in item if key not in BESIDE and key not in strange]
    errors = list(_strange_keys(item, words, strange))
    if len(words) > 1:
        names = " and ".join(f"'{word}'" for word in words)
        hint = f"begin a new list item with '- {words[1]}:'"
        errors.append(UnknownKeyError(f"one step has two words, {names}", hint=hint, at=(words[1],)))
    elif not words and not strange:
        errors.append(LanguageError("a step without a word", hint=_known_steps()))
    is_sound = len(words) == 1 and not _hanging(item, words[0], strange)
    return words[0] if is_sound else None, errors


def _is_word(key: object) -> bool:
    return key == _INCLUDE or registry.is_step(key)


def _words() -> list[str]:
    return [*registry.steps(), _INCLUDE]


def _strange_keys(item: Mapping[str, Any], words: list[str], strange: list[str]) -> Iterator[RecipeError]:
    """Keys of a step that are neither its word nor stand beside it."""
    if words and (stray := _hanging(item, words[0], strange)):
        word, value = words[0], item[words[0]]
        first = next(iter(_parameters(word)))
        both = f"write {word}: {{{first}: ..., {stray}: ...}}" if stray != first else "write one of the two"
        hint = f"indent it deeper than '{word}'" if value is None else both
        yield UnknownKeyError(f"'{stray}' stands beside '{word}', not below it", hint=hint, at=(stray,))
        return
    for key in strange:
        near = did_you_mean(key, _words() if not words else BESIDE)
        if not words:
            yield UnknownKeyError(f"unknown step '{key}'", hint=near or _known_steps(), at=(key,))
        else:
            hint = near or f"beside it may stand: {', '.join(BESIDE)}"
            yield UnknownKeyError(f"unknown key '{key}' beside '{words[0]}'", hint=hint, at=(key,))


def _hanging(item: Mapping[str, Any], word: str, strange: list[str]) -> str | None:
    """The first parameter of a step that stands beside its word: not indented enough, or beside a scalar."""
    if isinstance(item[word], dict):
        return None
    return next(
        (key for key in strange if key in _parameters(word)), strange[0] if strange and item[word] is None else None
    )


def _parameters(word: str) -> Mapping[str, Any]:
    """The parameters of a step, or of `include`, by key."""
    part = schema.step_schema(word)
    return next((option["properties"] for option in part.get("anyOf", [part]) if "properties" in option), {})


def _not_a_step(item: Any) -> RecipeError:
    known = _words()
    word, *rest = re.split(r"[:\s]+", item, maxsplit=1) if isinstance(item, str) else ("",)
    word = word if word in known else (nearest_names(word, known, most=1) or [""])[0]
    hint = f"write '- {word}: {' '.join(rest) or '...'}'" if word else None
    return LanguageError("a step is a mapping, as '- save: out.keras'", hint=hint)


def _known_steps() -> str:
    return "known steps: " + ", ".join(_words())


def step_problems(word: str, data: Any) -> Iterator[RecipeError]:
    """What is wrong with the value of a step, or of `include`: its form first, and what it says when that is right."""
    found = list(_without_echo(schema.problems(data, schema.step_schema(word)), word, data))
    yield from found
    if not found and word != _INCLUDE:
        yield from iter_problems(fields.read(registry.step(word), data))


def _without_echo(problems: Iterator[LanguageError], word: str, data: Any) -> Iterator[LanguageError]:
    """A selector's keys written straight into the step are one mistake, not one for each key and a missing one."""
    step = None if word == _INCLUDE else registry.step(word)
    holds_layers = step is not None and any(item.key == "layers" for item in fields.fields_of(step))
    own = {item.key for item in fields.fields_of(step)} if step is not None else set()
    selector_keys = {item.key for item in fields.fields_of(Selector)} - own if holds_layers else set()
    stray = [key for key in data if key in selector_keys] if isinstance(data, Mapping) and "layers" not in data else []
    for error in problems:
        _point_to_config(error, data)
        if stray and error.at == (stray[0],):
            error.hint = f"a selector stands below 'layers', as {word}: {{layers: {{{stray[0]}: ...}}}}"
            yield error
        elif not (stray and (error.message == "missing key 'layers'" or error.at in [(key,) for key in stray])):
            yield error


def _point_to_config(error: LanguageError, data: Any) -> None:
    """Say of an argument beside its class that it belongs below `config`."""
    if not isinstance(error, UnknownKeyError):
        return
    spec = data
    for key in error.at[:-1]:
        spec = spec[key]
    entry = catalog.find(str(spec.get("class"))) if isinstance(spec, Mapping) else None
    if entry is not None and entry.argument(str(error.at[-1])) is not None:
        error.hint = f"arguments stand below 'config', as {{class: {spec['class']}, config: {{{error.at[-1]}: ...}}}}"


def iter_problems(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[RecipeError]:
    """What the values of a step say is wrong with themselves, however deep they stand."""
    if isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from iter_problems(item, (*at, number))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from iter_problems(item, (*at, key))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        own = getattr(value, "problems", None)
        for error in own() if own else ():
            error.at = (*at, *error.at)
            yield error
        for item in fields.fields_of(type(value)):
            yield from iter_problems(getattr(value, item.attribute), (*at, item.key))
