"""What a training needs to know before it begins, and what plan and report say of it. Starts no TensorFlow."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe import catalog, measures
from modelrecipe.edit.values import chosen_weights
from modelrecipe.engine.inner_bench import InnerBench
from modelrecipe.engine.measures_fit import doubts, refuse_measures
from modelrecipe.engine.training_fit import losses, refuse_labels, refuse_misplaced, refuse_outputs, summarise
from modelrecipe.engine.watched import refuse_unknown_values
from modelrecipe.errors import EditError, RecipeError
from modelrecipe.frozen import frozen
from modelrecipe.graph import walk
from modelrecipe.step import Change
from modelrecipe.training.moments import Course
from modelrecipe.weight_selector import ALL, ROLES, selected_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.data import DataSummary
    from modelrecipe.edit.values import Place
    from modelrecipe.engine.bench import WorkBench
    from modelrecipe.graph import Layer
    from modelrecipe.step import Bench
    from modelrecipe.steps.train import Train
    from modelrecipe.training.during import During
    from modelrecipe.training.settings import Group, Penalty
    from modelrecipe.weight_selector import WeightSelector
    from modelrecipe.weights import Tensor


@frozen
class Prospect:
    """A training that may begin.

    Args:
        summary: of the data.
        course: how long it is; None where only TensorFlow can tell.
        after: the document with flags and settings as they are in the end.
        learns: key of a layer to names of the variables that are trained at some time.
        moves: key of a layer to names of those that move while it is trained: statistics and random state.
        groups: for each of the step's `rates`, its variables.
        pulled: for each of its `penalties`.
    """

    summary: DataSummary
    course: Course | None
    after: Checkpoint
    learns: Mapping[str, tuple[str, ...]]
    moves: Mapping[str, tuple[str, ...]]
    groups: tuple[tuple[Place, ...], ...] = ()
    pulled: tuple[tuple[Place, ...], ...] = ()


def look_ahead(bench: WorkBench, checkpoint: Checkpoint, train: Train) -> Prospect:
    """Find out what would stop a training, and say what it will do.

    Raises:
        RecipeError: one thing is wrong; `at` leads to it.
        Problems: several are.
    """
    summary = summarise(bench, checkpoint, train.data, losses(train.loss))
    if train.distribute is not None:
        bench.note(bench.devices.told(train))
    refuse_outputs(checkpoint, train)
    refuse_labels(checkpoint, train)
    refuse_measures(checkpoint, summary, train.metrics)
    refuse_unknown_values(checkpoint, train)
    course = course_of(train, summary.examples)
    if course is not None:
        refuse_misplaced(train, course)
    groups = tuple(_places(bench, checkpoint, item, "rates", number) for number, item in enumerate(train.rates))
    pulled = tuple(_places(bench, checkpoint, item, "penalties", number) for number, item in enumerate(train.penalties))
    versions = [checkpoint, *_tried(bench, checkpoint, train, course)]
    learns: dict[str, tuple[str, ...]] = {}
    for version in versions:
        for key, names in _learning(version, train.only).items():
            learns[key] = tuple(dict.fromkeys((*learns.get(key, ()), *names)))
    wanted = measures.quoted([train.only] if isinstance(train.only, str) else train.only)
    if not learns and train.only and any(_learning(version, ALL) for version in versions):
        raise EditError(f"no layer that trains has a weight {wanted}", hint="name others", at=("only",))
    if not learns:
        raise EditError("every layer is frozen, so there is nothing to train", hint="unfreeze some before")
    prospect = Prospect(
        summary=summary,
        course=course,
        after=replace(checkpoint, model=versions[-1].model),
        learns=learns,
        moves={key: names for version in versions for key, names in _moving(version).items()},
        groups=groups,
        pulled=pulled,
    )
    _record(bench, checkpoint, prospect)
    _tell(bench, checkpoint, train, prospect)
    return prospect


def course_of(train: Train, examples: int | None) -> Course | None:
    """How long a training is; None where the number of examples is not known."""
    if examples is None:
        return None
    whole, rest = divmod(examples, train.batch_size)
    length = max(1, whole + (1 if rest and not train.drop_remainder else 0))
    return Course(length=length, total=train.steps if train.steps is not None else length * (train.epochs or 1))


def _places(bench: Bench, checkpoint: Checkpoint, item: Group | Penalty, key: str, number: int) -> tuple[Place, ...]:
    """The variables of one of the step's `rates` or `penalties`."""
    try:
        return tuple(chosen_weights(checkpoint, bench, item.layers, item.weights))
    except RecipeError as error:
        error.at = (key, number, *error.at)
        raise


def apply_inner(
    bench: InnerBench, checkpoint: Checkpoint, entry: During, number: int, course: Course | None
) -> Checkpoint:
    """The document after the steps of an entry.

    Raises:
        RecipeError: a step refuses; `at` leads to it from the training.
    """
    steps = entry.do if course is None or bench.time is None else entry.steps_at(bench.time, course)
    for place, inner in enumerate(steps):
        try:
            checkpoint = inner.step.apply(checkpoint, bench)  # type: ignore[arg-type]  # has all that steps inside use
        except RecipeError as error:
            error.at = ("during", number, "do", place, inner.word, *error.at)
            raise
    return checkpoint


