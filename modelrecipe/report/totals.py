"""The second half of a report: the model before and after, and the files with their proof."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe import measures
from modelrecipe.report.line import Line, width_of
from modelrecipe.report.terminal import Cell, columns, cut, printable, shorten, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from modelrecipe.outcome import Outcome, Output, Proof, Signature, Totals

_INDENT = 2
_BEHIND_LABEL = _INDENT + len("parameters") + 2


def totals_lines(outcome: Outcome, width: int) -> Iterator[Line]:
    """Layers, parameters and trainable share, and what enters and leaves the model, before and after."""
    before, after = outcome.before, outcome.after
    known = [totals for totals in (before, after) if totals is not None]
    if not known:
        return
    yield from columns(_total_rows(before, after), width, indent=_INDENT)
    for word, key in (("input", "inputs"), ("output", "outputs")):
        old: Sequence[Signature] = getattr(before, key) if before is not None else ()
        new: Sequence[Signature] = getattr(after, key) if after is not None else old
        for label, lines in _ends(word, old, new, width - _BEHIND_LABEL):
            for number, line in enumerate(lines):
                head = Line.of(" " * _INDENT, (label if number == 0 else "", "dim"))
                yield head.fill(_BEHIND_LABEL).join(line)
    if any(_has_unknown(totals) for totals in known):
        said = "? only Keras can tell" + (": add --exact" if outcome.is_plan else "")
        yield Line.of(" " * _INDENT, (said, "dim"))


def _has_unknown(totals: Totals) -> bool:
    shapes = [end.shape for end in (*totals.inputs, *totals.outputs)]
    return None in (totals.parameters, totals.trainable) or None in shapes


def _total_rows(before: Totals | None, after: Totals | None) -> list[list[Cell]]:
    """A heading and three rows: label, then number and share for each side, then the difference."""
    sides = [(word, totals) for word, totals in (("before", before), ("after", after)) if totals is not None]
    blank = Cell("")
    rows = [[blank, *(cell for word, _ in sides for cell in (Cell(word, "dim", right=True), blank)), blank]]
    for label in ("layers", "parameters", "trainable"):
        row = [Cell(label, "dim")]
        for _, totals in sides:
            number: int | None = getattr(totals, label)
            has_share = label == "trainable" and totals.parameters and number is not None
            share = f"({measures.share(number, totals.parameters)})" if has_share else ""
            row += [Cell(measures.count(number), right=True), Cell(share, "dim")]
        change = measures.difference(getattr(sides[0][1], label), getattr(sides[-1][1], label))
        rows.append([*row, Cell(change, "bold", right=True)])
    return rows


def _ends(
    word: str, before: Sequence[Signature], after: Sequence[Signature], width: int
) -> Iterator[tuple[str, list[Line]]]:
    """Label and lines of each tensor that enters or leaves; two lines where old and new do not fit one."""
    for number in range(max(len(before), len(after))):
        label = word if max(len(before), len(after)) == 1 else cut(f"{word} {number + 1}", _BEHIND_LABEL - _INDENT - 1)
        old = _signature(before[number]) if number < len(before) else ""
        new = _signature(after[number]) if number < len(after) else ""
        if old == new or not old:
            yield label, [Line(shorten(new, width))]
        elif not new:
            yield label, [Line(shorten(f"{old}, gone", width), style="red")]
        elif width_of(old) + 3 + width_of(new) <= width:
            yield label, [Line.of(old, (" → ", "dim"), new)]
        else:
            yield label, [Line(shorten(old, width)), Line.of(("→ ", "dim"), shorten(new, width - 2))]


def _signature(end: Signature) -> str:
    said = f"{printable(end.name)} {measures.shape(end.shape)}"
    return f"{said} {end.dtype}" if end.dtype and end.dtype != "float32" else said


def output_lines(outcome: Outcome, width: int) -> Iterator[Line]:
    """Each file with its size and proof, then the locks."""
    word = "writes" if outcome.is_plan else "wrote"
    for output in outcome.outputs:
        facts = _facts(output, is_plan=outcome.is_plan)
        line = Line(" " * _INDENT + word + " ")
        is_one_line = line.width + width_of(printable(output.file or output.path)) + 2 + len(facts) <= width
        line.add(shorten(output.file or output.path, width - line.width), "bold")
        if is_one_line:
            yield line.add(f"  {facts}", "dim")
        else:
            yield line
            yield from (Line.of("    ", (text, "dim")) for text in wrapped(facts, width - 4))
        for number, text in enumerate(wrapped(_proved(output.proof), width - 6) if output.proof else ()):
            yield Line.of("    ", ("  " if number else "✓ ", "green"), (text, "green"))
    for lock in outcome.locks:
        yield Line.of(" " * _INDENT, "locked by ", shorten(lock, width - _INDENT - 10))


def _facts(output: Output, *, is_plan: bool) -> str:
    said = [output.format, "streamed" if output.how == "streamed" else "built by Keras"]
    if output.shards:
        many = f" of up to {measures.size(max(output.shards))}" if len(output.shards) > 1 else ""
        said.append(measures.counted(len(output.shards), "shard") + many)
    if output.size is not None:
        said.append(measures.about(output.size) if is_plan else measures.size(output.size))
    if is_plan and output.memory is not None:
        said.append(f"peak memory {measures.about(output.memory)}")
    if is_plan and output.exists:
        said.append("in place of an existing file")
    return ", ".join(said)


def _proved(proof: Proof) -> str:
    """The proof in words; of the tensors that were there before, and of those that came and went."""
    kept = proof.identical + proof.changed
    every = "the 1 tensor" if kept == 1 else f"all {measures.counted(kept, 'tensor')}"
    if kept == 0:
        said = ["no tensor kept from before"]
    elif proof.changed == 0:
        said = [f"{every} bit-identical"]
    elif proof.identical == 0:
        said = [f"{every} changed as said"]
    else:
        said = [f"{proof.identical:,} of {measures.counted(kept, 'tensor')} bit-identical"]
        said.append(f"{proof.changed:,} changed as said")
    if proof.fresh:
        said.append(f"{proof.fresh:,} fresh")
    if proof.removed:
        said.append(f"{proof.removed:,} removed")
    return ", ".join(said)
