"""`save`: write the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.fields import Doc
from modelrecipe.step import NOTHING, Bench, Step, Touch


@dataclass(frozen=True, kw_only=True)
class Save(Step):
    """Write the model to a file, whole or not at all.

    The format follows the file's ending: `.keras`, `.h5`/`.hdf5` (only models that the old format can hold), or
    `.weights.h5` (numbers without architecture). A file that stands there already is refused unless `force` is true
    or `--force` is given. Beside the file, a lock says what it was made of.

    Example:
        - save: out/model.keras
    """

    word: ClassVar[str] = "save"
    touches: ClassVar[Touch] = NOTHING

    path: Annotated[str, Doc("the file to write, relative to the recipe")]
    format: Annotated[Literal["keras", "h5", "weights_h5"] | None, Doc("when the ending is not to decide")] = None
    force: Annotated[bool, Doc("replace a file that stands there")] = False

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """Write the checkpoint; later steps go on from it."""
        return bench.write(checkpoint, self.path, self.format, force=self.force)
