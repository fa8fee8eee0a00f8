"""Shows a model examples: what it is worth on them, what it gives for them, and whether another gives the same."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from modelrecipe import measures
from modelrecipe.engine.feeds import below, counted, in_words, open_feeds, shown
from modelrecipe.engine.late_labels import labels_told
from modelrecipe.engine.measures_fit import doubts, refuse_measures, refuse_opened
from modelrecipe.engine.opening import read_once
from modelrecipe.engine.reading import read_document
from modelrecipe.engine.totals import callers_ends, totals
from modelrecipe.engine.training_fit import losses, summarise
from modelrecipe.engine.watched import refuse_undecided
from modelrecipe.errors import EditError, LanguageError, RecipeError
from modelrecipe.files import atomic_output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.data import DataSummary
    from modelrecipe.engine.bench import WorkBench
    from modelrecipe.outcome import Signature
    from modelrecipe.steps.predict import Predict
    from modelrecipe.training.examples import Evaluation

_LABELS = "sparse_categorical_crossentropy"
_NUMBER = "example"
"""What the places of the examples in their source are called beside the outputs."""


def evaluator(
    bench: WorkBench, checkpoint: Checkpoint, wanted: Evaluation, at: tuple[str | int, ...]
) -> Callable[[Checkpoint], Mapping[str, float]] | None:
    """See `Bench.evaluator`.

    Raises:
        RecipeError: data, model, loss and metrics do not fit each other.
    """
    with below(*at):
        summary = _fitting(bench, checkpoint, wanted)
        refuse_measures(checkpoint, summary, wanted.metrics)
        refuse_undecided(checkpoint, wanted)
        for doubt in doubts(checkpoint, wanted.loss):
            bench.note(doubt)
        if bench.is_dry:
            examples = in_words(counted(summary, wanted.part), wanted.part)
            bench.note(f"measures {_names(wanted)} on {examples}")
            return None
        workshop = bench.workshop  # TensorFlow comes in here, quietly
        from modelrecipe.live.measuring import Gauge

        measured = bench.measure(checkpoint)
        feeds = open_feeds(bench, wanted.data, batch_size=wanted.batch_size)
        if summary.tensors is None:
            refuse_opened(measured, feeds.summary, wanted.loss, wanted.metrics)
        feed = shown(feeds, wanted.part)
        bench.note(f"on {in_words(feed.examples, wanted.part)}")
        bench.progress(f"measuring on {in_words(feed.examples, wanted.part)}")
        gauge = Gauge.of(workshop, measured, wanted, feed)

    def measure(version: Checkpoint) -> Mapping[str, float]:
        with below(*at), labels_told(measured, feeds.summary):
            return gauge.measure(measured if version is checkpoint else bench.measure(version))

    return measure


def _fitting(bench: WorkBench, checkpoint: Checkpoint, wanted: Evaluation) -> DataSummary:
    """What the data are; refused where they do not fit the model and what is measured."""
    if wanted.loss is not None:
        return summarise(bench, checkpoint, wanted.data, losses(wanted.loss))
    summary = summarise(bench, checkpoint, wanted.data, None)
    ends = callers_ends(checkpoint)[1]
    implied = {end.name: _implied(summary, end, is_only=len(ends) == 1) for end in ends}
    return summarise(bench, checkpoint, wanted.data, implied)


def _implied(summary: DataSummary, end: Signature, *, is_only: bool) -> str:
    """The loss that metrics alone would go with: that of labels, where the targets have one number for many outputs."""
    for item in summary.tensors or ():
        if item.role == "y" and (item.name == end.name or (item.name is None and is_only)) and end.shape is not None:
            is_label = item.shape[1:] in (end.shape[1:-1], (*end.shape[1:-1], 1))
            return _LABELS if is_label and end.shape[-1] != 1 else ""
    return ""


def _names(wanted: Evaluation) -> str:
    """What is measured, in words."""
    given = wanted.measures
    groups = list(given.values()) if isinstance(given, Mapping) else [given]
    items = [item for group in groups for item in (group if isinstance(group, tuple) else (group,)) if item is not None]
    names = [*(["loss"] if wanted.loss is not None else []), *(item.class_ for item in items)]
    return ", ".join(dict.fromkeys(names))


def predict(bench: WorkBench, checkpoint: Checkpoint, step: Predict) -> None:
    """See `Bench.predict`.

    Raises:
        RecipeError: data and model do not fit each other, or nothing may be written there.
    """
    summary = summarise(bench, checkpoint, step.data, None)
    names = _output_names(checkpoint)
    _refuse_form(step, names, [end.shape for end in totals(checkpoint).outputs])
    if bench.given is not None:
        return
    target = _claim(bench, step)
    bench.record_of_step.files.append(step.to)
    if bench.is_dry:
        examples = in_words(counted(summary, step.part), step.part)
        bench.note(f"writes {measures.quoted(names)} for {examples}")
        return
    workshop = bench.workshop
    from modelrecipe.live.measuring import predictions

    measured = bench.measure(checkpoint)
    feed = shown(open_feeds(bench, step.data, batch_size=step.batch_size), step.part)
    bench.progress(f"predicting {in_words(feed.examples, step.part)}")
    arrays = dict(zip(names, predictions(workshop, measured, feed), strict=True))
    _refuse_form(step, names, [values.shape for values in arrays.values()])
    bench.progress(f"writing {step.to}")
    with atomic_output(target, may_replace=step.force or bench.force) as temporary:
        _write(temporary, Path(step.to).suffix.lower(), feed.selection, arrays)
    for name, values in arrays.items():
        bench.note(f"'{name}' {values.dtype} {measures.shape(values.shape)}")


def compare(bench: WorkBench, checkpoint: Checkpoint, path: str, batch: int) -> float | None:
    """See `Bench.compare`.

    Raises:
        FileError: the other file cannot be read.
    """
    own = bench.own_output(path)
    if own is None:
        bench.inputs[bench.name_of(path)] = read_once(bench, path, None)
    if bench.is_dry:
        return None
    other = read_once(bench, path, None) if own is None else read_document(own.target, None)
    bench.progress(f"comparing outputs with {path}")
    return bench.workshop.compare(bench.measure(checkpoint), other, batch)


def _output_names(checkpoint: Checkpoint) -> list[str]:
    """The outputs' names, each once: a layer that gives several has its own name and further ones with a number."""
    found: list[str] = []
    for end in totals(checkpoint).outputs:
        numbered = (f"{end.name}_{number}" for number in range(1, len(found) + 2))
        found.append(end.name if end.name not in found else next(name for name in numbered if name not in found))
    return found


