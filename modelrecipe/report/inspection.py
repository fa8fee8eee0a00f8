"""An inspection as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe import measures
from modelrecipe.report.line import Line, width_of
from modelrecipe.report.terminal import Cell, columns, cut, painted, shorten, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelrecipe.inspection import Inspection, LayerFacts
    from modelrecipe.outcome import Signature

_CONTAINERS = {
    "model": {
        "keras_zip": "Keras zip",
        "keras_folder": "unzipped Keras zip",
        "hdf5": "HDF5",
        "saved_model": "SavedModel directory",
        "tfsm": "SavedModel directory",
    },
    "architecture": {"json": "JSON, architecture only", "yaml": "YAML, architecture only"},
    "weights": {
        "keras_groups": "HDF5, weights only",
        "keras_shards": "HDF5 in shards, weights only",
        "hdf5_layers": "HDF5, weights only",
        "hdf5": "HDF5, weights only",
        "npz": "NumPy archive, weights only",
        "safetensors": "safetensors, weights only",
        "tf_checkpoint": "TensorFlow checkpoint, weights only",
    },
}
_MATCHES = {
    "by_path": "its tensors find their layers by their place in the file",
    "by_name": "its tensors find their layers by name",
    "by_order": "its tensors have no names and find their layers by order",
}
_PATH, _TYPE, _SHAPE, _FLAGS = 1, 2, 3, 5
_LABEL = 12


def render_inspection(inspection: Inspection, *, width: int = 80, color: bool = False) -> str:
    """An inspection as text: the file, the model, its ends, a table of layers; no line is longer than `width`."""
    lines = [Line(shorten(inspection.file, width), style="bold")]
    for text in (_file(inspection), _contents(inspection), *_ends(inspection)):
        lines += [Line.of("  ", line) for line in wrapped(text, width - 2)]
    for style, texts in (("yellow", _told(inspection)), ("red", _against(inspection))):
        lines += [Line.of("  ", (line, style)) for text in texts for line in wrapped(text, width - 2)]
    lines += [Line(), *_table(inspection, width)]
    lines += [Line.of("  ", (text, "dim")) for note in _notes(inspection) for text in wrapped(note, width - 2)]
    return painted(lines, color=color)


def _file(inspection: Inspection) -> str:
    containers = _CONTAINERS[inspection.kind]
    said = [containers.get(inspection.format, inspection.format), measures.size(inspection.size)]
    if inspection.writer:
        said.append(f"written by {inspection.writer}")
    if inspection.kind != "model":
        return ", ".join(said)
    if not inspection.is_compiled:
        said.append("not compiled")
    else:
        optimizer = f" with {inspection.optimizer}" if inspection.optimizer else ""
        state = ", optimizer state stored" if inspection.has_optimizer_state else ""
        said.append(f"compiled{optimizer}{state}")
    return ", ".join(said)


def _contents(inspection: Inspection) -> str:
    totals = inspection.totals
    if inspection.kind == "weights":
        tensors = measures.counted(len(inspection.entries), "tensor")
        return f"{tensors}, {measures.count(totals.parameters)} parameters"
    name = f"{inspection.type} '{inspection.name}'" if inspection.name else inspection.type
    trainable = f"{measures.count(totals.trainable)} trainable ({measures.share(totals.trainable, totals.parameters)})"
    layers = measures.counted(totals.layers, "layer")
    return f"{name}, {layers}, {measures.count(totals.parameters)} parameters, {trainable}"


def _told(inspection: Inspection) -> Iterator[str]:
    if inspection.repairs:
        yield measures.listed("repair", inspection.repairs)
    yield from inspection.remarks
    if inspection.kind == "weights":
        yield f"an architecture is missing, which comes from elsewhere: {inspection.missing}"
        yield _MATCHES.get(inspection.match or "", "")
    elif inspection.kind == "architecture":
        yield f"the weights are missing, which come from elsewhere or begin fresh: {inspection.missing}"


def _against(inspection: Inspection) -> Iterator[str]:
    for text in inspection.obstacles:
        yield f"in the way: {text}"


def _ends(inspection: Inspection) -> Iterator[str]:
    for word, ends in (("in: ", inspection.totals.inputs), ("out:", inspection.totals.outputs)):
        if ends:
            yield f"{word} " + ", ".join(_signature(end) for end in ends)


def _signature(end: Signature) -> str:
    return f"{end.name} {measures.shape(end.shape)}" + (f" {end.dtype}" if end.dtype else "")


def _table(inspection: Inspection, width: int) -> Iterator[Line]:
    if inspection.kind == "weights":
        yield from _entries(inspection, width)
        return
    heads = ("#", "layer", "type", "output", "params", "")
    rows = [[Cell(head, "dim", right=head in ("#", "params")) for head in heads]]
    listed = {facts.path for facts in inspection.layers} if inspection.selector is None else set[str]()
    rows += [_row(facts, listed) for facts in inspection.layers]
    # Long names give way first, then classes and flags: shapes and counts are what one looks for.
    yield from columns(rows, width, indent=1, shrink={_PATH: 24, _TYPE: 12, _FLAGS: 6, _SHAPE: 12})


def _entries(inspection: Inspection, width: int) -> Iterator[Line]:
    rows = [[Cell(head, "dim") for head in ("tensor", "layer", "shape", "type")]]
    rows += [
        [Cell(item.name), Cell(item.label or "", "dim"), Cell(measures.shape(item.shape)), Cell(item.dtype, "cyan")]
        for item in inspection.entries
    ]
    name, label, shape, dtype = (max(width_of(row[number].text) for row in rows) for number in range(4))
    # Names are what a recipe maps: layers stand beside them only where there is room for both.
    is_labelled = any(item.label for item in inspection.entries)
    if not is_labelled or name + min(label, _LABEL) + shape + dtype + 7 > width:
        rows = [[row[0], Cell(""), *row[2:]] for row in rows]
    yield from columns(rows, width, indent=1, shrink={1: _LABEL, 0: 24, 2: 12})


def _row(facts: LayerFacts, listed: set[str]) -> list[Cell]:
    parent, _, name = facts.path.rpartition("/")
    # A layer stands indented below its model when that is listed too, else under its whole path.
    path = "  " * facts.path.count("/") + name if parent in listed else facts.path
    outputs = ", ".join(measures.shape(shape) for shape in facts.outputs)
    parameters = measures.count(facts.parameters) if facts.parameters != 0 else "-"
    style = "dim" if facts.is_frozen else ""
    return [
        Cell(str(facts.index), "dim", right=True),
        Cell(path, style),
        Cell(facts.type, "cyan"),
        Cell(outputs, ""),
        Cell(parameters, "" if facts.parameters else "dim", right=True),
        Cell(", ".join(_flags(facts)), "yellow"),
    ]


def _flags(facts: LayerFacts) -> Iterator[str]:
    if facts.is_frozen:
        yield "frozen"
    if facts.calls > 1:
        yield f"shared ×{facts.calls}"
    if facts.first_path is not None:
        yield f"same as {facts.first_path}"
    if facts.dtype not in (None, "float32"):
        yield str(facts.dtype)


def _notes(inspection: Inspection) -> Iterator[str]:
    if inspection.selector is not None:
        count = measures.counted(len(inspection.layers), "layer")
        yield cut(f"{count} of {inspection.totals.layers:,} selected by {inspection.selector}", 400)
    if any(None in facts.outputs for facts in inspection.layers):
        yield "? only Keras can tell"
    if inspection.is_opaque:
        yield "a subclassed model: its file lists no layers, so these are those of its weights; values can be edited"
