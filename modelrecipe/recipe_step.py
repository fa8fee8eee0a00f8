"""One step of a recipe: where it stands, whether its value fits, and what the step itself says is wrong with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelrecipe import fields, registry, schema
from modelrecipe.errors import LanguageError, RecipeError, UnknownKeyError
from modelrecipe.selector import Selector

if TYPE_CHECKING:
    from modelrecipe.source import Source
    from modelrecipe.step import Step


@dataclass(frozen=True, kw_only=True)
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


def step_problems(word: str, data: Any) -> Iterator[RecipeError]:
    """What is wrong with the value of a step, or of `include`: its form first, and what it says when that is right."""
    found = list(_without_echo(schema.problems(data, schema.step_schema(word)), word, data))
    yield from found
    if not found and word != "include":
        yield from iter_problems(fields.read(registry.steps()[word], data))


def _without_echo(problems: Iterator[LanguageError], word: str, data: Any) -> Iterator[LanguageError]:
    """A selector's keys written straight into the step are one mistake, not one for each key and a missing one."""
    step = registry.steps().get(word)
    holds_layers = step is not None and any(item.key == "layers" for item in fields.fields_of(step))
    selector_keys = {item.key for item in fields.fields_of(Selector)} if holds_layers else set()
    stray = [key for key in data if key in selector_keys] if isinstance(data, Mapping) and "layers" not in data else []
    for error in problems:
        if stray and error.at == (stray[0],):
            error.hint = f"a selector stands below 'layers', as {word}: {{layers: {{{stray[0]}: ...}}}}"
            yield error
        elif not (stray and (error.message == "missing key 'layers'" or error.at in [(key,) for key in stray])):
            yield error


def iter_problems(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[RecipeError]:
    """What the values of a step say is wrong with themselves, however deep they stand."""
    if isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from iter_problems(item, (*at, number))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        own = getattr(value, "problems", None)
        for error in own() if own else ():
            error.at = (*at, *error.at)
            yield error
        for item in fields.fields_of(type(value)):
            yield from iter_problems(getattr(value, item.attribute), (*at, item.key))
