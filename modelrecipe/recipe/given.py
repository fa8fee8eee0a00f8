"""Values that the command line gives to variables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelrecipe.errors import Problems, UsageError
from modelrecipe.recipe.variables import Given
from modelrecipe.source import read_source
from modelrecipe.source.scalar import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def given_on_command_line(pairs: tuple[str, ...], files: tuple[Path, ...]) -> dict[str, Given]:
    """The values of `--vars FILE`, a later file over an earlier one, and over them `--set name=value`.

    Raises:
        FileError: a file cannot be read.
        Problems: the text of a file is wrong.
        UsageError: a pair without `=` or a name, two pairs for one name, or a file that is no mapping.
    """
    given: dict[str, Given] = {}
    for file in files:
        given |= {name: Given(value, file.parent, f"--vars {file}") for name, value in _read(file).items()}
    texts: dict[str, str] = {}
    for name, text in map(_split, pairs):
        if name in texts:
            message = f"--set gives {quoted(name)} two values, {quoted(texts[name])} and {quoted(text)}"
            raise UsageError(message, hint="leave one out")
        texts[name] = text
        given[name] = Given(text, Path(), f"--set {name}={text}", is_text=True)
    return given


def _read(file: Path) -> Mapping[str, object]:
    """The values of a file; what is wrong with its text is wrong with the command line, not with the recipe."""
    try:
        data = read_source(file).data
    except Problems as problems:
        raise Problems(_as_usage(problems)) from problems
    if not isinstance(data, dict):
        raise UsageError(f"'{file}' is no mapping of names to values", hint="write lines as 'factor: 0.8'")
    return data


def _as_usage(problems: Problems) -> Iterator[UsageError]:
    for error in problems.problems:
        yield UsageError(error.message, hint=error.hint, key=error.key, place=error.place)


def _split(pair: str) -> tuple[str, str]:
    name, equals, text = pair.partition("=")
    if not equals or not name.strip():
        missing = "name" if equals else "'='"
        raise UsageError(f"--set {_shown(pair)}: there is no {missing}", hint="write --set name=value")
    return name.strip(), text


def _shown(pair: str) -> str:
    return quoted(pair)[1:-1]
