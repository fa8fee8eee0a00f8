"""`noise`: add random numbers to weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit.values import Owner, Place, chosen_weights, refuse_whole_numbers, with_edits
from modelrecipe.errors import EditError
from modelrecipe.fields import Doc, Rule
from modelrecipe.frozen import frozen
from modelrecipe.selector import Selector
from modelrecipe.step import VALUES, Bench, Step, Touch
from modelrecipe.weight_selector import ALL, WeightSelector
from modelrecipe.weights import Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Distribution = Literal["normal", "uniform"]
_SPREADS = ("variance", "stddev")
"""Ends of the names of statistics that are never negative."""


@dataclass(frozen=True, kw_only=True)
class Noise(Step):
    """Add random numbers to the weights of the selected layers.

    They have mean 0 and the standard deviation `stddev`, or `stddev` times that of the weight itself (`relative`); the
    uniform distribution has it too, and reaches sqrt(3) times as far. They depend on the recipe's seed, the step's
    number and the weight's name, but not on what else is selected. Sums are taken in float64 and rounded once. It is
    the second half of shrink and perturb (Ash and Adams, 2020, arXiv:1910.08475), whose first half is `rescale`.

    Without `weights`, all trainable weights of the layers are meant, that is no moving statistics.

    Example:
        - noise: {layers: {type: Dense}, weights: kernel, stddev: 0.01}
    """

    word: ClassVar[str] = "noise"
    touches: ClassVar[Touch] = VALUES

    layers: Annotated[Selector, Doc("whose weights")]
    stddev: Annotated[float, Doc("standard deviation of the noise"), Rule({"minimum": 0})]
    weights: Annotated[WeightSelector, Doc("which variables of each layer: names, globs or roles")] = ALL
    relative: Annotated[bool, Doc("whether `stddev` is in units of the weight's own standard deviation")] = False
    distribution: Annotated[Distribution, Doc("how the random numbers are spread")] = "normal"

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """Disturb the tensors lazily: nothing is read or drawn until the model is written."""
        places = chosen_weights(checkpoint, bench, self.layers, self.weights)
        refuse_whole_numbers(places)
        _refuse_variances(places)
        spread = f"{self.stddev:g}{' × its own' if self.relative else ''}"
        for place in places:
            bench.record(place.change(f"{place.label} + {self.distribution} noise, stddev {spread}"))

        def disturbed(place: Place, tensor: Tensor) -> Tensor:
            return tensor.map(
                _Disturbance(
                    seed=bench.seed_for(*place.identity(tensor)),
                    stddev=self.stddev,
                    is_relative=self.relative,
                    distribution=self.distribution,
                    owner=place.owner(tensor),
                )
            )

        return with_edits(checkpoint, places, disturbed)


@frozen
class _Disturbance:
    seed: int
    stddev: float
    is_relative: bool
    distribution: Distribution
    owner: Owner

    def __call__(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        import numpy as np  # verbs that read no numbers do without

        from modelrecipe.edit.arithmetic import by_pieces, is_finite, overflows, standard_deviation

        if self.is_relative and not is_finite(values):
            raise self.owner.refusal(
                "holds numbers that are not finite, so it has no standard deviation",
                hint="look for them with check: {finite: true}",
                at="relative",
            )
        spread = self.stddev * (standard_deviation(values) if self.is_relative else 1.0)
        generator = np.random.Generator(np.random.PCG64(self.seed))

        def plus_noise(piece: NDArray[np.float64]) -> NDArray[np.float64]:
            if self.distribution == "normal":
                return piece + spread * generator.standard_normal(piece.size)
            return piece + spread * math.sqrt(3) * generator.uniform(-1.0, 1.0, piece.size)

        disturbed = by_pieces(plus_noise, values)
        if overflows(values, disturbed):
            raise self.owner.refusal(
                f"would hold numbers that are too large for {values.dtype}", hint="write a smaller stddev", at="stddev"
            )
        return disturbed


def _refuse_variances(places: list[Place]) -> None:
    for place in places:
        for name in place.names:
            if name.endswith(_SPREADS):
                raise EditError(
                    f"'{name}' of '{place.path}' is a spread, which noise could make negative",
                    hint="name the weights that are meant",
                    at=("weights",),
                )
