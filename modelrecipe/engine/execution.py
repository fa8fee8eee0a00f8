"""Goes through the steps of a recipe on a bench; plan and run differ in the bench alone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit.sizing import with_sizes
from modelrecipe.engine.reading import NeedsKerasError
from modelrecipe.engine.record import Record
from modelrecipe.engine.totals import totals
from modelrecipe.errors import BuildError, EditError, LanguageError, Problems, RecipeError
from modelrecipe.fields import fields_of
from modelrecipe.frozen import frozen
from modelrecipe.outcome import Outcome, StepOutcome, Totals
from modelrecipe.step import Change, Touch
from modelrecipe.steps.save import Save

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from modelrecipe.data import DataSpec
    from modelrecipe.engine.bench import WorkBench
    from modelrecipe.engine.output import Written
    from modelrecipe.recipe import Recipe, RecipeStep

_RESHAPES = Touch.STRUCTURE | Touch.NAMES | Touch.LIVE


@frozen
class Milestone:
    """An output with what led to it: what had been read by then, and what the steps up to it did.

    Args:
        written: the output.
        inputs: model files by name.
        steps: outcomes.
        data: name of each file or folder of data that was looked at, to the digest of its content.
    """

    written: Written
    inputs: Mapping[str, Checkpoint]
    steps: tuple[StepOutcome, ...]
    data: Mapping[str, str] = field(default_factory=dict)


class Execution:
    """One pass over a recipe.

    Args:
        recipe: what to do.
        bench: what to do it with.
        on_output: told of every output as soon as its step is done.
    """

    def __init__(
        self, recipe: Recipe, bench: WorkBench, on_output: Callable[[Milestone], None] = lambda milestone: None
    ) -> None:
        self.recipe = recipe
        self.bench = bench
        self.on_output = on_output
        self.checkpoint: Checkpoint | None = bench.given
        self.outcomes: list[StepOutcome] = []
        self.milestones: list[Milestone] = []
        self._first = 0

    @property
    def before(self) -> Totals | None:
        """The totals of the model that the current one came from."""
        return totals(with_sizes(self.bench.source)) if self.bench.source is not None else None

    def outcome(self) -> Outcome:
        """What there is to tell of the steps so far."""
        return Outcome(
            recipe=self.recipe.name,
            is_plan=self.bench.is_dry,
            steps=tuple(self.outcomes),
            before=self.before,
            after=totals(self.checkpoint) if self.checkpoint is not None else None,
            outputs=tuple(item.output for item in self.bench.written),
            problems=tuple(self.bench.problems),
        )

    def run(self) -> None:
        """Apply every step.

        Raises:
            Problems: what a step refused, with its place; later steps are still tried where the refusing one would
                not have changed what they see.
        """
        found: list[RecipeError] = []
        for number, item in enumerate(self.recipe.steps, start=1):
            try:
                self._step(number, item)
            except NeedsKerasError as needs:
                self.outcomes += self._unknown(number, item, needs)
                found += self._unwritable(self.recipe.steps[number:])
                break
            except RecipeError as error:
                several = error.problems if isinstance(error, Problems) else (error,)
                found += [self._placed(problem, item) for problem in several]
                if item.step.touches & _RESHAPES or self.checkpoint is None or not self.bench.is_dry:
                    break
        if found:
            raise found[0] if len(found) == 1 else Problems(found)

    def _step(self, number: int, item: RecipeStep) -> None:
        bench = self.bench
        bench.folder, bench.step_number, bench.record_of_step = item.folder, number, Record()
        begun = time.perf_counter()
        if self.checkpoint is None and item.word != "load":
            hint = "load one without 'as' before it" if bench.kept else "begin the recipe with '- load: ...'"
            raise LanguageError(f"there is no model yet for '{item.word}'", hint=hint)
        # `load` takes no notice of what it is given; the first one is given nothing, and gives it back with `as`.
        current = self.checkpoint if self.checkpoint is not None else Checkpoint.nothing()
        result = item.step.apply(current, bench)
        if self.checkpoint is not None or result is not current:
            self.checkpoint = with_sizes(result)
        record = bench.record_of_step
        self._check_touches(item, record)
        if record.is_beginning:
            self._first = len(self.outcomes)
        for problem in bench.problems:
            item.placed(problem)
        self.outcomes.append(self._told(number, item, record, time.perf_counter() - begun))
        for written in bench.written[len(self.milestones) :]:
            self.milestones.append(
                Milestone(
                    written=written,
                    inputs=dict(bench.inputs),
                    steps=tuple(self.outcomes),
                    data=bench.data_digests() if self._wants_digests() else {},
                )
            )
            self.on_output(self.milestones[-1])

    def _told(self, number: int, item: RecipeStep, record: Record, seconds: float) -> StepOutcome:
        return StepOutcome(
            number=number,
            word=item.word,
            id=item.id,
            description=item.description,
            place=_place(item),
            target=target_of(item),
            matched=tuple(record.matched),
            changes=tuple(record.changes),
            notes=tuple(record.notes),
            values=dict(record.values),
            files=tuple(record.files),
            parameters=self.checkpoint.parameters() if self.checkpoint is not None else None,
            seconds=seconds,
        )

    def _wants_digests(self) -> bool:
        """A plan reads no data for their digests; a trial whose locks are compared asks for them."""
        return not self.bench.is_dry or self.bench.compares_locks

    def _unwritable(self, steps: Sequence[RecipeStep]) -> Iterator[RecipeError]:
        """What can be said of outputs that a plan does not come to."""
        for item in steps:
            if not isinstance(item.step, Save):
                continue
            self.bench.folder = item.folder
            try:
                self.bench.claim(item.step.path, item.step.format, force=item.step.force)
            except RecipeError as error:
                yield item.placed(error)
            for problem in self.bench.problems:
                item.placed(problem)

    def _check_touches(self, item: RecipeStep, record: Record) -> None:
        """A step keeps the promise of its class."""
        for change in record.changes:
            allowed = item.step.touches
            broken = (
                (change.kind != "~" and not allowed & Touch.STRUCTURE)
                or (change.flag and not allowed & (Touch.FLAGS | Touch.STRUCTURE))
                or (change.settings and not allowed & (Touch.SETTINGS | Touch.STRUCTURE))
                or (change.weights and not allowed & (Touch.VALUES | Touch.STRUCTURE | Touch.LIVE))
            )
            if broken:
                raise BuildError(f"the step '{item.word}' changed '{change.layer}' in a way that its class excludes")

    def _placed(self, error: RecipeError, item: RecipeStep) -> RecipeError:
        made: list[Sequence[Change]] = [outcome.changes for outcome in self.outcomes]
        made[: self._first] = [()] * self._first  # what was done to a model that was loaded before
        made.append(self.bench.record_of_step.changes)
        if isinstance(error, EditError) and error.at:  # a step whose numbers are refused has the parameter at fault
            steps = self.recipe.steps[: len(made)]
            made = [own if _has(step, error.at[0]) else () for step, own in zip(steps, made, strict=True)]
        culprit = _culprit(error, made)
        if culprit is not None and culprit < len(self.outcomes):
            return self.recipe.steps[culprit].placed(error)
        return item.placed(error)

    def _unknown(self, number: int, item: RecipeStep, needs: NeedsKerasError) -> Iterator[StepOutcome]:
        note = f"{needs.message}; {needs.hint}"
        for offset, later in enumerate(self.recipe.steps[number - 1 :]):
            yield StepOutcome(
                number=number + offset,
                word=later.word,
                id=later.id,
                description=later.description,
                place=_place(later),
                target=target_of(later),
                notes=(note,) if later is item else (),
                is_unknown=True,
            )


def _place(item: RecipeStep) -> str:
    place = item.source.place(item.at)
    return f"{place.file}:{place.line}"


def target_of(item: RecipeStep) -> str:
    """What a step is about, in a few words."""
    data = item.data
    if not isinstance(data, dict):
        return str(data)
    if (spec := getattr(item.step, "data", None)) is not None:
        from modelrecipe.data import DataSpec  # few steps take examples

        if isinstance(spec, DataSpec):
            return _source_of(spec)
    words = ("layers", "after", "before", "path", "application", "architecture", "map", "with")
    first = next((key for key in words if key in data), None)
    step = item.step
    value = getattr(step, first, getattr(step, f"{first}_", None)) if first else None
    if first == "application":
        return f"keras.applications.{data['application']['name']}"
    if first == "architecture":
        named = data["architecture"]["name"] if isinstance(data["architecture"], dict) else data["architecture"]
        return f"{named} with {data['weights']}" if "weights" in data else str(named)
    if first in ("after", "before"):
        return f"{first} {value}"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value).strip("'") if value is not None else ", ".join(str(key) for key in data)


def _has(item: RecipeStep, parameter: str | int) -> bool:
    return any(known.key == parameter for known in fields_of(type(item.step)))


def _source_of(spec: DataSpec) -> str:
    """Where the data come from: `digits.npz`, `cifar10`."""
    source = getattr(spec, spec.kind)
    if isinstance(source, Mapping):
        return ", ".join(map(str, source.values()))
    name = next((getattr(source, key) for key in ("name", "path", "folder", "files") if hasattr(source, key)), source)
    return ", ".join(map(str, name)) if isinstance(name, tuple) else str(name)


def _culprit(error: RecipeError, changes: Sequence[Sequence[Change]]) -> int | None:
    """The number of the step that made the layer at fault; the last structural one when that is not known.

    A step that changes numbers refuses them only when they are read, by a later step: then it is the last such step.
    """
    if isinstance(error, EditError):
        valued = [{change.key for change in made if change.weights} for made in changes]
        return next((number for number in reversed(range(len(valued))) if error.layer in valued[number]), None)
    if not isinstance(error, BuildError):
        return None
    for number in reversed(range(len(changes))):
        for change in changes[number]:
            if error.layer is not None and (
                change.key == error.layer or f"+{change.key}" == error.layer.partition(":")[0]
            ):
                return number
    structural = [n for n, made in enumerate(changes) if any(change.kind != "~" for change in made)]
    return structural[-1] if structural else None
