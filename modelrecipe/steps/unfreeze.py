"""`unfreeze`: include layers in training again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit.flags import change_flags
from modelrecipe.fields import Doc
from modelrecipe.graph import Layer
from modelrecipe.selector import Selector
from modelrecipe.step import FLAGS, Bench, Step, Touch


@dataclass(frozen=True, kw_only=True)
class Unfreeze(Step):
    """Include the selected layers in training again.

    Flags are set on leaf layers; where a model around them is frozen, its flag is raised and its other layers are
    frozen one by one, so that nothing else begins to train. With `batch_norm: inference` the BatchNormalization
    layers among the selected stay frozen, which keeps their moving statistics still under `fit`; calling the model with
    `training=False` does not (Keras' transfer learning guide states the aim, `fit` overrides the argument).

    Example:
        - unfreeze: {layers: {from: block5_conv1}, batch_norm: inference}
    """

    word: ClassVar[str] = "unfreeze"
    touches: ClassVar[Touch] = FLAGS

    layers: Annotated[Selector, Doc("which layers")]
    batch_norm: Annotated[
        Literal["inference", "train"], Doc("whether BatchNormalization stays frozen, in inference mode, or trains")
    ] = "inference"

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """Raise the flags of all leaves that the selection means, BatchNormalization aside unless it is to train."""
        chosen = bench.select(checkpoint, self.layers)
        left = None if self.batch_norm == "train" else _is_batch_norm
        return change_flags(checkpoint, bench, chosen, wanted=True, leave=left)


def _is_batch_norm(layer: Layer) -> bool:
    return layer.class_name in ("BatchNormalization", "SyncBatchNormalization")
