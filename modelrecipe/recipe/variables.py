"""Variables of a recipe: declared, typed, given a value, put in their places. There is no expression language."""

from __future__ import annotations

import json
import os
import os.path
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from modelrecipe.errors import LanguageError, Place, Problems, RecipeError, UnknownKeyError, UsageError, did_you_mean
from modelrecipe.frozen import frozen
from modelrecipe.source import Source, parse_scalar
from modelrecipe.source.scalar import quoted

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WHOLE = re.compile(r"\$\{([A-Za-z_]\w*)\}", re.ASCII)
_ANY = re.compile(r"\$(\$)?\{([^}]*)\}?")
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "path": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list,),
}
_TEXTS = ("string", "path")


@frozen(kw_only=False)
class Given:
    """A value from outside the recipe.

    Args:
        value: the value.
        folder: what a path is relative to; None for one that is relative to the recipe file already.
        said: where it was given, for messages.
        is_text: whether the value is text from outside of any file, which is read as the variable's type says: as it
            is for a `string` or `path`, as a YAML value for all others.
        place: where it was given, when that was in a recipe.
        key_place: where its name stands there, when that was in another recipe.
    """

    value: Any
    folder: Path | None
    said: str
    is_text: bool = False
    place: Place | None = None
    key_place: Place | None = None

    def wrong(self, message: str, hint: str | None = None) -> RecipeError:
        """An error about this value: of the recipe that gives it, or of the command line."""
        if self.place is not None or self.folder is None:
            return LanguageError(message, hint=hint, place=self.place)
        return UsageError(message, hint=hint)


@frozen(kw_only=False)
class Scope:
    """The variables of one recipe file.

    Args:
        values: those that have one, with the type they are declared with.
        broken: those whose declaration or value is wrong, which was said already.
    """

    values: Mapping[str, Any]
    broken: frozenset[str] = frozenset()

    def put_in(self, data: Any, at: tuple[str | int, ...], found: list[RecipeError]) -> Any:
        """`data` with every `${name}` replaced; a text that is nothing else keeps the variable's type."""
        if isinstance(data, dict):
            wrong = [key for key in data if any(_references(key))]
            found += [UnknownKeyError(f"key {quoted(key)} cannot hold a variable", at=(*at, key)) for key in wrong]
            return {key: self.put_in(value, (*at, key), found) for key, value in data.items()}
        if isinstance(data, list):
            return [self.put_in(value, (*at, number), found) for number, value in enumerate(data)]
        if not isinstance(data, str) or "${" not in data:
            return data
        whole = _WHOLE.fullmatch(data)
        if whole:
            return self._value(whole.group(1), at, found)
        missed: list[str] = []
        text = _ANY.sub(lambda match: self._part(match, at, found, missed), data)
        return UNKNOWN if missed else text

    def _part(
        self, match: re.Match[str], at: tuple[str | int, ...], found: list[RecipeError], missed: list[str]
    ) -> str:
        """One `${name}` inside a longer text."""
        said = match.group()
        if match.group(1):
            return said[1:]
        value: Any = UNKNOWN
        if not _WHOLE.fullmatch(said):
            hint = "write ${name}, or $${ for the characters themselves"
            found.append(LanguageError(f"{quoted(said)} is no variable", hint=hint, at=at))
        else:
            value = self._value(match.group(2), at, found)
        if isinstance(value, list):
            message = f"variable '{match.group(2)}' is a list, and cannot stand inside a text"
            found.append(LanguageError(message, hint=f'let "{said}" be the whole value', at=at))
            value = UNKNOWN
        if value is UNKNOWN:
            missed.append(said)
        return str(value).lower() if isinstance(value, bool) else str(value)

    def _value(self, name: str, at: tuple[str | int, ...], found: list[RecipeError]) -> Any:
        if name in self.values:
            return self.values[name]
        if name not in self.broken:
            hint = did_you_mean(name, self.values) or "declare it under vars"
            found.append(LanguageError(f"unknown variable '{name}'", hint=hint, at=at))
        return UNKNOWN


class _Unknown(str):
    """Stands for the value of a variable that has none, so that it causes no second error."""

    __slots__ = ()


UNKNOWN = _Unknown("")


