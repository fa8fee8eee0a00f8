"""Whether a training fits its model and its data, as far as documents and headers tell; all of it before TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelrecipe import data, measures
from modelrecipe.engine.feeds import refuse_own
from modelrecipe.engine.totals import callers_ends
from modelrecipe.errors import EditError, LanguageError, Problems, RecipeError, did_you_mean
from modelrecipe.training.keras_objects import Loss
from modelrecipe.training.moments import refuse_later

if TYPE_CHECKING:
    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.data import DataSpec, DataSummary
    from modelrecipe.engine.bench import WorkBench
    from modelrecipe.steps.train import Train
    from modelrecipe.training.keras_objects import Losses
    from modelrecipe.training.moments import Course

    NamesOfLosses = str | tuple[str, ...] | Mapping[str, str]


def summarise(bench: WorkBench, checkpoint: Checkpoint, spec: DataSpec, losses: NamesOfLosses | None) -> DataSummary:
    """What the data are, once for a run and its trial; refused where they do not fit the model.

    Raises:
        RecipeError: something is wrong with them; `at` begins with `data`.
    """
    if checkpoint.is_opaque:
        raise EditError(
            f"'{checkpoint.model.class_name}' is a subclassed model, whose layers the file does not list",
            hint="save it as a Functional model",
        )
    key = (bench.folder, repr(spec))
    try:
        data.require_permission(spec, allow_code=bench.executes_graphs)
        if key not in bench.described:
            bench.described[key] = data.describe(spec, bench.folder)
        summary = bench.described[key]
        refuse_own(bench, summary)
        refuse_unfit(checkpoint, summary, losses)
    except RecipeError as error:
        for problem in error.problems if isinstance(error, Problems) else (error,):
            problem.at = ("data", *problem.at)
        raise
    return summary


def refuse_unfit(checkpoint: Checkpoint, summary: DataSummary, losses: NamesOfLosses | None) -> None:
    """Refuse data that do not fit the model, as far as it is known what they are.

    Raises:
        DataError: one thing does not fit; `at` leads to it from `data`.
        Problems: several do not.
    """
    inputs, outputs = (
        [data.Port(name=item.name, shape=item.shape, dtype=item.dtype or "float32") for item in side]
        for side in callers_ends(checkpoint)
    )
    if isinstance(losses, tuple):
        losses = {port.name: name for port, name in zip(outputs, losses, strict=False)}
    problems = data.check_against(summary, inputs, outputs, losses)
    if problems:
        raise problems[0] if len(problems) == 1 else Problems(problems)


def losses(given: Losses) -> NamesOfLosses:
    """The names of the losses, for what they ask of the targets; several are those of the outputs in order."""
    if isinstance(given, Loss):
        return _asks(given)
    if isinstance(given, tuple):
        return _asks(given[0]) if len(given) == 1 else tuple(_asks(item) for item in given)
    return {name: _asks(item) for name, item in given.items() if isinstance(item, Loss)}


def _asks(loss: Loss) -> str:
    """The name of a loss; none for one of logits, which asks less."""
    return "" if loss.config.get("from_logits") and "sparse" not in loss.class_.lower() else loss.class_


def refuse_misplaced(train: Train, course: Course) -> None:
    """Refuse what would never happen.

    Raises:
        LanguageError: a moment of `during` never comes.
        Problems: several do not.
    """
    found: list[RecipeError] = []
    for number, entry in enumerate(train.during):
        error = refuse_later(entry.timing, course)
        if error is not None:
            error.at = ("during", number, *error.at)
            found.append(error)
    if found:
        raise found[0] if len(found) == 1 else Problems(found)


def refuse_outputs(checkpoint: Checkpoint, train: Train) -> None:
    """Refuse what is said of outputs that the model has not.

    Raises:
        LanguageError: a name is no output's.
    """
    known = [output.name for output in callers_ends(checkpoint)[1]]
    for key in ("loss", "loss_weights", "metrics"):
        given = getattr(train, key)
        for name in given if isinstance(given, Mapping) else ():
            if name not in known:
                hint = did_you_mean(name, known) or f"outputs: {', '.join(known)}"
                raise LanguageError(f"the model has no output '{name}'", hint=hint, at=(key, name))


def refuse_labels(checkpoint: Checkpoint, train: Train) -> None:
    """Refuse weights of labels that the model has no output for.

    Raises:
        LanguageError: it has none for one.
    """
    (output, *others) = callers_ends(checkpoint)[1]
    units = output.shape[-1] if output.shape else None
    for label in train.class_weight if units is not None and not others else ():
        if int(label) >= max(2, units or 0):
            raise LanguageError(
                f"there is no label {label}: '{output.name}' has {measures.counted(units or 0, 'output')}",
                hint=f"labels go from 0 to {max(2, units or 0) - 1}",
                at=("class_weight", label),
            )
