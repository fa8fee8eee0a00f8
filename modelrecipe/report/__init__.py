"""What plan and run have to tell, as text for a terminal. Decides nothing and reads no file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe import measures
from modelrecipe.frozen import frozen
from modelrecipe.report.line import Line, width_of
from modelrecipe.report.terminal import cut, painted, printable, shorten, wrapped
from modelrecipe.report.totals import output_lines, totals_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from modelrecipe.outcome import Outcome, StepOutcome
    from modelrecipe.step import Change, ChangeKind

_STYLES: Mapping[ChangeKind, str] = {"+": "green", "-": "red", "~": "yellow", "-/+": "cyan"}
_LEGEND: Mapping[ChangeKind, str] = {"+": "added", "-": "removed", "~": "changed in place", "-/+": "replaced"}
_DONE = {"freeze": "frozen", "rename": "renamed", "rescale": "rescaled", "unfreeze": "unfrozen"}
_MOST_ALIKE = 3
_MOST_TARGET_LINES = 3
_INDENT = 2


def render(outcome: Outcome, *, width: int = 80, color: bool = False, verbose: bool = False) -> str:
    """An outcome as text: a block for each step, the model before and after, the files, a summary.

    Args:
        outcome: of a plan or a run.
        width: no line is longer; at least 40.
        color: whether to write colour codes.
        verbose: list every changed layer instead of the first of many equal changes.
    """
    page = _Page(outcome=outcome, width=max(40, width), verbose=verbose)
    return painted(page.lines(), color=color)


@frozen
class _Page:
    outcome: Outcome
    width: int
    verbose: bool

    def lines(self) -> Iterator[Line]:
        title = "Plan for" if self.outcome.is_plan else "Ran"
        for number, text in enumerate(wrapped(self.outcome.recipe, self.width - len(title) - 1)):
            yield Line.of(" " * (len(title) + 1) if number else f"{title} ", (text, "bold"))
        parts = (
            self._steps(),
            totals_lines(self.outcome, self.width),
            output_lines(self.outcome, self.width),
            self._problems(),
            self._end(),
        )
        for part in parts:
            lines = list(part)
            if lines:
                yield Line()
                yield from lines

    def _steps(self) -> Iterator[Line]:
        parameters = None if self.outcome.before is None else self.outcome.before.parameters
        for step in self.outcome.steps:
            yield from self._head(step)
            for text in wrapped(step.description or "", self.width - self._column):
                if text:
                    yield Line.of(" " * self._column, (text, "italic"))
            yield from self._changes(step)
            for note in _notes(step, parameters):
                yield from self._remark(note)
            parameters = step.parameters if step.parameters is not None else parameters

    @property
    def _column(self) -> int:
        """Where targets and layer names begin: behind the number and the longest word."""
        words = [width_of(printable(step.word)) for step in self.outcome.steps]
        return min(len(str(len(self.outcome.steps))) + 1 + max([3, *words]) + 2, self.width // 3)

    def _head(self, step: StepOutcome) -> Iterator[Line]:
        """Number, word, target; at the right of the first line the place, and after a run the time."""
        number = f"{step.number:>{len(str(len(self.outcome.steps)))}} "
        line = Line.of((number, "dim"), (cut(step.word, self._column - len(number) - 1), "bold"))
        line.fill(self._column)
        time = "" if self.outcome.is_plan else f"{_time(step.seconds):>9}"
        target = f"{step.target}  ({step.id})" if step.id else step.target
        room = self.width - line.width - len(time) - 2
        # The place gives way to the target down to a few columns, then the target goes on in the next lines.
        place = shorten(step.place, min(room // 2, max(16, room - width_of(printable(target)))))
        style = "dim" if step.is_unknown else ""
        fits = width_of(printable(target)) <= room - width_of(place)
        first, *rest = [printable(target)] if fits else wrapped(target, room - width_of(place))
        line.add(first, style)
        line.fill(self.width - width_of(place) - len(time))
        yield line.add(place + time, "dim")
        width = self.width - self._column - 2
        for text in wrapped(cut(" ".join(rest), _MOST_TARGET_LINES * width), width) if rest else ():
            yield Line.of(" " * (self._column + 2), (text, style))

    def _remark(self, note: str) -> Iterator[Line]:
        for number, text in enumerate(wrapped(note, self.width - self._column - 2)):
            yield Line.of(" " * self._column, ("  " if number else "· ", "dim"), (text, "dim"))

    def _changes(self, step: StepOutcome) -> Iterator[Line]:
        groups = [[change] for change in step.changes] if self.verbose else _grouped(step.changes)
        named = [(group[0], f" and {len(group) - 1:,} more" if len(group) > 1 else "") for group in groups]
        lengths = [width_of(printable(change.layer)) + len(more) for change, more in named]
        said = max((width_of(printable(change.what)) for change, _ in named), default=0)
        room = self.width - self._column
        # What is said stands in a column of its own where that leaves room, else behind or below each name.
        aligned = max(lengths, default=0)
        is_table = aligned + 2 + said <= room
        for (change, more), length in zip(named, lengths, strict=True):
            yield from self._change(change, more, aligned if is_table else min(length, room))

    def _change(self, change: Change, more: str, width: int) -> Iterator[Line]:
        style = _STYLES[change.kind]
        line = Line.of(" " * _INDENT, (change.kind, style))
        line.fill(self._column)
        line.add(shorten(change.layer, width - len(more))).add(more, "dim")
        indent = self._column + width + 2
        if indent + width_of(printable(change.what)) <= self.width:
            line.fill(indent)
            yield line.add(printable(change.what), style)
            return
        yield line
        for text in wrapped(change.what, self.width - self._column - 2):
            yield Line.of(" " * (self._column + 2), (text, style))

    def _problems(self) -> Iterator[Line]:
        if self.outcome.problems:
            yield Line("A run would refuse:", style="bold red")
        for problem in self.outcome.problems:
            head, _, excerpt = problem.told(self.width).partition("\n")
            for text in wrapped(head, self.width - _INDENT):
                yield Line.of(" " * _INDENT, (text, "red"))
            for text in excerpt.splitlines():
                yield Line(printable(text))

    def _end(self) -> Iterator[Line]:
        """The legend of a plan, and the whole in one sentence."""
        met = {change.kind for step in self.outcome.steps for change in step.changes}
        if met and self.outcome.is_plan:
            yield from _legend([kind for kind in _LEGEND if kind in met], self.width)
        for text in wrapped(_summary(self.outcome), self.width):
            yield Line(text, style="bold")


def _legend(kinds: Iterable[ChangeKind], width: int) -> Iterator[Line]:
    line = Line(" " * _INDENT)
    for kind in kinds:
        part = Line.of((kind, _STYLES[kind]), (f" {_LEGEND[kind]}   ", "dim"))
        if line.width + part.width - 3 > width:
            yield line
            line = Line(" " * _INDENT)
        line.join(part)
    yield line


def _time(seconds: float) -> str:
    return measures.seconds(seconds) if seconds >= 0.005 else ""


def _notes(step: StepOutcome, parameters: int | None) -> Iterator[str]:
    """The step's own notes, and what follows from its record.

    Args:
        step: the step.
        parameters: of the model before it.
    """
    yield from step.notes
    if step.changes and parameters is not None and step.parameters not in (None, parameters):
        yield f"{measures.count(parameters)} → {measures.count(step.parameters)} parameters"
    if step.matched and not step.changes and not step.notes and not step.is_unknown:
        yield f"{measures.counted(len(step.matched), 'layer')} matched, nothing to change"


def _grouped(changes: Iterable[Change]) -> list[list[Change]]:
    """Changes with equal words together where they are many; the order is that of the first of each group."""
    alike: dict[tuple[str, str], list[Change]] = {}
    for change in changes:
        alike.setdefault((change.kind, change.what), []).append(change)
    groups: list[list[Change]] = []
    for group in alike.values():
        groups += [group] if len(group) > _MOST_ALIKE else [[change] for change in group]
    return groups


def _summary(outcome: Outcome) -> str:
    counts: dict[str, int] = {}
    for step in outcome.steps:
        for change in step.changes:
            word = _DONE.get(step.word, "changed") if change.kind == "~" else _LEGEND[change.kind]
            counts[word] = counts.get(word, 0) + 1
    said = ", ".join(f"{number:,} {word}" for word, number in counts.items()) or "no layer changed"
    if not outcome.is_plan:
        written = measures.counted(len(outcome.outputs) + sum(len(step.files) for step in outcome.steps), "file")
        return f"Done in {measures.seconds(outcome.seconds)}: {said}; {written} written."
    if any(step.is_unknown for step in outcome.steps):
        said += "; the rest is known with --exact"
    return f"Plan: {said}; nothing was written."
