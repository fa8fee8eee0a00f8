"""What steps that combine models have in common: the models that they name, and the variables that they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe import measures
from modelrecipe.edit.counterparts import Other, combinable
from modelrecipe.edit.values import chosen_weights, places_of, with_numbers
from modelrecipe.errors import EditError

if TYPE_CHECKING:
    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.edit.values import Place
    from modelrecipe.selector import Selector
    from modelrecipe.step import Bench
    from modelrecipe.weight_selector import WeightSelector


def further_checkpoints(bench: Bench, names: str | tuple[str, ...]) -> list[Other]:
    """The models that stand below a step's `with`, one or several."""
    if isinstance(names, str):
        places: list[tuple[str, tuple[str | int, ...]]] = [(names, ("with",))]
    else:
        places = [(name, ("with", number)) for number, name in enumerate(names)]
    return [Other(name=name, checkpoint=with_numbers(bench.further(name, *at), bench), at=at) for name, at in places]


def combined_places(
    checkpoint: Checkpoint, bench: Bench, layers: Selector | None, weights: WeightSelector
) -> list[Place]:
    """The floating-point variables that a step means, of all layers if it names none; what is left is noted.

    Raises:
        EditError: there are none, or a layer is quantized.
    """
    if layers is None:
        places = places_of(checkpoint, [item for item in checkpoint.layers() if item.layer.graph is None], weights)
    else:
        places = chosen_weights(checkpoint, bench, layers, weights)
    kept, left = combinable(places)
    if not kept:
        raise EditError("none of the selected weights holds fractions", hint="name other weights", at=("weights",))
    if left:
        bench.note(f"left as in the current model, as they hold no fractions: {measures.quoted(left)}")
    return kept
