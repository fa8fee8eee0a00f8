"""`predict`: write what the model gives for data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.errors import LanguageError
from modelrecipe.fields import Doc
from modelrecipe.step import NOTHING, Bench, Step, Touch
from modelrecipe.training.examples import Examples

_ENDINGS = (".npz", ".npy", ".csv")


@dataclass(frozen=True, kw_only=True)
class Predict(Examples, Step):
    """Write the outputs of the model for data to a file, whole or not at all.

    `.npz` holds an array for each output under its name, and the examples' numbers in their source as `example`;
    `.npy` the array of the only output; `.csv` a line for each example with its number, and a column for each number
    of each output. Examples stand in the order of their source, without augmentation. The model works in inference
    mode, and nothing of it changes. A file that stands there already is refused unless `force` is true or `--force` is
    given. No lock is written beside it, and those of models hold no digest of it.

    Example:
        - predict: {data: {npz: digits.npz, x: images}, to: out/predictions.npz}
    """

    word: ClassVar[str] = "predict"
    touches: ClassVar[Touch] = NOTHING

    to: Annotated[str, Doc("the file to write, relative to the recipe: .npz, .npy or .csv")]
    force: Annotated[bool, Doc("replace a file that stands there")] = False

    def problems(self) -> Iterator[LanguageError]:
        """As of all examples; and a file of no known form."""
        yield from super().problems()
        if not self.to.lower().endswith(_ENDINGS):
            hint = f"end it in {', '.join(_ENDINGS[:-1])} or {_ENDINGS[-1]}"
            yield LanguageError(f"the ending of '{self.to}' names no form of predictions", hint=hint, at=("to",))

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """The same model."""
        bench.predict(checkpoint, self)
        return checkpoint
