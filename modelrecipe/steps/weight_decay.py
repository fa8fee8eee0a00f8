"""`weight_decay`: change the optimizer's decay of weights while it trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.fields import Doc, Rule
from modelrecipe.step import SETTINGS, Bench, Step, Touch


@dataclass(frozen=True, kw_only=True)
class WeightDecay(Step):
    """Change the weight decay of the optimizer from now on.

    In every update each trained weight then loses rate * learning rate of itself beside what its gradient does, as in
    AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2). It stands inside a training alone, as in
    `during: [{at: epoch 3, do: [{weight_decay: 0.01}]}]`, and changes nothing of the model by itself. To shrink single
    weights by a factor, take `rescale`.

    Example:
        - weight_decay: 0.01
    """

    word: ClassVar[str] = "weight_decay"
    touches: ClassVar[Touch] = SETTINGS

    rate: Annotated[float, Doc("share that is lost per unit of the learning rate; 0 for none"), Rule({"minimum": 0})]

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """The same model; the optimizer is told."""
        bench.decay_weights(self.rate)
        bench.note(f"weight decay {self.rate:g}")
        return checkpoint
