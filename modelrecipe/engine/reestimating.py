"""Takes the moving statistics of a model anew from data, and puts them into the document."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe import measures
from modelrecipe.engine.feeds import in_words, open_feeds, split_seed
from modelrecipe.engine.training_fit import summarise
from modelrecipe.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.engine.bench import WorkBench
    from modelrecipe.steps.bn_reestimate import BnReestimate


def reestimate(bench: WorkBench, checkpoint: Checkpoint, step: BnReestimate, paths: Mapping[str, str]) -> Checkpoint:
    """See `Bench.reestimate`.

    Raises:
        RecipeError: data and model do not fit each other, or a layer cannot be estimated on them.
    """
    summary = summarise(bench, checkpoint, step.data, None)
    if summary.examples is not None:
        _refuse_too_many(step, summary.examples)
    if bench.is_dry:
        bench.note(_told(step, summary.examples))
        return checkpoint
    workshop = bench.workshop  # TensorFlow comes in here, quietly
    from modelrecipe.live.reestimating import reestimated
    from modelrecipe.live.state import Held

    measured = bench.measure(checkpoint)
    # In one order for all steps of a recipe: the same step twice gives the same numbers.
    feed = open_feeds(bench, step.data, batch_size=step.batch_size, seed=split_seed(bench.seed)).train
    _refuse_too_many(step, feed.examples)
    bench.progress(f"estimating the statistics of {measures.counted(len(paths), 'layer')}")
    found = reestimated(workshop, measured, paths, feed, step.batches)
    bench.note(_told(step, feed.examples))
    new = {
        key: [
            replace(tensor, source=Held(values[tensor.name]), edits=()) if tensor.name in values else tensor
            for tensor in measured.weights.of(key)
        ]
        for key, values in found.items()
    }
    return replace(measured, weights=measured.weights.having_all(new))


def _refuse_too_many(step: BnReestimate, examples: int) -> None:
    batches = -(-examples // step.batch_size)
    if step.batches is not None and step.batches > batches:
        raise DataError(
            f"the data give {batches:,} {'batch' if batches == 1 else 'batches'}, not {step.batches:,}",
            hint="write fewer, or leave 'batches' out for all",
            at=("batches",),
        )


def _told(step: BnReestimate, examples: int | None) -> str:
    if step.batches is not None:
        size = step.batches * step.batch_size
        examples = size if examples is None else min(size, examples)
    return f"statistics of {in_words(examples, None)}, in batches of {step.batch_size}"
