"""What steps share that take weights into a running mean while the model is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe.edit.combining import combined_places

if TYPE_CHECKING:
    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.selector import Selector
    from modelrecipe.step import Bench
    from modelrecipe.weight_selector import WeightSelector


def take_in(
    checkpoint: Checkpoint, bench: Bench, layers: Selector | None, weights: WeightSelector, decay: float | None
) -> Checkpoint:
    """Take the numbers of now into the mean of each variable that is meant; the model itself stays as it is.

    Raises:
        EditError: no such variable holds fractions, or this is no training.
    """
    kind = "their mean" if decay is None else "their exponential mean"
    for place in combined_places(checkpoint, bench, layers, weights):
        for name in place.names:
            bench.average(place.key, name, decay)
        bench.record(place.change(f"{place.label} taken into {kind}"))
    return checkpoint
