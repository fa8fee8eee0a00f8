"""A line of a report: pieces of text with styles. Rich is asked for colours alone, because it takes long to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

if TYPE_CHECKING:
    from collections.abc import Iterator

GAP = "…"
"""Says that something is left out."""


def width_of(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return len(text) if text.isascii() and text.isprintable() else cell_len(text)


class Line:
    """A line in the making.

    Args:
        text: what it begins with.
        style: a rich style; plain when empty.
    """

    def __init__(self, text: str = "", style: str = "") -> None:
        self._pieces: list[tuple[str, str]] = [(text, style)] if text else []

    @classmethod
    def of(cls, *parts: str | tuple[str, str]) -> Line:
        """A line of several pieces, those with a style as pairs."""
        line = cls()
        for part in parts:
            line.add(part) if isinstance(part, str) else line.add(*part)
        return line

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """The pieces, each with its style."""
        return iter(self._pieces)

    @property
    def plain(self) -> str:
        """The text without styles."""
        return "".join(text for text, _ in self._pieces)

    @property
    def width(self) -> int:
        """How many columns it takes."""
        return width_of(self.plain)

    def add(self, text: str, style: str = "") -> Line:
        """Put a piece behind the others."""
        if text:
            self._pieces.append((text, style))
        return self

    def join(self, other: Line) -> Line:
        """Put all pieces of another line behind the own ones."""
        self._pieces += other
        return self

    def fill(self, width: int) -> Line:
        """Put spaces behind the pieces up to a width."""
        return self.add(" " * (width - self.width))

    def cut(self, width: int) -> Line:
        """The line in at most `width` columns; an ellipsis says that something is left out."""
        if self.width <= width:
            return self
        left, room = Line(), width - 1
        for text, style in self._pieces:
            if width_of(text) > room:
                return left.add(set_cell_size(text, room) + GAP, style)
            left.add(text, style)
            room -= width_of(text)
        return left
