"""Text to `Recipe`: the whole file is read, and all its problems are told at once.

Order of failure: YAML, keys and types, variables, step names, step parameters, layer classes and their arguments. What
needs a model (selectors, shapes) comes later, in `plan` and `run`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelrecipe import fields, registry, schema
from modelrecipe.errors import LanguageError, Place, Problems, RecipeError, did_you_mean
from modelrecipe.selector import Selector
from modelrecipe.source import Source, read_source
from modelrecipe.step import Step
from modelrecipe.variables import Given, Scope, is_unknown, open_scope, relative_path, unused

_MOST_INCLUDES = 20
_BESIDE = ("id", "description", "when")


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

    def place_of(self, error: RecipeError) -> Place:
        """Where in the text an error of this step stands: the unknown key itself, or the offending value."""
        path = (*self.at, *error.at)
        return self.source.key_place(path) if _is_about_key(error) else self.source.place(path)

    def placed(self, error: RecipeError) -> RecipeError:
        """The error with place and dotted key filled in, unless it has them."""
        if error.place is None:
            error.place = self.place_of(error)
        if error.key is None:
            error.key = ".".join([self.word, *(str(part) for part in error.at if isinstance(part, str))])
        return error


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe that is known to be well formed.

    Args:
        path: the recipe file.
        name, description, seed: as the recipe says; the seed is 0 where it says none.
        vars: every variable with its value.
        imports: Python modules that it needs.
        steps: the steps in order, included ones spliced in, those whose `when` is false left out.
    """

    path: Path
    name: str
    description: str = ""
    seed: int = 0
    vars: Mapping[str, Any] = field(default_factory=dict)
    imports: tuple[str, ...] = ()
    steps: tuple[RecipeStep, ...] = ()

    @property
    def folder(self) -> Path:
        """What the recipe's paths are relative to."""
        return self.path.parent

    def resolved(self) -> dict[str, Any]:
        """The recipe as plain data, with variables put in and includes spliced; what a lock compares."""
        return {
            "name": self.name,
            "seed": self.seed,
            "imports": list(self.imports),
            "vars": dict(self.vars),
            "steps": [{item.word: item.data} for item in self.steps],
        }

    def run(self, **options: Any) -> Any:
        """Run the recipe; see `modelrecipe.run.run_recipe` for the options and the report it returns."""
        from modelrecipe.run import run_recipe

        return run_recipe(self, **options)

    def plan(self, **options: Any) -> Any:
        """Say what a run would do, without writing; see `modelrecipe.plan.plan_recipe`."""
        from modelrecipe.plan import plan_recipe

        return plan_recipe(self, **options)


def load_recipe(path: str | Path, given: Mapping[str, Any] | None = None) -> Recipe:
    """Read and check a recipe file.

    Args:
        path: the file.
        given: values for its variables, over their defaults; relative paths are relative to the working directory.

    Raises:
        Problems: everything that is wrong with the text, sorted by line.
        FileError: the file cannot be read.
    """
    found: list[RecipeError] = []
    values = {
        name: item if isinstance(item, Given) else Given(item, Path(), f"the given {name}")
        for name, item in (given or {}).items()
    }
    reader = _Reader(found)
    recipe = reader.recipe(Path(path), values)
    if found or recipe is None:
        raise Problems(found)
    return recipe


