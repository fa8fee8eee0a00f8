"""Text to `Recipe`: the whole file is read, and all its problems are told at once.

Order of failure: YAML, keys and types, variables, step names, step parameters, layer classes and their arguments. What
needs a model (selectors, shapes) comes later, in `plan` and `run`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelrecipe import fields, registry, schema
from modelrecipe.errors import LanguageError, Place, Problems, RecipeError
from modelrecipe.frozen import frozen
from modelrecipe.recipe.step import BESIDE, RecipeStep, iter_problems, placed, step_problems, step_word
from modelrecipe.recipe.variables import Given, Scope, is_unknown, open_scope, unused
from modelrecipe.source import Source, parse_source, read_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Recipe", "RecipeStep", "iter_problems", "load_recipe", "read_recipe"]

_MOST_INCLUDES = 20
_HEAD_WITH_VARIABLES = ("name", "description", "seed")


@frozen
class Origin:
    """Where a module is named under `imports`: in which folder's recipe, and at what place in it."""

    folder: Path
    place: Place


@frozen
class Recipe:
    """A recipe that is known to be well formed.

    Args:
        path: the recipe file.
        name, description, seed: as the recipe says; the seed is 0 where it says none.
        vars: every variable with its value.
        imports: Python modules that it needs.
        steps: the steps in order, included ones spliced in, those whose `when` is false left out.
        origins: for each of `imports`, where it is named.
    """

    path: Path
    name: str
    description: str = ""
    seed: int = 0
    vars: Mapping[str, Any] = field(default_factory=dict)
    imports: tuple[str, ...] = ()
    steps: tuple[RecipeStep, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict, compare=False)

    def __repr__(self) -> str:
        words = ", ".join(item.word for item in self.steps)
        return f"<recipe '{self.name}': {words or 'no steps'}>"

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
    return _checked(read_source(Path(path)), Path(path), given or {})


def read_recipe(text: str, path: Path, given: Mapping[str, Any] | None = None) -> Recipe:
    """Read and check the text of a recipe that need not be in a file.

    Args:
        text: the recipe.
        path: where it would be: its paths are relative to that folder, and messages name it.
        given: as for `load_recipe`.

    Raises:
        Problems: as for `load_recipe`.
    """
    return _checked(parse_source(text, str(path)), path, given or {})


def _checked(source: Source, path: Path, given: Mapping[str, Any]) -> Recipe:
    found: list[RecipeError] = []
    values = {
        name: item if isinstance(item, Given) else Given(item, Path(), f"the given {name}")
        for name, item in given.items()
    }
    recipe = _Reader(found).recipe(source, path, values)
    if found or recipe is None:
        # A recipe that is included twice says its problems twice.
        raise Problems({(error.place, error.message): error for error in found}.values())
    return recipe


