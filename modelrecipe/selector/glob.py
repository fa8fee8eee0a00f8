"""Globs on names and paths: `*`, `?`, `[abc]`, and `**/` across any number of nested models."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from modelrecipe.graph import Located

_SET = re.compile(r"\[(!?)(\]?[^\]]+|\])\]")


def matcher(pattern: str) -> Callable[[Located], bool]:
    """A test of layers: on the path when the pattern holds a `/`, else on the layer's own name at any depth.

    A leading `/` means the outermost model, so that `/conv` names its layer `conv` and no nested one. A layer that is
    named exactly so is matched whatever characters its name holds.
    """
    if "/" in pattern:
        path = pattern.removeprefix("/")
        on_path = compile_glob(path)
        return lambda located: located.path == path or on_path.fullmatch(located.path) is not None
    on_name = _compile(pattern, any_character=".")
    return lambda located: located.layer.name == pattern or on_name.fullmatch(located.layer.name) is not None


def compile_glob(pattern: str) -> re.Pattern[str]:
    """A glob on paths as a regular expression: `*` and `?` stay within a name, `**/` crosses any number of them."""
    return _compile(pattern, any_character="[^/]")


@lru_cache(maxsize=256)
def _compile(pattern: str, *, any_character: str) -> re.Pattern[str]:
    out, rest = "", pattern
    while rest:
        if rest.startswith("**"):
            crosses = rest.startswith("**/")
            out, rest = out + ("(?:.*/)?" if crosses else ".*"), rest[3 if crosses else 2 :].lstrip("*")
        elif (found := _SET.match(rest)) is not None:
            out, rest = out + _set(found.group(2), is_negated=bool(found.group(1))), rest[found.end() :]
        else:
            out, rest = out + {"*": f"{any_character}*", "?": any_character}.get(rest[0], re.escape(rest[0])), rest[1:]
    return re.compile(out, re.DOTALL)


def _set(text: str, *, is_negated: bool) -> str:
    """`[a-c]` as a regular expression; a range that runs backwards holds nothing."""
    inside = "".join(_members(text))
    if is_negated:
        return f"[^/{inside}]"
    return f"[{inside}]" if inside else "(?!)"


def _members(text: str) -> Iterator[str]:
    while text:
        if len(text) > 2 and text[1] == "-":
            if text[0] <= text[2]:
                yield f"{re.escape(text[0])}-{re.escape(text[2])}"
            text = text[3:]
        else:
            yield re.escape(text[0])
            text = text[1:]
