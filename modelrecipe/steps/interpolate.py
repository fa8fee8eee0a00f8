"""`interpolate`: go a part of the way from the current model to another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit.blend import Mode, interpolated
from modelrecipe.edit.combining import combined_places, further_checkpoints
from modelrecipe.edit.values import with_numbers
from modelrecipe.fields import Doc, Rule
from modelrecipe.selector import Selector
from modelrecipe.step import VALUES, Bench, Step, Touch
from modelrecipe.weight_selector import WeightSelector


@dataclass(frozen=True, kw_only=True)
class Interpolate(Step):
    """Go a part of the way from the current model to another one of the same architecture.

    w = (1 - alpha) × current + alpha × with: at 0 the model stays what it is, at 1 it takes over the other one's
    numbers, both bit for bit. With the pretrained model as the current one and the fine-tuned one as `with`, this is
    WiSE-FT (Wortsman et al., 2022, arXiv:2109.01903). `mode: slerp` goes along the great circle through both
    directions of each weight (Shoemake, 1985), and along the line where they are almost parallel (|cos| > 0.9995) or
    one is zero. Numbers are taken in float64 and rounded once.

    Moving statistics are interpolated too, on the line in both modes: at either end they must be those of the weights
    around them, and a variance between two is never negative. Weights are matched by the layer's path and their own
    name. Integers and the state of random generators are left as in the current model.

    Example:
        - interpolate: {with: finetuned.keras, alpha: 0.5}
    """

    word: ClassVar[str] = "interpolate"
    touches: ClassVar[Touch] = VALUES

    with_: Annotated[str, Doc("the other model: a name that `load` gave it with `as`, or the path of a file")]
    alpha: Annotated[
        float, Doc("share of the other model: 0 is the current one, 1 the other"), Rule({"minimum": 0, "maximum": 1})
    ]
    mode: Annotated[Mode, Doc("along a straight line, or along a great circle")] = "linear"
    layers: Annotated[Selector | None, Doc("whose weights; all, if not given")] = None
    weights: Annotated[WeightSelector, Doc("which variables of each layer: names, globs or roles")] = "*"

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """Combine the tensors lazily: nothing is read until the model is written."""
        checkpoint = with_numbers(checkpoint, bench)
        (other,) = further_checkpoints(bench, self.with_)
        places = combined_places(checkpoint, bench, self.layers, self.weights)
        between = interpolated(checkpoint, places, other, self.alpha, self.mode, is_whole=self.layers is None)
        way = f"{100 * self.alpha:g} % of the way to '{other.name}'"
        for place in places:
            bench.record(place.change(f"{place.label} {way}"))
        return between
