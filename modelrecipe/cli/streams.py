"""What a stream takes: its width, colours, and the characters of its encoding. Knows no reports."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

_PLAIN = str.maketrans({"→": "->", "\u00d7": "x", "…": "...", "·": "-", "✓": "+"})
_MOST_COLUMNS = 120


def wants_color(stream: TextIO | None, *, is_forbidden: bool = False) -> bool:
    """Whether to write colour codes: to terminals, unless `NO_COLOR` is set; `FORCE_COLOR` also into pipes."""
    if stream is None or is_forbidden or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


def width_of_terminal() -> int:
    """Columns to write: of the terminal or of `COLUMNS`, 80 in a pipe, never so many that lines get hard to read."""
    return max(40, min(_MOST_COLUMNS, shutil.get_terminal_size((80, 24)).columns))


def encodable(text: str, encoding: str | None) -> str:
    """The text for a stream that may not know all its characters: arrows and their like in ASCII."""
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding or "utf-8", "replace").decode(encoding or "utf-8")
    return text
