"""The documentation of steps as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe.report.line import Line
from modelrecipe.report.terminal import Cell, columns, painted, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelrecipe.documentation import Entry


def render_steps(summaries: Mapping[str, str], *, width: int = 80, color: bool = False) -> str:
    """The list of steps, from each word to what it does."""
    longest = max(map(len, summaries), default=0)
    lines: list[Line] = []
    for step, summary in summaries.items():
        for number, text in enumerate(wrapped(summary, width - longest - 2)):
            word = step if number == 0 else ""
            lines.append(Line.of((word, "bold"), " " * (longest + 2 - len(word)), text))
    lines += [Line(), Line("'modelrecipe steps NAME' tells more about one.", style="dim")]
    return painted(lines, color=color)


def render_entry(entry: Entry, *, width: int = 80, color: bool = False) -> str:
    """One step: what it does, its parameters, an example."""
    return painted(_lines(entry, width), color=color)


def _lines(entry: Entry, width: int) -> Iterator[Line]:
    yield Line.of((entry.name, "bold"), (f"   touches {entry.touches}" if entry.touches else "", "dim"))
    for paragraph in (entry.summary, *entry.body.split("\n\n")):
        if paragraph:
            yield Line()
            yield from (Line(text) for text in wrapped(paragraph, width))
    if entry.parameters:
        yield Line()
        yield from _parameters(entry, width)
    if entry.scalar:
        yield Line(f"A bare value is short for '{entry.scalar}'.", style="dim")
    if entry.example:
        yield Line()
        yield from (Line(f"  {text}", style="green") for text in entry.example.splitlines())


def _parameters(entry: Entry, width: int) -> Iterator[Line]:
    """Key and type in one line, the meaning below: types are as long as meanings."""
    for parameter in entry.parameters:
        remark = "required" if parameter.required else f"default {parameter.default}" if parameter.default else ""
        cells = [
            Cell(f"{parameter.key:<{max(len(item.key) for item in entry.parameters)}}", "bold"),
            Cell(parameter.type.replace("`", ""), "cyan"),
            Cell(remark, "yellow" if parameter.required else "dim"),
        ]
        yield from columns([cells], width, indent=2, shrink={1: 20})
        yield from (Line(f"      {text}") for text in wrapped(parameter.doc, width - 6))
