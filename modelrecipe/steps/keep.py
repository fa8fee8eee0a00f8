"""`keep`: put the model aside as it is now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.fields import Doc
from modelrecipe.step import NOTHING, Bench, Step, Touch


@dataclass(frozen=True, kw_only=True)
class Keep(Step):
    """Put the current model aside under a name, for steps that take further models.

    The recipe goes on with the same model; what later steps change is not changed in the one that was put aside.

    Example:
        - keep: first
    """

    word: ClassVar[str] = "keep"
    touches: ClassVar[Touch] = NOTHING

    as_: Annotated[str, Doc("the name")]

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """The same checkpoint, with all numbers known where a later step will read them."""
        bench.keep(self.as_, bench.measure(checkpoint))
        return checkpoint