@dataclass
class _Reader:
    """Reads a recipe and what it includes, and collects problems on the way."""

    found: list[RecipeError]
    imports: dict[str, Origin] = field(default_factory=dict)
    open_files: tuple[Path, ...] = ()

    def recipe(
        self, source: Source, path: Path, given: Mapping[str, Given], giver: Place | None = None
    ) -> Recipe | None:
        """The recipe of one text, or None where it is no recipe at all."""
        if not isinstance(source.data, dict):
            hint = "write 'version: 1', and 'steps:' above the list" if isinstance(source.data, list) else None
            self._add(source, LanguageError("a recipe is a mapping with 'version' and 'steps'", hint=hint))
            return None
        scope = open_scope(source, given, self.found, root=path.parent, giver=giver)
        head = self._head(source, scope, path.parent)
        steps = tuple(self._steps(source, scope, path))
        self.found += unused(source)
        return Recipe(
            path=path,
            name=str(head.get("name") or path.stem),
            description=str(head.get("description") or ""),
            seed=head.get("seed") or 0,
            vars=scope.values,
            imports=tuple(self.imports),
            origins=dict(self.imports),
            steps=steps,
        )

    def _head(self, source: Source, scope: Scope, folder: Path) -> dict[str, Any]:
        """Everything but the steps, with variables put into the keys that may have them."""
        missed: list[RecipeError] = []
        head = {
            key: scope.put_in(value, (key,), missed) if key in _HEAD_WITH_VARIABLES else value
            for key, value in source.data.items()
        }
        known = {key: value for key, value in head.items() if not is_unknown(value)}
        for error in (*missed, *schema.problems(known, schema.head_schema())):
            self._add(source, error)
        imports: Any = known.get("imports")
        names: list[Any] = imports if isinstance(imports, list) else []
        for number, name in enumerate(names):
            if isinstance(name, str):
                self.imports.setdefault(name, Origin(folder=folder, place=source.place(("imports", number))))
        return known

    def _add(self, source: Source, error: RecipeError, at: tuple[str | int, ...] = (), word: str = "") -> None:
        self.found.append(placed(error, source, at, word))

    def _steps(self, source: Source, scope: Scope, path: Path) -> Iterator[RecipeStep]:
        items = source.data.get("steps")
        ids: dict[str, int] = {}
        for number, item in enumerate(items if isinstance(items, list) else ()):
            at = ("steps", number)
            word = self._word(source, at, item)
            if word is None:
                continue
            beside = self._beside(source, at, item, scope)
            self._check_id(source, at, beside.get("id"), ids)
            missed: list[RecipeError] = []
            data = scope.put_in(item[word], (), missed)
            errors = [error for error in step_problems(word, data) if not is_unknown(_value_at(data, error.at))]
            for error in (*missed, *errors):
                self._add(source, error, (*at, word), word)
            if missed or errors or is_unknown(data):
                continue
            is_wanted = beside.get("when", True) is not False
            if word == "include":
                yield from self._include(source, (*at, word), data, path) if is_wanted else ()
            elif is_wanted:
                yield RecipeStep(
                    step=fields.read(registry.step(word), data),
                    word=word,
                    data=data,
                    source=source,
                    at=(*at, word),
                    folder=path.parent,
                    id=beside.get("id"),
                    description=beside.get("description"),
                )

    def _beside(
        self, source: Source, at: tuple[str | int, ...], item: Mapping[str, Any], scope: Scope
    ) -> dict[str, Any]:
        """The sound ones of the keys that stand beside a step's word."""
        sound: dict[str, Any] = {}
        for key in BESIDE:
            if key not in item:
                continue
            errors: list[RecipeError] = []
            value = scope.put_in(item[key], (), errors)
            if not is_unknown(value):
                errors += schema.problems(value, schema.ITEM_KEYS[key])
            for error in errors:
                self._add(source, error, (*at, key), key)
            if not errors and not is_unknown(value):
                sound[key] = value
        return sound

    def _check_id(self, source: Source, at: tuple[str | int, ...], name: str | None, ids: dict[str, int]) -> None:
        if name is None:
            return
        line = source.place((*at, "id")).line
        first = ids.setdefault(name, line)
        if first != line:
            self._add(source, LanguageError(f"id '{name}' is given twice, first in line {first}"), (*at, "id"), "id")

    def _word(self, source: Source, at: tuple[str | int, ...], item: Any) -> str | None:
        """The one step key of an item of `steps`; None where it has none, which was said."""
        word, errors = step_word(item)
        for error in errors:
            self._add(source, error, at)
        return word

    def _include(self, source: Source, at: tuple[str | int, ...], data: Any, path: Path) -> Iterator[RecipeStep]:
        data = {"recipe": data} if isinstance(data, str) else data
        target = path.parent / data["recipe"]
        chain = (*self.open_files, path)
        endless = _endless(target, chain)
        if endless is not None:
            self._add(source, endless, at, "include")
            return
        given = {
            name: Given(
                value,
                path.parent,
                "the given value",
                place=source.place((*at, "vars", name)),
                key_place=source.key_place((*at, "vars", name)),
            )
            for name, value in (data.get("vars") or {}).items()
        }
        try:
            included = read_source(target)
            recipe = _Reader(self.found, self.imports, chain).recipe(included, target, given, source.place(at))
        except Problems as problems:
            self.found += problems.problems
        except RecipeError as error:
            self._add(source, error, at, "include")
        else:
            yield from recipe.steps if recipe is not None else ()


def _endless(target: Path, chain: tuple[Path, ...]) -> RecipeError | None:
    """Refuse an include that leads back to a file that is being read, or deeper than anybody can follow."""
    resolved = [path.resolve() for path in chain]
    if target.resolve() in resolved:
        names = [path.name for path in chain[resolved.index(target.resolve()) :]]
        way = f" through {', '.join(repr(name) for name in names[1:])}" if names[1:] else ""
        return LanguageError(f"'{target.name}' includes itself{way}", hint="remove this include")
    if len(chain) > _MOST_INCLUDES:
        return LanguageError(f"recipes include each other more than {_MOST_INCLUDES} deep", hint="flatten them")
    return None


def _value_at(data: Any, at: tuple[str | int, ...]) -> Any:
    """The value that `at` leads to; the last one on the way where it leads to nothing."""
    for key in at:
        inner: Any = dict(enumerate(data)) if isinstance(data, list) else data
        if not isinstance(inner, dict) or key not in inner:
            break
        data = inner[key]
    return data
