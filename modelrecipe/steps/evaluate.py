"""`evaluate`: measure how good the model is on data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.step import NOTHING, Bench, Step, Touch
from modelrecipe.training.examples import Evaluation


@dataclass(frozen=True, kw_only=True)
class Evaluate(Evaluation, Step):
    """Measure loss and metrics of the model on data.

    The model works in inference mode, and nothing of it changes. The loss holds what regularizers add to it, as Keras'
    own `evaluate` tells it. Where `data` keeps examples apart for validation, `part` says whether these are meant, the
    others or all; they are the same ones as in a `train` step with the same data. Report and `--json` tell the values;
    `check` demands some.

    Example:
        - evaluate: {data: {npz: digits.npz, x: images, y: labels}, metrics: accuracy}
    """

    word: ClassVar[str] = "evaluate"
    touches: ClassVar[Touch] = NOTHING

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """The same model; the values go to the report, in a run."""
        measure = bench.evaluator(checkpoint, self)
        if measure is not None:
            bench.report(measure(checkpoint))
        return checkpoint
