"""Variables of a recipe: declared, typed, given a value, put in their places. There is no expression language."""

from __future__ import annotations

import os
import os.path
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelrecipe.errors import LanguageError, RecipeError, UsageError, did_you_mean
from modelrecipe.source import Source, parse_scalar, read_source

_WHOLE = re.compile(r"\$\{([A-Za-z_]\w*)\}")
_ANY = re.compile(r"\$(\$)?\{([^}]*)\}?")
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "path": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list,),
}


@dataclass(frozen=True)
class Given:
    """A value from outside the recipe.

    Args:
        value: the value.
        folder: what a path is relative to; None for one that is relative to the recipe file already.
        said: where it was given, for messages.
    """

    value: Any
    folder: Path | None
    said: str


def given_on_command_line(pairs: tuple[str, ...], files: tuple[Path, ...]) -> dict[str, Given]:
    """The values of `--vars FILE` and, over them, `--set name=value`.

    Raises:
        UsageError: a pair without `=`, or a file that is no mapping.
    """
    given: dict[str, Given] = {}
    for file in files:
        source = read_source(file)
        if not isinstance(source.data, dict):
            raise UsageError(f"'{file}' is no mapping of names to values", hint="write lines as 'factor: 0.8'")
        for name, value in source.data.items():
            given[name] = Given(value, file.parent, f"--vars {file}")
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"--set {pair}: there is no '='", hint="write --set name=value")
        given[name.strip()] = Given(parse_scalar(text), Path(), f"--set {pair}")
    return given


@dataclass
class Scope:
    """The variables of one recipe file while it is read; notes which ones were used."""

    values: dict[str, Any]
    paths: frozenset[str] = frozenset()
    used: set[str] = field(default_factory=set)
    broken: frozenset[str] = frozenset()

    def put_in(self, data: Any, at: tuple[str | int, ...], found: list[RecipeError]) -> Any:
        """`data` with every `${name}` replaced; a text that is nothing else keeps the variable's type."""
        if isinstance(data, dict):
            return {key: self.put_in(value, (*at, key), found) for key, value in data.items()}
        if isinstance(data, list):
            return [self.put_in(value, (*at, number), found) for number, value in enumerate(data)]
        if not isinstance(data, str) or "${" not in data:
            return data
        whole = _WHOLE.fullmatch(data)
        if whole:
            return self._value(whole.group(1), at, found)
        return _ANY.sub(lambda match: self._part(match, at, found), data)

    def _part(self, match: re.Match[str], at: tuple[str | int, ...], found: list[RecipeError]) -> str:
        if match.group(1):
            return match.group()[1:]
        if not _WHOLE.fullmatch(match.group()):
            found.append(
                LanguageError(
                    f"'{match.group()}' is no variable", hint="write ${name}, or $${ for the characters themselves", at=at
                )
            )
            return ""
        value = self._value(match.group(2), at, found)
        return str(value).lower() if isinstance(value, bool) else str(value)

    def _value(self, name: str, at: tuple[str | int, ...], found: list[RecipeError]) -> Any:
        self.used.add(name)
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


def open_scope(source: Source, given: Mapping[str, Given], found: list[RecipeError], *, root: Path) -> Scope:
    """Give every declared variable its value.

    Args:
        source: the recipe; its `vars` fit the schema.
        given: values from outside, for variables of this recipe.
        found: collects what is wrong.
        root: the folder of the recipe file; values of type `path` become relative to it.
    """
    declared: dict[str, Any] = source.data.get("vars") or {}
    for name, item in given.items():
        if name not in declared:
            hint = did_you_mean(name, declared) or ("declared: " + ", ".join(declared) if declared else None)
            found.append(UsageError(f"{item.said}: the recipe declares no variable '{name}'", hint=hint))
    values: dict[str, Any] = {}
    broken: set[str] = set()
    for name, declaration in declared.items():
        try:
            values[name] = _value_of(name, declaration, given.get(name), root)
        except RecipeError as error:
            error.place = source.key_place(("vars", name))
            found.append(error)
            broken.add(name)
    paths = frozenset(name for name, item in declared.items() if item["type"] == "path")
    return Scope(values=values, paths=paths, broken=frozenset(broken))


def _value_of(name: str, declaration: Mapping[str, Any], given: Given | None, root: Path) -> Any:
    kind = declaration["type"]
    if given is None and declaration.get("env", "") in os.environ:
        text = os.environ[declaration["env"]]
        value = text if kind in ("string", "path") else parse_scalar(text)
        given = Given(value, Path(), f"environment variable {declaration['env']}")
    if given is None:
        if "default" not in declaration:
            raise LanguageError(f"variable '{name}' has no value", hint=f"pass --set {name}=..., or give it a default")
        given = Given(declaration["default"], None, "its default")
    value = str(given.value) if kind in ("string", "path") and _is_number(given.value) else given.value
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        raise LanguageError(f"variable '{name}' must be of type {kind}, but {given.said} is {value!r}")
    if kind == "path" and given.folder is not None:
        return relative_path(given.folder / value, root)
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def relative_path(path: Path, root: Path) -> str:
    """`path` relative to `root` with forward slashes, also upwards."""
    return Path(os.path.relpath(path.resolve(), root.resolve())).as_posix()


def unused(source: Source, scope: Scope) -> Iterator[RecipeError]:
    """Declared variables that nothing uses."""
    for name in source.data.get("vars") or {}:
        if name not in scope.used:
            yield LanguageError(
                f"variable '{name}' is declared but not used",
                hint=f"use it as ${{{name}}}, or remove it",
                place=source.key_place(("vars", name)),
            )
