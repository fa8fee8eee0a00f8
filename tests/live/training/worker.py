"""A worker in a process of its own: `python -m tests.live.training.worker RECIPE NUMBERS [resume]`, with TF_CONFIG.

Carries the recipe out, and stores the numbers of each trained model, whether this worker writes outputs or not.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from modelrecipe import load_recipe
from modelrecipe.engine import training_run
from modelrecipe.errors import RecipeError

if TYPE_CHECKING:
    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.engine.bench import WorkBench
    from modelrecipe.steps.train import Train


def main(recipe: str, numbers: str, *words: str) -> int:
    """Carry a recipe out."""
    train, found = training_run.train, {}

    def watched(bench: WorkBench, checkpoint: Checkpoint, step: Train) -> Checkpoint:
        after = train(bench, checkpoint, step)
        if not bench.is_dry:
            for key, tensors in after.weights.items():
                found.update({f"{bench.step_number}/{key}/{tensor.name}": tensor.read() for tensor in tensors})
        return after

    training_run.train = watched
    try:
        outcome = load_recipe(recipe).run(resume="resume" in words, progress=lambda text: None)
    except RecipeError as error:
        sys.stderr.write(f"REFUSED {error}\n")
        return 1
    np.savez(numbers, **found)
    sys.stdout.write("\n".join(note for step in outcome.steps for note in step.notes))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