@dataclass
class _Reader:
    """Reads a recipe and what it includes, and collects problems on the way."""

    found: list[RecipeError]
    open_files: tuple[Path, ...] = ()
    imports: list[str] = field(default_factory=list)

    def recipe(self, path: Path, given: Mapping[str, Given]) -> Recipe | None:
        source = read_source(path)
        before = len(self.found)
        self._check_head(source)
        if len(self.found) > before and not _is_readable(source.data):
            return None
        scope = open_scope(source, given, self.found, root=path.parent)
        steps = tuple(self._steps(source, scope, path))
        head = {key: scope.put_in(source.data.get(key), (key,), self.found) for key in ("name", "description")}
        self.found += list(unused(source, scope))
        self.imports += [item for item in source.data.get("imports") or () if item not in self.imports]
        return Recipe(
            path=path,
            name=str(head["name"] or path.stem),
            description=str(head["description"] or ""),
            seed=source.data.get("seed") or 0,
            vars=scope.values,
            imports=tuple(self.imports),
            steps=steps,
        )

    def _check_head(self, source: Source) -> None:
        if not isinstance(source.data, dict):
            self._add(source, (), LanguageError("a recipe is a mapping with 'version' and 'steps'"), "")
            return
        for error in schema.problems(source.data, schema.head_schema()):
            self._add(source, (), error, ".".join(str(part) for part in error.at))

    def _add(self, source: Source, at: tuple[str | int, ...], error: RecipeError, key: str | None = None) -> None:
        path = (*at, *error.at)
        error.place = error.place or (source.key_place(path) if _is_about_key(error) else source.place(path))
        error.key = error.key or key or None
        self.found.append(error)

    def _steps(self, source: Source, scope: Scope, path: Path) -> Iterator[RecipeStep]:
        items = source.data.get("steps")
        for number, item in enumerate(items if isinstance(items, list) else ()):
            at: tuple[str | int, ...] = ("steps", number)
            word = self._word(source, at, item)
            if word is None:
                continue
            missed: list[RecipeError] = []
            data = scope.put_in(item[word], (*at, word), missed)
            beside = {key: scope.put_in(item[key], (*at, key), missed) for key in _BESIDE if key in item}
            for error in missed:
                self._add(source, (), error, word)
            if missed or is_unknown(data) or is_unknown(beside):
                continue
            if not self._beside_is_sound(source, at, beside):
                continue
            if beside.get("when", True):
                yield from self._step(source, at, word, data, beside, scope, path)

    def _word(self, source: Source, at: tuple[str | int, ...], item: Any) -> str | None:
        """The one step key of an item of `steps`."""
        known = [*registry.steps(), "include"]
        if not isinstance(item, dict) or not item:
            near = did_you_mean(item, known) if isinstance(item, str) else None
            self._add(source, at, LanguageError("a step is a mapping, as '- save: out.keras'", hint=near))
            return None
        words = [key for key in item if key in known]
        strange = [key for key in item if key not in known and key not in _BESIDE]
        for key in strange:
            hint = did_you_mean(key, [*known, *_BESIDE]) or ("known steps: " + ", ".join(known) if not words else None)
            message = f"unknown key '{key}' beside '{words[0]}'" if words else f"unknown step '{key}'"
            self._add(source, (), LanguageError(message, hint=hint, at=(*at, key)))
        if len(words) > 1:
            names = " and ".join(f"'{word}'" for word in words)
            hint = f"begin a new list item with '- {words[1]}:'"
            self._add(source, (), LanguageError(f"one step has two words, {names}", hint=hint, at=(*at, words[1])))
            return None
        if not words and not strange:
            self._add(source, at, LanguageError("a step without a word", hint="known steps: " + ", ".join(known)))
        return words[0] if words else None

    def _beside_is_sound(self, source: Source, at: tuple[str | int, ...], beside: Mapping[str, Any]) -> bool:
        before = len(self.found)
        for key, value in beside.items():
            for error in schema.problems(value, schema.ITEM_KEYS[key]):
                error.at = (*at, key, *error.at)
                self._add(source, (), error, key)
        return len(self.found) == before

    def _step(
        self,
        source: Source,
        at: tuple[str | int, ...],
        word: str,
        data: Any,
        beside: Mapping[str, Any],
        scope: Scope,
        path: Path,
    ) -> Iterator[RecipeStep]:
        here = (*at, word)
        before = len(self.found)
        for error in _without_echo(schema.problems(data, schema.step_schema(word)), word, data):
            self._add(source, here, error, _dotted(word, error))
        if len(self.found) > before:
            return
        if word == "include":
            yield from self._include(source, here, data, scope, path)
            return
        step = fields.read(registry.steps()[word], data)
        for error in iter_problems(step):
            self._add(source, here, error, _dotted(word, error))
        yield RecipeStep(
            step=step,
            word=word,
            data=data,
            source=source,
            at=here,
            folder=path.parent,
            id=beside.get("id"),
            description=beside.get("description"),
        )

    def _include(
        self, source: Source, at: tuple[str | int, ...], data: Any, scope: Scope, path: Path
    ) -> Iterator[RecipeStep]:
        data = {"recipe": data} if isinstance(data, str) else data
        target = path.parent / data["recipe"]
        chain = (*self.open_files, path.resolve())
        if target.resolve() in chain or len(chain) > _MOST_INCLUDES:
            self._add(source, at, LanguageError(f"'{data['recipe']}' includes itself"), "include")
            return
        written = _at(source.data, at)
        given = {
            name: Given(_rebased(value, _at(written, ("vars", name)), scope, path, target), None, "the given value")
            for name, value in (data.get("vars") or {}).items()
        }
        inner = _Reader(self.found, chain, self.imports)
        try:
            recipe = inner.recipe(target, given)
        except Problems as problems:
            self.found += problems.problems
            return
        except RecipeError as error:
            self._add(source, at, error, "include")
            return
        if recipe is not None:
            yield from recipe.steps


def _at(data: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        if not isinstance(data, dict | list):
            return None
        data = data[key]
    return data


def _rebased(value: Any, written: Any, scope: Scope, path: Path, target: Path) -> Any:
    """A path variable handed to an included recipe, relative to that recipe's folder."""
    if isinstance(written, str) and any(written == f"${{{name}}}" for name in scope.paths):
        return relative_path(path.parent / value, target.parent)
    return value


def _is_readable(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("vars", {}), dict) and isinstance(data.get("steps"), list)


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


def _is_about_key(error: RecipeError) -> bool:
    return error.message.startswith("unknown")


def _dotted(word: str, error: RecipeError) -> str:
    keys = [str(part) for part in error.at if isinstance(part, str)]
    if _is_about_key(error):
        keys = keys[:-1]
    return ".".join([word, *keys])


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
