"""What plan and run have to tell, as text for a terminal. Decides nothing and reads no file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from modelrecipe import measures
from modelrecipe.terminal import Cell, columns, cut, painted, printable, shorten, wrapped

if TYPE_CHECKING:
    from modelrecipe.outcome import Outcome, Output, Proof, Signature, StepOutcome, Totals
    from modelrecipe.step import Change, ChangeKind

_STYLES: dict[ChangeKind, str] = {"+": "green", "-": "red", "~": "yellow", "-/+": "cyan"}
_LEGEND: dict[ChangeKind, str] = {"+": "added", "-": "removed", "~": "changed in place", "-/+": "replaced"}
_DONE = {"freeze": "frozen", "rename": "renamed", "rescale": "rescaled", "unfreeze": "unfrozen"}
_MOST_ALIKE = 3
_INDENT = 2


def render(outcome: Outcome, *, width: int = 80, color: bool = False, verbose: bool = False) -> str:
    """An outcome as text: a block for each step, the model before and after, the files, a summary.

    Args:
        outcome: of a plan or a run.
        width: no line is longer.
        color: whether to write colour codes.
        verbose: list every changed layer instead of the first of many equal changes.
    """
    page = _Page(outcome=outcome, width=width, verbose=verbose)
    return painted(page.lines(), color=color)


@dataclass(frozen=True, kw_only=True)
class _Page:
    outcome: Outcome
    width: int
    verbose: bool

    def lines(self) -> Iterator[Text]:
        title = "Plan for" if self.outcome.is_plan else "Run of"
        yield Text.assemble(f"{title} ", (cut(self.outcome.recipe, self.width - len(title) - 1), "bold"))
        for part in (self._steps(), self._model(), self._outputs(), self._problems(), self._end()):
            lines = list(part)
            if lines:
                yield Text()
                yield from lines

    # Steps

    def _steps(self) -> Iterator[Text]:
        parameters = None if self.outcome.before is None else self.outcome.before.parameters
        for step in self.outcome.steps:
            yield self._head(step)
            yield from self._description(step)
            yield from self._changes(step)
            notes = list(step.notes)
            if step.parameters != parameters and None not in (parameters, step.parameters) and step.changes:
                notes.append(f"{measures.count(parameters)} → {measures.count(step.parameters)} parameters")
            if not step.changes and not notes and step.matched and not step.is_unknown:
                notes.append(f"{measures.counted(len(step.matched), 'layer')} matched, nothing to change")
            for note in notes:
                yield from self._remark(note)
            parameters = step.parameters if step.parameters is not None else parameters

    @property
    def _column(self) -> int:
        """Where targets and layer names begin: behind the number and the longest word."""
        words = [cell_len(printable(step.word)) for step in self.outcome.steps]
        number = len(str(len(self.outcome.steps)))
        return min(number + 1 + max([3, *words]) + 2, self.width // 3)

    def _head(self, step: StepOutcome) -> Text:
        number = f"{step.number:>{len(str(len(self.outcome.steps)))}} "
        line = Text.assemble((number, "dim"), (cut(step.word, self._column - len(number) - 1), "bold"))
        line.pad_right(self._column - line.cell_len)
        time = "" if self.outcome.is_plan else f"{measures.seconds(step.seconds):>9}"
        target = f"{step.target}  ({step.id})" if step.id else step.target
        room = self.width - line.cell_len - len(time) - 2
        place = shorten(step.place, max(16, room - cell_len(printable(target))))
        if cell_len(place) > room // 2:
            place = shorten(step.place, room // 2)
        line.append(_fitting(target, room - cell_len(place)), style="dim" if step.is_unknown else None)
        line.pad_right(self.width - cell_len(place) - len(time) - line.cell_len)
        line.append(place, style="dim")
        line.append(time, style="dim")
        return line

    def _description(self, step: StepOutcome) -> Iterator[Text]:
        for text in wrapped(step.description or "", self.width - self._column):
            if text:
                yield Text.assemble(" " * self._column, (text, "italic"))

    def _remark(self, note: str) -> Iterator[Text]:
        for number, text in enumerate(wrapped(note, self.width - self._column - 2)):
            yield Text.assemble(" " * self._column, ("  " if number else "· ", "dim"), (text, "dim"))

    def _changes(self, step: StepOutcome) -> Iterator[Text]:
        groups = [[change] for change in step.changes] if self.verbose else _grouped(step.changes)
        room = self.width - self._column
        names = [_names(group) for group in groups]
        longest = max((cell_len(printable(name + more)) for name, more in names), default=0)
        said = max((cell_len(printable(group[0].what)) for group in groups), default=0)
        # Names give way to what is said of them, but keep at least half of the line.
        aligned = min(longest, max(room // 2, room - 2 - said))
        for group, (name, more) in zip(groups, names, strict=True):
            yield from self._change(group[0], name, more, aligned)

    def _change(self, change: Change, name: str, more: str, aligned: int) -> Iterator[Text]:
        style = _STYLES[change.kind]
        line = Text.assemble(" " * _INDENT, (change.kind, style))
        line.pad_right(self._column - line.cell_len)
        line.append(shorten(name, aligned - len(more)))
        line.append(more, style="dim")
        line.pad_right(self._column + aligned + 2 - line.cell_len)
        said = wrapped(change.what, self.width - line.cell_len)
        for number, text in enumerate(said):
            yield Text.assemble(line if number == 0 else " " * line.cell_len, (text, style))

    # The model before and after

    def _model(self) -> Iterator[Text]:
        before, after = self.outcome.before, self.outcome.after
        if before is None and after is None:
            return
        yield from columns(_total_rows(before, after), self.width, indent=_INDENT)
        yield from self._ends("input", before.inputs if before else (), after.inputs if after else None)
        yield from self._ends("output", before.outputs if before else (), after.outputs if after else None)
        if not self._is_all_known():
            yield Text.assemble(" " * _INDENT, ("? only Keras can tell: run plan with --exact", "dim"))

    def _is_all_known(self) -> bool:
        for totals in (self.outcome.before, self.outcome.after):
            if totals is not None:
                shapes = [end.shape for end in (*totals.inputs, *totals.outputs)]
                if None in (totals.parameters, totals.trainable) or None in shapes:
                    return False
        return not self.outcome.is_plan or self.outcome.after is not None or self.outcome.before is None

    def _ends(self, word: str, before: Sequence[Signature], after: Sequence[Signature] | None) -> Iterator[Text]:
        """One line for each tensor that enters or leaves; two where it became another and both do not fit."""
        indent = _INDENT + len("parameters") + 2
        ends = list(after if after is not None else before)
        for number, end in enumerate(ends):
            old = before[number] if number < len(before) else None
            label = word if len(ends) == 1 else f"{word} {number + 1}"
            line = Text.assemble(" " * _INDENT, (label, "dim"))
            line.pad_right(indent - line.cell_len)
            if after is None or old is None or old == end:
                yield line.append(shorten(_signature(end), self.width - line.cell_len))
            elif line.cell_len + cell_len(_signature(old)) + 3 + cell_len(_signature(end)) <= self.width:
                yield line.append(_signature(old)).append(" → ", "dim").append(_signature(end))
            else:
                yield line.append(shorten(_signature(old), self.width - line.cell_len))
                arrow = Text.assemble(" " * indent, ("→ ", "dim"))
                yield arrow.append(shorten(_signature(end), self.width - arrow.cell_len))
        for old in before[len(ends) :]:
            gone = Text.assemble(" " * _INDENT, (word, "dim"), " " * (indent - _INDENT - len(word)))
            yield gone.append(shorten(f"{_signature(old)}, gone", self.width - indent), "red")

    # Files

    def _outputs(self) -> Iterator[Text]:
        word = "writes" if self.outcome.is_plan else "wrote"
        for output in self.outcome.outputs:
            line = Text.assemble(" " * _INDENT, (f"{word} ", "bold" if not self.outcome.is_plan else None))
            facts = _facts(output, is_plan=self.outcome.is_plan)
            room = self.width - line.cell_len
            line.append(shorten(output.path, max(room - 2 - cell_len(facts), room // 2)), "bold")
            if line.cell_len + 2 + cell_len(facts) <= self.width:
                yield line.append(f"  {facts}", "dim")
            else:
                yield line
                yield Text.assemble("    ", (cut(facts, self.width - 4), "dim"))
            if output.proof is not None:
                yield from self._proof(output.proof)
        for lock in self.outcome.locks:
            yield Text.assemble("  locked by ", shorten(lock, self.width - 12))

    def _proof(self, proof: Proof) -> Iterator[Text]:
        for number, text in enumerate(wrapped(_proved(proof), self.width - 6)):
            yield Text.assemble("    ", ("  " if number else "✓ ", "green"), (text, "green"))

    def _problems(self) -> Iterator[Text]:
        if not self.outcome.problems:
            return
        yield Text(cut("A run would refuse:", self.width), style="bold red")
        for problem in self.outcome.problems:
            head, _, excerpt = str(problem).partition("\n")
            for text in wrapped(head, self.width - _INDENT):
                yield Text.assemble(" " * _INDENT, (text, "red"))
            for text in excerpt.splitlines():
                yield Text(cut(text, self.width))

    # The last lines

    def _end(self) -> Iterator[Text]:
        kinds = [kind for kind in _LEGEND if any(c.kind == kind for step in self.outcome.steps for c in step.changes)]
        if kinds and self.outcome.is_plan:
            legend = Text(" " * _INDENT)
            for number, kind in enumerate(kinds):
                legend.append("   " if number else "").append(kind, _STYLES[kind]).append(f" {_LEGEND[kind]}", "dim")
            yield legend
        for number, text in enumerate(wrapped(_summary(self.outcome), self.width)):
            yield Text.assemble((text, "bold" if number == 0 else "bold"))


def _fitting(target: str, width: int) -> str:
    """A selector is cut at its end, a file name in its middle."""
    return cut(target, width) if target.startswith(("{", "after", "before")) else shorten(target, width)


def _grouped(changes: Iterable[Change]) -> list[list[Change]]:
    """Changes with equal words together where they are many; the order is that of the first of each group."""
    alike: dict[tuple[str, str], list[Change]] = {}
    for change in changes:
        alike.setdefault((change.kind, change.what), []).append(change)
    groups: list[list[Change]] = []
    for group in alike.values():
        groups += [group] if len(group) > _MOST_ALIKE else [[change] for change in group]
    return groups


def _names(group: Sequence[Change]) -> tuple[str, str]:
    more = "" if len(group) == 1 else f" and {len(group) - 1:,} more"
    return group[0].layer, more


def _total_rows(before: Totals | None, after: Totals | None) -> list[list[Cell]]:
    rows = [[Cell(""), *(Cell(word, "dim", right=True) for word in _headings(before, after)), Cell("")]]
    for label in ("layers", "parameters", "trainable"):
        numbers = [getattr(totals, label) for totals in (before, after) if totals is not None]
        cells = [Cell(_with_share(label, number, totals), right=True) for number, totals in zip(
            numbers, [totals for totals in (before, after) if totals is not None], strict=True
        )]
        change = measures.difference(numbers[0], numbers[-1])
        style = "green" if change.startswith("+") else "red"
        rows.append([Cell(label, "dim"), *cells, Cell(change, style)])
    return rows


def _headings(before: Totals | None, after: Totals | None) -> list[str]:
    return [word for word, totals in (("before", before), ("after", after)) if totals is not None]


def _with_share(label: str, number: int | None, totals: Totals) -> str:
    said = measures.count(number)
    if label != "trainable" or number is None or not totals.parameters:
        return said
    return f"{measures.share(number, totals.parameters)}  {said}"


def _signature(end: Signature) -> str:
    said = f"{printable(end.name)} {measures.shape(end.shape)}"
    return f"{said} {end.dtype}" if end.dtype and end.dtype != "float32" else said


def _facts(output: Output, *, is_plan: bool) -> str:
    how = "streamed" if output.how == "streamed" else "built by Keras"
    if output.size is None:
        return f"{output.format}, {how}"
    return f"{output.format}, {how}, {'about ' if is_plan else ''}{measures.size(output.size)}"


def _proved(proof: Proof) -> str:
    kept = proof.identical + proof.changed
    if proof.changed == 0:
        said = [f"all {measures.counted(kept, 'tensor')} bit-identical" if kept != 1 else "its 1 tensor bit-identical"]
    else:
        said = [f"{proof.identical:,} of {measures.counted(kept, 'tensor')} bit-identical"]
        said.append(f"{proof.changed:,} changed as said")
    if proof.fresh:
        said.append(f"{proof.fresh:,} fresh")
    if proof.removed:
        said.append(f"{proof.removed:,} removed")
    return ", ".join(said)


def _summary(outcome: Outcome) -> str:
    counts: dict[str, int] = {}
    for step in outcome.steps:
        for change in step.changes:
            word = _DONE.get(step.word, "changed") if change.kind == "~" else _LEGEND[change.kind]
            counts[word] = counts.get(word, 0) + 1
    said = ", ".join(f"{number:,} {word}" for word, number in counts.items()) or "no layer changed"
    if outcome.is_plan:
        return f"Plan: {said}; nothing was written."
    return f"Done in {measures.seconds(outcome.seconds)}: {said}; {measures.counted(len(outcome.outputs), 'file')} written."
