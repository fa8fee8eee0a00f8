"""`rescale`: multiply weights by a constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit.values import Owner, Place, chosen_weights, is_representable, refuse_whole_numbers, with_edits
from modelrecipe.errors import EditError
from modelrecipe.fields import Doc
from modelrecipe.frozen import frozen
from modelrecipe.selector import Selector
from modelrecipe.step import VALUES, Bench, Step, Touch
from modelrecipe.weight_selector import ALL, WeightSelector
from modelrecipe.weights import Elementwise, Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Rescale(Step):
    """Multiply the weights of the selected layers by a constant.

    The product is taken in the weight's own type. Shapes, types and every weight that is not named are unchanged;
    without `weights`, all trainable weights of the layers are meant, that is no moving statistics. A shared layer is
    rescaled once.

    Example:
        - rescale: {layers: {type: Dense}, weights: kernel, factor: 0.5}
    """

    word: ClassVar[str] = "rescale"
    touches: ClassVar[Touch] = VALUES

    layers: Annotated[Selector, Doc("whose weights")]
    factor: Annotated[float, Doc("multiplier, dimensionless")]
    weights: Annotated[WeightSelector, Doc("which variables of each layer: names, globs or roles")] = ALL

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """Scale the tensors lazily: nothing is read until the model is written."""
        places = chosen_weights(checkpoint, bench, self.layers, self.weights)
        refuse_whole_numbers(places)
        for place in places:
            bench.record(place.change(f"{place.label} × {self.factor:g}"))
        return with_edits(checkpoint, places, self._scaled)

    def _scaled(self, place: Place, tensor: Tensor) -> Tensor:
        if tensor.dtype is not None and not is_representable(self.factor, tensor.dtype):
            raise EditError(
                f"the factor {self.factor:g} cannot be represented in {tensor.dtype}, the type of '{tensor.name}' of"
                f" '{place.path}'",
                hint="write one that its range holds",
                at=("factor",),
            )
        return tensor.map(Elementwise(_Times(self.factor, place.owner(tensor))))


@frozen(kw_only=False)
class _Times:
    factor: float
    owner: Owner

    def __call__(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        import numpy as np  # verbs that read no numbers do without

        from modelrecipe.edit.arithmetic import multiplied

        try:
            # A Python scalar would be widened for bfloat16; a scalar of the array's own type is what Keras would use.
            return multiplied(values, np.asarray(self.factor).astype(values.dtype))
        except OverflowError as error:
            raise self.owner.refusal(
                f"holds numbers that are too large for {values.dtype} when multiplied by {self.factor:g}",
                hint="write a smaller factor",
                at="factor",
            ) from error