def _tried(bench: WorkBench, checkpoint: Checkpoint, train: Train, course: Course | None) -> list[Checkpoint]:
    """The document after each entry, in the order in which they come first."""
    entries = list(enumerate(train.during))
    if course is not None:
        entries.sort(key=lambda item: item[1].timing.range(course)[0])
    versions: list[Checkpoint] = []
    is_plain: dict[tuple[str, str], bool] = {}
    for number, entry in entries:
        inner = InnerBench(bench, moment=str(entry.timing))
        checkpoint = apply_inner(inner, checkpoint, entry, number, course)
        _refuse_two_ends(train, inner, is_plain, number)
        versions.append(checkpoint)
    return versions


def _refuse_two_ends(train: Train, inner: InnerBench, is_plain: dict[tuple[str, str], bool], number: int) -> None:
    """Refuse means that would take the place of each other, or of the best weights.

    Raises:
        EditError: a training would have to end in two ways.
    """
    for key, name, decay in inner.means:
        if is_plain.setdefault((key, name), decay is None) is not (decay is None):
            what = f"'{name}' of '{key}' is averaged by both 'swa' and 'ema'"
            raise EditError(what, hint="average it by one of them", at=("during", number))
    if inner.means and train.restore_best is not None:
        what = "the training ends with means of its weights, so it cannot end with those of its best epoch"
        raise EditError(what, hint="remove 'restore_best', or the steps that average", at=("restore_best",))


def _learning(checkpoint: Checkpoint, only: WeightSelector) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for located in walk(checkpoint.model):
        if located.layer.graph is None and located.is_effectively_trainable:
            tensors = [tensor for tensor in checkpoint.weights.of(located.layer.key) if tensor.is_trainable]
            names = selected_weights(tensors, only)
            found |= {located.layer.key: names} if names else {}
    return found


def _moving(checkpoint: Checkpoint) -> dict[str, tuple[str, ...]]:
    """Statistics of layers that are trained, and random state of all; of Keras' own layers, frozen weights are none."""
    found: dict[str, tuple[str, ...]] = {}
    for located in walk(checkpoint.model):
        if located.layer.graph is not None:
            continue
        tensors = checkpoint.weights.of(located.layer.key)
        names = tuple(
            tensor.name
            for tensor in tensors
            if tensor.is_random_state or (located.is_effectively_trainable and _is_statistic(located.layer, tensor))
        )
        found |= {located.layer.key: names} if names else {}
    return found


def _is_statistic(layer: Layer, tensor: Tensor) -> bool:
    is_plain = catalog.find(layer.class_name) is not None and layer.class_name != "SpectralNormalization"
    return not tensor.is_trainable and (not is_plain or tensor.name.rpartition("/")[2] in ROLES["moving_statistics"])


def _record(bench: WorkBench, checkpoint: Checkpoint, prospect: Prospect) -> None:
    done: set[str] = set()
    for located in walk(checkpoint.model):
        key = located.layer.key
        learnt, moved = prospect.learns.get(key, ()), prospect.moves.get(key, ())
        if key in done or not (learnt or moved):
            continue
        done.add(key)
        names = [name for name in (*learnt, *moved) if "seed_generator" not in name]
        what = f"trained: {', '.join(names)}" if names else "its random state goes on"
        bench.record(Change(kind="~", layer=located.path, key=key, what=what, weights=(*learnt, *moved)))


def _tell(bench: WorkBench, checkpoint: Checkpoint, train: Train, prospect: Prospect) -> None:
    tensors = [
        tensor
        for key, names in prospect.learns.items()
        for tensor in checkpoint.weights.of(key)
        if tensor.name in names
    ]
    sizes = [tensor.size for tensor in tensors]
    count = f"{sum(size or 0 for size in sizes):,} parameters" if None not in sizes else "parameters"
    holders = measures.counted(len(prospect.learns), "layer")
    bench.note(f"trains {count} in {measures.counted(len(tensors), 'variable')} of {holders}")
    summary, course = prospect.summary, prospect.course
    if summary.examples is not None:
        apart = f", validates on {summary.validation_examples:,}" if summary.validation_examples else ""
        bench.note(f"on {summary.examples:,} examples{apart}")
    if course is not None:
        epochs = math.ceil(course.total / course.length)
        bench.note(f"{measures.counted(epochs, 'epoch')} of {course.length} batches of {train.batch_size}")
        for entry in train.during if bench.is_dry else ():  # a run says how often it was done
            times = measures.counted(entry.timing.count(course), "time")
            bench.note(f"{entry.timing}: {', '.join(inner.word for inner in entry.do)}, {times}")
    for note in (*summary.notes, *doubts(checkpoint, train.loss)):
        bench.note(note)
