"""`freeze`: exclude layers from training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit.flags import change_flags
from modelrecipe.fields import Doc
from modelrecipe.selector import Selector
from modelrecipe.step import FLAGS, Bench, Step, Touch


@dataclass(frozen=True, kw_only=True)
class Freeze(Step):
    """Exclude the selected layers from training.

    Flags are set on leaf layers: a selected model stands for all layers inside it. A frozen BatchNormalization also
    stays in inference mode (Keras, `BatchNormalization.trainable`). No number changes, and no layer that was not
    selected changes its effective state.

    Example:
        - freeze: {layers: {until: block4_pool}}
    """

    word: ClassVar[str] = "freeze"
    touches: ClassVar[Touch] = FLAGS

    layers: Annotated[Selector, Doc("which layers")]

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """Lower the flags of all leaves that the selection means."""
        return change_flags(checkpoint, bench, bench.select(checkpoint, self.layers), wanted=False)
