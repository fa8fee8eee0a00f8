"""`prune`: set the smallest weights to zero."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from modelrecipe import measures
from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit.values import Place, chosen_weights, refuse_whole_numbers, total, with_edits, with_numbers
from modelrecipe.fields import Doc, Rule
from modelrecipe.frozen import frozen
from modelrecipe.selector import Selector
from modelrecipe.step import VALUES, Bench, Step, Touch
from modelrecipe.weight_selector import ROLES, WeightSelector
from modelrecipe.weights import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from modelrecipe.edit.smallest import Smallest


@dataclass(frozen=True, kw_only=True)
class Prune(Step):
    """Set the weights of smallest magnitude to zero.

    Of n numbers, round(sparsity × n) are zero afterwards, those that were zero before included, so that a larger
    sparsity may follow a smaller one (Zhu and Gupta, 2017, arXiv:1710.01878). They are chosen in each weight by itself,
    or over all selected weights together (`scope: global`), which are then read three or four times more, one at a time
    (float64 five or six times). Of equal magnitudes the first ones go, in the order of the file. All other numbers
    keep their bits, and shapes stay, so that the file is no smaller until it is compressed.

    Without `weights`, kernels of every kind are meant (recurrent, depthwise and pointwise ones, and embeddings). In
    training, what is zero then stays zero, unless `hold` is false.

    Example:
        - prune: {layers: {type: [Dense, Conv2D]}, sparsity: 0.5}
    """

    word: ClassVar[str] = "prune"
    touches: ClassVar[Touch] = VALUES

    layers: Annotated[Selector, Doc("whose weights")]
    sparsity: Annotated[float, Doc("share of zeros afterwards, below 1"), Rule({"minimum": 0, "exclusiveMaximum": 1})]
    weights: Annotated[
        WeightSelector, Doc("which variables of each layer: names, globs or roles; by default kernels")
    ] = ROLES["kernel"]
    scope: Annotated[Literal["layer", "global"], Doc("choose in each weight by itself, or over all together")] = "layer"
    hold: Annotated[bool, Doc("in training, keep zeros at zero after every batch")] = True

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """Prune the tensors lazily: nothing is read, and nothing chosen, until the model is written."""
        is_global = self.scope == "global"
        checkpoint = with_numbers(checkpoint, bench) if is_global else checkpoint
        places = chosen_weights(checkpoint, bench, self.layers, self.weights)
        refuse_whole_numbers(places)
        for place in places:
            bench.record(place.change(f"{place.label}, {self._share(place.size, is_certain=not is_global)}"))
            for name in place.names if self.hold else ():
                bench.hold_zeros(place.key, name)
        if is_global:
            tensors = {place.identity(tensor): tensor for place in places for tensor in place.tensors}
            whole = self._share(total(tensor.size for tensor in tensors.values()), is_certain=True)
            bench.note(f"{whole}, chosen over {measures.counted(len(tensors), 'weight')} together")
            return with_edits(checkpoint, places, _together(tensors, self.sparsity))
        alone = _Alone(self.sparsity)
        return with_edits(checkpoint, places, lambda _, tensor: tensor.map(alone))

    def _share(self, size: int | None, *, is_certain: bool) -> str:
        """In words: `50 % of 4,608 → 0`."""
        part = f"{100 * self.sparsity:g} %" if is_certain else "some"
        return f"{part} → 0" if size is None else f"{part} of {measures.count(size)} → 0"


@frozen(kw_only=False)
class _Alone:
    """Zeroes the smallest numbers of one tensor."""

    sparsity: float

    def __call__(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        from modelrecipe.edit.smallest import Smallest  # verbs that read no numbers do without

        return Smallest([lambda: values], self.sparsity).without(values, 0)


class _Together:
    """Zeroes the smallest numbers of several tensors, which are looked through when the first of them is read."""

    def __init__(self, tensors: Sequence[Tensor], sparsity: float) -> None:
        self._tensors = tensors
        self._sparsity = sparsity

    @cached_property
    def _smallest(self) -> Smallest:
        from modelrecipe.edit.smallest import Smallest

        return Smallest([tensor.read for tensor in self._tensors], self._sparsity)

    def edit(self, number: int, values: NDArray[np.generic]) -> NDArray[np.generic]:
        return self._smallest.without(values, number)


def _together(tensors: Mapping[tuple[str, str], Tensor], sparsity: float) -> Callable[[Place, Tensor], Tensor]:
    shared = _Together(tuple(tensors.values()), sparsity)
    numbers = {identity: number for number, identity in enumerate(tensors)}
    return lambda place, tensor: tensor.map(partial(shared.edit, numbers[place.identity(tensor)]))
