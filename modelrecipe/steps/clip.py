"""`clip`: limit weights to a range, or to a norm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit.values import Owner, Place, chosen_weights, is_representable, refuse_whole_numbers, with_edits
from modelrecipe.errors import EditError, LanguageError
from modelrecipe.fields import Doc, Rule
from modelrecipe.frozen import frozen
from modelrecipe.selector import Selector
from modelrecipe.step import VALUES, Bench, Step, Touch
from modelrecipe.weight_selector import ALL, WeightSelector
from modelrecipe.weights import Elementwise, Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Clip(Step):
    """Limit the weights of the selected layers to a range of values, or to a norm.

    With `min` or `max`, each number beyond a bound becomes the bound, rounded to the weight's own type (as in Arjovsky
    et al., 2017, arXiv:1701.07875). With `norm`, a weight with a larger L2 norm is divided by it and multiplied by
    `norm`. `axis` takes norms along axes, as `keras.constraints.MaxNorm` does (Srivastava et al., 2014, JMLR 15):
    `axis: 0` bounds what enters each unit of a Dense, `axis: [0, 1, 2]` each filter of a Conv2D. Norms are taken in
    float64.

    What is within the limit keeps its bits, and NaN stays NaN. Without `weights`, all trainable weights of the layers
    are meant, that is no moving statistics.

    Example:
        - clip: {layers: {type: Dense}, weights: kernel, min: -0.1, max: 0.1}
    """

    word: ClassVar[str] = "clip"
    touches: ClassVar[Touch] = VALUES

    min: Annotated[float | None, Doc("smallest value")] = None
    max: Annotated[float | None, Doc("largest value")] = None
    layers: Annotated[Selector, Doc("whose weights")]
    weights: Annotated[WeightSelector, Doc("which variables of each layer: names, globs or roles")] = ALL
    norm: Annotated[float | None, Doc("largest L2 norm, of the whole weight or along `axis`"), Rule({"minimum": 0})] = (
        None
    )
    axis: Annotated[int | tuple[int, ...] | None, Doc("axes to take norms along, counted from 0 or back from -1")] = (
        None
    )

    def problems(self) -> Iterator[LanguageError]:
        """Bounds or a norm, and bounds in their order."""
        has_bounds = self.min is not None or self.max is not None
        if has_bounds and self.norm is not None:
            yield LanguageError("has both a range and a norm", hint="write a step for each", at=("norm",))
        if not has_bounds and self.norm is None:
            yield LanguageError("needs 'min', 'max' or 'norm'", hint="say to what the weights are limited")
        if self.axis is not None and self.norm is None:
            yield LanguageError("'axis' belongs to a 'norm'", at=("axis",))
        if self.min is not None and self.max is not None and self.min > self.max:
            yield LanguageError(f"'min' {self.min:g} is larger than 'max' {self.max:g}", at=("min",))

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """Limit the tensors lazily: nothing is read until the model is written."""
        places = chosen_weights(checkpoint, bench, self.layers, self.weights)
        refuse_whole_numbers(places)
        for place in places:
            bench.record(place.change(f"{place.label} {self._limit()}"))
        return with_edits(checkpoint, places, self._clipped)

    def _limit(self) -> str:
        if self.norm is not None:
            along = "" if self.axis is None else f" along axis {', '.join(map(str, self._axes() or ()))}"
            return f"to norm ≤ {self.norm:g}{along}"
        if self.min is None or self.max is None:
            return f"≤ {self.max:g}" if self.min is None else f"≥ {self.min:g}"
        return f"within {self.min:g} to {self.max:g}"

    def _axes(self) -> tuple[int, ...] | None:
        return (self.axis,) if isinstance(self.axis, int) else self.axis

    def _clipped(self, place: Place, tensor: Tensor) -> Tensor:
        if self.norm is not None:
            self._refuse_axes(place, tensor)
            return tensor.map(_Norm(limit=self.norm, axes=self._axes(), owner=place.owner(tensor)))
        for key, bound in (("min", self.min), ("max", self.max)):
            if bound is not None and tensor.dtype is not None and not is_representable(bound, tensor.dtype):
                raise EditError(
                    f"{bound:g} cannot be represented in {tensor.dtype}, the type of '{tensor.name}' of '{place.path}'",
                    hint="write a bound that its range holds",
                    at=(key,),
                )
        return tensor.map(Elementwise(_Range(self.min, self.max)))

    def _refuse_axes(self, place: Place, tensor: Tensor) -> None:
        if tensor.shape is None:
            return
        rank = len(tensor.shape)
        for axis in self._axes() or ():
            if not -rank <= axis < rank:
                axes = "one axis" if rank == 1 else f"{rank} axes"
                raise EditError(
                    f"'{tensor.name}' of '{place.path}' has {axes}, so there is no axis {axis}",
                    hint="name the weights that are meant",
                    at=("axis",),
                )


@frozen(kw_only=False)
class _Range:
    lower: float | None
    upper: float | None

    def __call__(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        import numpy as np  # verbs that read no numbers do without

        sides = ((self.lower, np.less, np.maximum), (self.upper, np.greater, np.minimum))
        for bound, is_beyond, nearer in sides:
            if bound is None:
                continue
            limit = np.asarray(bound).astype(values.dtype)
            with np.errstate(invalid="ignore"):  # bfloat16 and the like warn of what is no number, which it stays
                if limit != 0:
                    nearer(values, limit, out=values)
                else:  # a number that is zero keeps its sign
                    np.copyto(values, limit, where=is_beyond(values, limit))
        return values


@frozen
class _Norm:
    limit: float
    axes: tuple[int, ...] | None
    owner: Owner

    def __call__(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        import numpy as np

        from modelrecipe.edit.arithmetic import norms, resolution, scaled

        found = norms(values, self.axes)
        if not np.isfinite(found).all():
            raise self.owner.refusal(
                "has no finite norm", hint="look for numbers that are not finite (check: {finite: true})", at="norm"
            )
        # What was scaled once has the limit as its norm only up to its own rounding, and is to stay as it is.
        is_larger = found > self.limit * (1 + resolution(values.dtype))
        if not is_larger.any():
            return values
        factors = np.ones_like(found)
        np.divide(self.limit, found, out=factors, where=is_larger)
        return scaled(values, factors)
