"""A step as another package would offer it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelrecipe.step import NOTHING, Step, Touch

if TYPE_CHECKING:
    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.step import Bench


@dataclass(frozen=True, kw_only=True)
class Shrink(Step):
    """Do nothing, under a word of its own."""

    word: ClassVar[str] = "shrink"
    touches: ClassVar[Touch] = NOTHING

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        del bench
        return checkpoint