def is_unknown(value: object) -> bool:
    """Whether a variable without a value stands somewhere in `value`."""
    if isinstance(value, Mapping):
        return any(is_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(is_unknown(item) for item in value)
    return value is UNKNOWN


def open_scope(
    source: Source, given: Mapping[str, Given], found: list[RecipeError], *, root: Path, giver: Place | None = None
) -> Scope:
    """Give every declared variable its value.

    Args:
        source: the recipe.
        given: values from outside, for variables of this recipe.
        found: collects what is wrong.
        root: the folder of the recipe file; values of type `path` become relative to it.
        giver: for an included recipe, where it is included.
    """
    declared = declarations(source.data)
    for name, item in given.items():
        if name not in declared:
            hint = did_you_mean(name, declared) or ("declared: " + ", ".join(declared) if declared else None)
            if item.key_place is not None:
                message = f"'{source.file}' declares no variable '{name}'"
                found.append(UnknownKeyError(message, hint=hint, place=item.key_place))
            else:
                found.append(item.wrong(f"{item.said}: the recipe declares no variable '{name}'", hint))
    values: dict[str, Any] = {}
    # Where `vars` itself is wrong, no variable is known to be missing.
    broken = set() if isinstance(source.data.get("vars", {}), dict) else set(_references(source.data))
    for name, declaration in declared.items():
        if not _is_sound(declaration):
            broken.add(name)
            continue
        try:
            values[name] = _value_of(name, declaration, given.get(name), root, giver)
        except RecipeError as error:
            at = ("vars", name, *error.at)
            error.place = error.place or (source.place(at) if error.at else source.key_place(at))
            found.append(error)
            broken.add(name)
    return Scope(values=values, broken=frozenset(broken))


def declarations(data: Any) -> Mapping[str, Any]:
    """The variables that a recipe declares, sound or not."""
    declared = data.get("vars") if isinstance(data, dict) else None
    return declared if isinstance(declared, dict) else {}


def _is_sound(declaration: Any) -> bool:
    """Whether a declaration says a type; what else is wrong with it the schema tells."""
    if not isinstance(declaration, dict) or not set(declaration) <= {"type", "default", "description", "env"}:
        return False
    kind, env = declaration.get("type"), declaration.get("env", "")
    return isinstance(kind, str) and kind in _TYPES and isinstance(env, str)


def _value_of(name: str, declaration: Mapping[str, Any], given: Given | None, root: Path, giver: Place | None) -> Any:
    kind = declaration["type"]
    at = () if given else ("env",) if declaration.get("env", "") in os.environ else ("default",)
    given = given or _from_environment(declaration) or _default(declaration)
    if given is None:
        hint = f"give it under 'vars' of the include: {{{name}: ...}}" if giver else f"pass --set {name}=..."
        raise LanguageError(f"variable '{name}' has no value", hint=f"{hint}, or give it a default", place=giver)
    value = _read(name, kind, given)
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        message = f"variable '{name}' must be of type {kind}, but {given.said} is {_shown(value)}"
        error = given.wrong(message, _hint(kind, value))
        error.at = at
        raise error
    if isinstance(value, str) and kind == "path" and given.folder is not None:
        return relative_path(given.folder / value, root)
    return value


def _from_environment(declaration: Mapping[str, Any]) -> Given | None:
    name = declaration.get("env", "")
    text = os.environ.get(name)
    return None if text is None else Given(text, Path(), f"environment variable {name}", is_text=True)


def _default(declaration: Mapping[str, Any]) -> Given | None:
    if "default" not in declaration:
        return None
    if any(_references(declaration["default"])):
        hint = "write it out, or $${ for the characters"
        raise LanguageError("a default cannot hold a variable", hint=hint, at=("default",))
    return Given(_unescaped(declaration["default"]), None, "its default")


def _unescaped(value: Any) -> Any:
    if isinstance(value, list):
        return [_unescaped(item) for item in value]
    return value.replace("$${", "${") if isinstance(value, str) else value


def _read(name: str, kind: str, given: Given) -> Any:
    """The value that was given, read as its type says."""
    if isinstance(given.value, os.PathLike):
        return os.fspath(given.value)
    if not given.is_text or kind in _TEXTS:
        return given.value
    try:
        return parse_scalar(given.value)
    except Problems as problems:
        message = f"{given.said}: {problems.problems[0].message}"
        raise given.wrong(message, f"variable '{name}' is of type {kind}") from problems


def _shown(value: object) -> str:
    return quoted(value) if isinstance(value, str) else quoted(json.dumps(value, default=str)).strip("'")


def _hint(kind: str, value: object) -> str | None:
    if kind in _TEXTS and isinstance(value, bool | int | float):
        return "put it in quotes if text is meant"
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return f"write {int(value)}"
    return "write [a, b]" if kind == "list" else None


def relative_path(path: Path, root: Path) -> str:
    """`path` relative to `root` with forward slashes, also upwards."""
    return Path(os.path.relpath(path.resolve(), root.resolve())).as_posix()


def unused(source: Source) -> Iterator[RecipeError]:
    """Declared variables that nothing in the file uses."""
    used = set(_references({key: value for key, value in source.data.items() if key != "vars"}))
    for name in declarations(source.data):
        if name not in used and _NAME.fullmatch(name):
            yield LanguageError(
                f"variable '{name}' is declared but not used",
                hint=f"use it as ${{{name}}}, or remove it",
                place=source.key_place(("vars", name)),
            )


def _references(data: Any) -> Iterator[str]:
    """The names of all variables that stand in `data`."""
    if isinstance(data, Mapping | list):
        inner: Collection[Any] = [*data, *data.values()] if isinstance(data, Mapping) else data
        for item in inner:
            yield from _references(item)
    elif isinstance(data, str):
        yield from (found.group(2) for found in _ANY.finditer(data) if not found.group(1))
