"""`swa`: end a training with the mean of the weights that it came by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit.means import take_in
from modelrecipe.fields import Doc
from modelrecipe.selector import Selector
from modelrecipe.step import VALUES, Bench, Step, Touch
from modelrecipe.weight_selector import ALL, WeightSelector


@dataclass(frozen=True, kw_only=True)
class Swa(Step):
    """Add the current weights to their running mean, which replaces them when the training ends.

    Stochastic weight averaging (Izmailov et al., 2018, arXiv:1803.05407): w_swa = (w_swa * n + w) / (n + 1), in
    float64. It stands inside a training alone, as in `during: [{every: 1 epoch, from: epoch 6, do: [{swa: {}}]}]`,
    which it does not disturb: validation tells of the weights before the mean. Without `weights`, all that train are
    meant: moving statistics are left as they are, and fit the mean only roughly until `bn_reestimate` takes them anew.

    Example:
        - swa: {layers: "*"}
    """

    word: ClassVar[str] = "swa"
    touches: ClassVar[Touch] = VALUES

    layers: Annotated[Selector | None, Doc("whose weights; all, if not given")] = None
    weights: Annotated[WeightSelector, Doc("which variables of each layer: names, globs or roles")] = ALL

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """The same model; the mean is kept beside it."""
        return take_in(checkpoint, bench, self.layers, self.weights, None)
