"""YAML that other programs wrote, as plain data: tags of Python's own containers are known, all others are refused.

Unlike a recipe, such a text has no reader who wants to be shown a place in it.
"""

from __future__ import annotations

from typing import Any

import yaml

from modelrecipe.errors import FileError

_MOST_NODES = 1_000_000
_DEEPEST = 200


class _Loader(yaml.SafeLoader):
    """Builds tuples as lists, as JSON does, and nothing that could run code."""


def _sequence(loader: yaml.SafeLoader, node: yaml.Node) -> list[Any]:
    return loader.construct_sequence(node, deep=True)  # type: ignore[arg-type]  # PyYAML refuses any other node


def _text(loader: yaml.SafeLoader, node: yaml.Node) -> str:
    return str(loader.construct_scalar(node))  # type: ignore[arg-type]  # PyYAML refuses any other node


_Loader.add_constructor("tag:yaml.org,2002:python/tuple", _sequence)
_Loader.add_constructor("tag:yaml.org,2002:python/unicode", _text)
_Loader.add_constructor("tag:yaml.org,2002:python/str", _text)


def read_foreign(text: str) -> Any:
    """The data of the one document of a YAML text.

    Raises:
        FileError: it is no YAML, has tags that stand for other objects, or unfolds without bound.
    """
    try:
        data = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise FileError(f"is no YAML of plain data ({str(error).partition(chr(10))[0]})") from error
    except (RecursionError, ValueError, TypeError) as error:
        raise FileError(f"is no YAML of plain data ({error})") from error
    _refuse_boundless(data)
    return data


def _refuse_boundless(data: Any) -> None:
    """Aliases let a short text stand for data without end."""
    waiting, met = [(data, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        met += 1
        if met > _MOST_NODES or depth > _DEEPEST:
            raise FileError("is refused: its aliases unfold without bound")
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting += [(item, depth + 1) for item in inner]
