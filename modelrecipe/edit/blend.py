"""Combines checkpoints of one architecture, number by number: weighted means, and what lies between two.

Lazy, with float64 inside: a tensor of each checkpoint is read when the combined one is, one at a time, and the result
is rounded once. Pure functions of checkpoints: what a recipe says, and what a report tells, is for the steps.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from modelrecipe.edit.counterparts import Counterparts, Other, counterparts
from modelrecipe.edit.values import Owner, Place, with_edits
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.weights import Tensor

Mode = Literal["linear", "slerp"]
_ALMOST_PARALLEL = 0.9995
"""Cosine from which a great circle is a straight line as far as numbers tell; that of mergekit's `slerp`."""


def averaged(
    checkpoint: Checkpoint,
    places: Sequence[Place],
    others: Sequence[Other],
    coefficients: Sequence[float] | None = None,
    *,
    is_whole: bool = False,
) -> Checkpoint:
    """The weighted mean of a checkpoint and others at `places`; all else is that of the first.

    The order of the checkpoints does not matter, to the bit. The mean of equal tensors is that tensor.

    Args:
        checkpoint: a model.
        places: its variables that are averaged, floating-point ones.
        others: further models.
        coefficients: weights of the mean, that of `checkpoint` first; they need not sum to 1. None for equal ones.
        is_whole: whether the others may hold no weights that `checkpoint` has not.

    Raises:
        EditError: another model does not have what stands at `places`.
    """
    shares = tuple(coefficients) if coefficients is not None else (1.0,) * (1 + len(others))
    found = _counterparts(checkpoint, places, others, is_whole=is_whole)

    def mean(place: Place, tensor: Tensor) -> Tensor:
        twins = tuple(twin[place.key, tensor.name] for twin in found)
        return tensor.map(_Mean(twins, shares))

    return with_edits(checkpoint, places, mean)


def interpolated(
    checkpoint: Checkpoint,
    places: Sequence[Place],
    other: Other,
    alpha: float,
    mode: Mode = "linear",
    *,
    is_whole: bool = False,
) -> Checkpoint:
    """What lies between a checkpoint (`alpha` 0) and another one (1) at `places`; all else is that of the first.

    Args:
        checkpoint: a model.
        places: its variables that are interpolated, floating-point ones.
        other: the other model.
        alpha: how far to go towards it.
        mode: along the straight line, or for weights that train along the great circle through both directions.
        is_whole: whether the other may hold no weights that `checkpoint` has not.

    Raises:
        EditError: the other model does not have what stands at `places`.
    """
    (found,) = _counterparts(checkpoint, places, (other,), is_whole=is_whole)

    def between(place: Place, tensor: Tensor) -> Tensor:
        twin = found[place.key, tensor.name]
        is_curved = mode == "slerp" and tensor.is_trainable
        return tensor.map(_Between(twin=twin, alpha=alpha, is_curved=is_curved, owner=place.owner(tensor)))

    return with_edits(checkpoint, places, between)


def _counterparts(
    checkpoint: Checkpoint, places: Sequence[Place], others: Sequence[Other], *, is_whole: bool
) -> list[Counterparts]:
    return [counterparts(places, other, whole=checkpoint if is_whole else None) for other in others]


@frozen(kw_only=False)
class _Mean:
    twins: tuple[Tensor, ...]
    coefficients: tuple[float, ...]

    bytes_beside: ClassVar[int] = 8
    """The sum in float64, per number; beside the copies that every edit needs."""

    def __call__(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        import numpy as np  # verbs that read no numbers do without

        from modelrecipe.edit.arithmetic import add_to, by_pieces

        ranked = self._ranked(values)
        if len({digest for digest, _, _ in ranked}) == 1:
            return self._read(ranked[0][2], values)
        summed = np.zeros(values.size)
        for _, coefficient, number in ranked:
            add_to(summed, self._read(number, values), coefficient)
        whole = math.fsum(self.coefficients)
        summed /= whole
        return by_pieces(lambda _, piece: piece, values, summed)

    def _ranked(self, values: NDArray[np.generic]) -> list[tuple[str, float, int]]:
        """Digest, coefficient and number of each tensor that counts, in an order that is that of their content.

        Floating-point sums depend on the order, and a mean should not.
        """
        from modelrecipe.weights import digest_array

        return sorted(
            (digest_array(self._read(number, values)), coefficient, number)
            for number, coefficient in enumerate(self.coefficients)
            if coefficient
        )

    def _read(self, number: int, values: NDArray[np.generic]) -> NDArray[np.generic]:
        return self.twins[number - 1].read() if number else values


@frozen
class _Between:
    twin: Tensor
    alpha: float
    is_curved: bool
    owner: Owner

    def __call__(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        from modelrecipe.edit.arithmetic import by_pieces, overflows

        if self.alpha == 0:
            return values
        other = self.twin.read()
        if self.alpha == 1:
            return other
        shares = self._shares_on_the_circle(values, other) if self.is_curved else None
        if shares is None:
            # In this form equal numbers stay as they are, whatever alpha is.
            return by_pieces(lambda one, two: one + self.alpha * (two - one), values, other)
        first, second = shares
        found = by_pieces(lambda one, two: first * one + second * two, values, other)
        if overflows(values, found):
            raise self.owner.refusal(
                f"would hold numbers that are too large for {values.dtype}", hint="write mode: linear", at="mode"
            )
        return found

    def _shares_on_the_circle(
        self, values: NDArray[np.generic], other: NDArray[np.generic]
    ) -> tuple[float, float] | None:
        """What each tensor is multiplied by; None where the directions are almost the same, opposite, or not there."""
        from modelrecipe.edit.arithmetic import inner_product

        lengths = math.sqrt(inner_product(values, values)) * math.sqrt(inner_product(other, other))
        cosine = inner_product(values, other) / lengths if lengths else 1.0
        if not abs(cosine) <= _ALMOST_PARALLEL:
            return None
        angle = math.acos(cosine)
        return math.sin((1 - self.alpha) * angle) / math.sin(angle), math.sin(self.alpha * angle) / math.sin(angle)
