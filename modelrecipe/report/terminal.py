"""What fits a line of a terminal: shortening, columns, and styled lines as text. Knows nothing of models."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.cells import get_character_cell_size

from modelrecipe.frozen import frozen
from modelrecipe.report.line import GAP, Line, width_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@frozen(kw_only=False)
class Cell:
    """One field of a table.

    Args:
        text: what stands there.
        style: a rich style; plain when empty.
        right: whether it is aligned to the right.
    """

    text: str
    style: str = ""
    right: bool = False


def printable(text: str) -> str:
    """The text without line ends and control characters, which in names of layers could drive the terminal."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "\ufffd" for character in " ".join(text.splitlines()))


def cut(text: str, width: int) -> str:
    """The beginning of a text, in at most `width` columns; an ellipsis says that something is left out."""
    text = printable(text)
    if width_of(text) <= width:
        return text
    return _begin(text, width - 1).rstrip() + GAP if width > 0 else ""


def shorten(text: str, width: int) -> str:
    """Beginning and end of a text, in at most `width` columns; of a path, the last name stays whole where it can.

    Example:
        >>> shorten("backbone/stage_4/block_17/conv_expand", 24)
        'backbone/st…/conv_expand'
    """
    text = printable(text)
    if width_of(text) <= width:
        return text
    if width < 4:
        return cut(text, width)
    end = "/" + text.rpartition("/")[2] if "/" in text else ""
    wanted = width_of(end)
    if not end or wanted > width - 4:
        wanted = width // 2
    end = _end(text, wanted)
    return _begin(text, width - 1 - width_of(end)) + GAP + end


def _begin(text: str, width: int) -> str:
    used = 0
    for number, character in enumerate(text):
        used += get_character_cell_size(character)
        if used > width:
            return text[:number]
    return text


def _end(text: str, width: int) -> str:
    return _begin(text[::-1], width)[::-1]


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` columns, broken between words; a longer word is broken inside."""
    lines = [""]
    for word in printable(text).split():
        rest = word
        if lines[-1] and width_of(lines[-1]) + 1 + width_of(rest) <= width:
            lines[-1] += f" {rest}"
            continue
        if lines[-1]:
            lines.append("")
        while width_of(rest) > width and (part := _begin(rest, width)):
            lines[-1] = part
            lines.append("")
            rest = rest[len(part) :]
        lines[-1] = rest
    return lines


def columns(
    rows: Sequence[Sequence[Cell]], width: int, *, indent: int = 0, shrink: Mapping[int, int] | None = None
) -> list[Line]:
    """Rows as a table with two spaces between columns; a column that is empty everywhere is left out.

    Args:
        rows: each with equally many cells.
        width: of a line, the indent included.
        indent: spaces in front.
        shrink: columns that give way when a line would be too long, the first one first, each down to its number of
            columns; when that does not do, the line is cut.
    """
    used = [number for number in range(len(rows[0]) if rows else 0) if any(row[number].text for row in rows)]
    widths = {number: max(width_of(printable(row[number].text)) for row in rows) for number in used}
    excess = indent + sum(widths.values()) + 2 * (len(used) - 1) - width
    for number, least in (shrink or {}).items():
        if excess > 0 and number in widths:
            given = min(excess, max(0, widths[number] - least))
            widths[number] -= given
            excess -= given
    return [_row([(row[number], widths[number]) for number in used], width, indent) for row in rows]


def _row(cells: Sequence[tuple[Cell, int]], width: int, indent: int) -> Line:
    line = Line(" " * indent)
    for number, (cell, room) in enumerate(cells):
        text = shorten(cell.text, min(room, max(0, width - line.width)))
        padding = " " * (room - width_of(text))
        line.add(padding if cell.right else "")
        line.add(text, cell.style)
        if number < len(cells) - 1:
            line.add(("" if cell.right else padding) + "  ")
    return line.cut(width)


def painted(lines: Iterable[Line], *, color: bool) -> str:
    """Lines as one text that ends with a line end, with colour codes or without."""
    if not color:
        return "".join(f"{line.plain.rstrip()}\n" for line in lines)
    from rich.console import Console
    from rich.text import Text

    target = io.StringIO()
    console = Console(file=target, force_terminal=True, no_color=False, color_system="standard", legacy_windows=False)
    for line in lines:
        text = Text.assemble(*line)
        text.rstrip()
        # The lines fit already: `soft_wrap` keeps the console from wrapping and cropping them again.
        console.print(text, soft_wrap=True, markup=False, highlight=False, emoji=False)
    return target.getvalue()