def _claim(bench: WorkBench, step: Predict) -> Path:
    """Where the file goes; refused early where it may not be written.

    Raises:
        LanguageError: it is data of the recipe, or another step writes it.
        FileError: it exists.
    """
    known = len(bench.problems)
    try:
        _, target = bench.claim(step.to, "predictions", force=step.force)
        for summary in bench.described.values():
            if any(target.resolve() == file.resolve() for _, files in summary.roots.values() for file in files):
                hint = "write another file"
                raise LanguageError(f"'{step.to}' is read as data, which are never changed", hint=hint)
    except RecipeError as error:
        error.at = ("to",)
        raise
    for problem in bench.problems[known:]:
        problem.at = ("to",)
    return target


def _refuse_form(step: Predict, names: Sequence[str], shapes: Sequence[tuple[int | None, ...] | None]) -> None:
    """Refuse a file that cannot hold the outputs.

    Raises:
        EditError: there are too many, or they have too many axes.
    """
    ending = Path(step.to).suffix.lower()
    if ending == ".npy" and len(names) > 1:
        what = f"a .npy file holds one array, but the model gives {len(names)}: {measures.quoted(names)}"
        raise EditError(what, hint="write .npz", at=("to",))
    if ending == ".npz" and _NUMBER in names:
        what = f"an output is named '{_NUMBER}', as the examples' numbers are called in the file"
        raise EditError(what, hint="rename the layer before", at=("to",))
    for name, shape in zip(names, shapes, strict=True):
        if ending == ".csv" and shape is not None and len(shape) > 2:
            what = f"'{name}' gives {measures.shape((None, *shape[1:]))}, which is no row of a table"
            raise EditError(what, hint="write .npz", at=("to",))


def _write(path: Path, ending: str, examples: NDArray[np.int64], arrays: Mapping[str, NDArray[np.generic]]) -> None:
    import numpy as np

    plain = {name: _plain(values) for name, values in arrays.items()}
    if ending == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(_table(examples, plain))
        return
    with path.open("wb") as file:
        if ending == ".npy":
            np.save(file, next(iter(plain.values())), allow_pickle=False)
        else:
            np.savez(file, **{_NUMBER: examples, **plain})  # type: ignore[arg-type]  # no parameters of savez


def _plain(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Numbers and texts as files hold them without pickling: bfloat16 as float32, texts at their length."""
    import numpy as np

    if values.dtype.kind == "O":
        return np.char.decode(values.astype("S"), "utf-8")
    return values.astype("float32") if values.dtype.kind == "V" else values


def _table(examples: NDArray[np.int64], arrays: Mapping[str, NDArray[np.generic]]) -> Iterator[Sequence[object]]:
    """Lines of a table: the number of the example, and a column for each number of each output."""
    rows = {name: values.reshape(len(values), -1) for name, values in arrays.items()}
    titles = [
        title
        for name, values in rows.items()
        for title in ([name] if values.shape[1] == 1 else [f"{name}_{number}" for number in range(values.shape[1])])
    ]
    yield [_NUMBER, *titles]
    for number, example in enumerate(examples):
        yield [int(example), *(value for values in rows.values() for value in values[number])]
