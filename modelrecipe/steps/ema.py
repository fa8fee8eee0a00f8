"""`ema`: end a training with an exponential mean of the weights that it came by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit.means import take_in
from modelrecipe.fields import Doc, Rule
from modelrecipe.selector import Selector
from modelrecipe.step import VALUES, Bench, Step, Touch
from modelrecipe.weight_selector import ALL, WeightSelector


@dataclass(frozen=True, kw_only=True)
class Ema(Step):
    """Add the current weights to their exponential moving average, which replaces them when the training ends.

    Polyak averaging with forgetting: mean = decay * mean + (1 - decay) * w, in float64, beginning with the weights of
    the first time. It stands inside a training alone, as in `during: [{every: 10 batches, do: [{ema: 0.99}]}]`, which
    it does not disturb: validation tells of the weights before the mean. Without `weights`, all that train are meant.

    Example:
        - ema: {decay: 0.99}
    """

    word: ClassVar[str] = "ema"
    touches: ClassVar[Touch] = VALUES

    decay: Annotated[float, Doc("share of the mean so far"), Rule({"minimum": 0, "exclusiveMaximum": 1})]
    layers: Annotated[Selector | None, Doc("whose weights; all, if not given")] = None
    weights: Annotated[WeightSelector, Doc("which variables of each layer: names, globs or roles")] = ALL

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """The same model; the mean is kept beside it."""
        return take_in(checkpoint, bench, self.layers, self.weights, self.decay)
