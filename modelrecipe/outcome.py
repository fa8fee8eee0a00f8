"""What plan and run have to tell, as values: `report` puts them on a screen, `--json` prints them as they are."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelrecipe.errors import RecipeError
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelrecipe.step import Change


@frozen
class Signature:
    """One tensor that enters or leaves a model; the shape is None where only Keras can tell."""

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str | None = None


@frozen
class Totals:
    """Size and ends of a model; a number is None where only Keras can tell it."""

    layers: int
    parameters: int | None
    trainable: int | None
    inputs: tuple[Signature, ...] = ()
    outputs: tuple[Signature, ...] = ()


@frozen
class StepOutcome:
    """What one step matched and did.

    Args:
        number: counted from 1.
        word, id, description: as in the recipe.
        place: `file:line`, where the step stands.
        target: what it is about, in a few words: the selector, the file.
        matched: paths of the layers that its selectors matched, in order.
        changes: one entry for each layer that it changed.
        notes: further findings.
        values: what it measured, by name.
        files: what it writes beside models, as the recipe calls it.
        parameters: of the model afterwards.
        seconds: how long it took.
        is_unknown: the plan cannot look at the model (an architecture that only Keras can build) and stops here.
    """

    number: int
    word: str
    id: str | None = None
    description: str | None = None
    place: str = ""
    target: str = ""
    matched: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    values: Mapping[str, float] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    parameters: int | None = None
    seconds: float = 0.0
    is_unknown: bool = False


@frozen
class Proof:
    """What is known about a written file, tensor by tensor, by digests.

    Args:
        identical: how many tensors that no step named are bit-identical to the source's.
        changed: how many a step named and changed as it said.
        fresh: how many belong to new layers.
        removed: how many went with removed or replaced layers.
    """

    identical: int
    changed: int
    fresh: int
    removed: int


@frozen
class Output:
    """One written, or planned, file.

    Args:
        path: as the recipe says.
        file: where it goes, as seen from the working directory.
        format: `keras`, `h5`, `weights_h5` or `weights_json`.
        how: `streamed` without Keras, or `built` by Keras.
        size: bytes written; in a plan about how many, None where unknown.
        memory: about how many bytes the process will need at its peak; only in a plan, None where unknown.
        proof: None in a plan.
        exists: whether a file stands there that the run would have to be forced to replace.
        shards: bytes of each shard that the numbers are spread over; in a plan about how many.
    """

    path: str
    file: str = ""
    format: str
    how: str
    size: int | None = None
    memory: int | None = None
    proof: Proof | None = None
    exists: bool = False
    shards: tuple[int, ...] = ()


@frozen
class Outcome:
    """Everything a plan or a run has to tell.

    Args:
        recipe: name of the recipe.
        is_plan: whether nothing was written.
        steps: one entry for each step.
        before: the model as it was loaded; None where no model was.
        after: the model at the end.
        outputs: files written, or to be written.
        locks: locks written.
        seconds: of the whole.
        problems: what a plan found that would stop a run (an output that exists).
    """

    recipe: str
    is_plan: bool
    steps: tuple[StepOutcome, ...] = ()
    before: Totals | None = None
    after: Totals | None = None
    outputs: tuple[Output, ...] = ()
    locks: tuple[str, ...] = ()
    seconds: float = 0.0
    problems: tuple[RecipeError, ...] = field(default=(), repr=False)

    @property
    def has_changes(self) -> bool:
        """Whether some step changes something, or some file is written."""
        return bool(self.outputs) or any(step.changes or step.files for step in self.steps)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return _plain(self)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        from modelrecipe.report import render

        return render(self, width=80, color=False)


def _plain(value: Any) -> Any:
    if isinstance(value, RecipeError):
        return value.as_dict()
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.as_posix() if isinstance(value, Path) else value
