"""The states of a training: where they stand, whose they are, and when a run may not go past them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blake3 import blake3

from modelrecipe.engine.digest import content_digest
from modelrecipe.engine.output import shown_path
from modelrecipe.errors import TrainingError

if TYPE_CHECKING:
    from pathlib import Path

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.engine.bench import WorkBench
    from modelrecipe.engine.training import Prospect
    from modelrecipe.steps.train import Train


def refuse_states(bench: WorkBench, step: Train) -> None:
    """Refuse to resume what keeps no states, and to lose those of an interrupted training; before any training begins.

    Raises:
        TrainingError: it is so.
    """
    if bench.resumes and step.checkpoints is None:
        raise TrainingError(
            "this training keeps no states to resume from", hint="write checkpoints: {every: 1 epoch}", at=()
        )
    folder = states_folder(bench, step)
    if folder is None or bench.resumes or bench.force:
        return
    from modelrecipe.live.training.states import interrupted_at

    time = interrupted_at(folder)
    if time is not None:
        raise TrainingError(
            f"'{shown_path(folder)}' keeps a training that was interrupted after batch {time}",
            hint="pass --resume to go on with it, or --force to begin anew",
            at=("checkpoints",),
        )


def states_folder(bench: WorkBench, step: Train) -> Path | None:
    """Where the states of a training are kept; None where the recipe wants none."""
    if step.checkpoints is None:
        return None
    return bench.target_folder(step.checkpoints.folder or f"{bench.name}.training/step-{bench.step_number}")


def identity_of(bench: WorkBench, measured: Checkpoint, step: Train, prospect: Prospect) -> dict[str, str]:
    """What a state must have in common with the training that goes on from it: names of parts to their digests."""
    parts = {
        "recipe": [bench.seed, repr(step)],
        "data": sorted(prospect.summary.digests().items()),
        "model": content_digest(measured, bench.digests),
    }
    return {name: blake3(repr(part).encode()).hexdigest() for name, part in parts.items()}
