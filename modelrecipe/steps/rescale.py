"""`rescale`: multiply weights by a constant."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from modelrecipe import measures
from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit.surgery import leaves_of
from modelrecipe.errors import EditError, nearest_names
from modelrecipe.fields import Doc
from modelrecipe.graph import Located
from modelrecipe.selector import Selector
from modelrecipe.step import VALUES, Bench, Change, Step, Touch
from modelrecipe.weight_selector import ALL, WeightSelector, selected_weights
from modelrecipe.weights import Elementwise, Tensor


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
        chosen = leaves_of(bench.select(checkpoint, self.layers))
        weights = checkpoint.weights
        done: set[str] = set()
        for path, located in chosen.items():
            tensors = checkpoint.weights.of(located.layer.key)
            named = selected_weights(tensors, self.weights)
            if not named or located.layer.key in done:
                continue
            done.add(located.layer.key)
            key = located.layer.key
            scaled = [self._scaled(tensor, path, key) if tensor.name in named else tensor for tensor in tensors]
            weights = weights.having(key, scaled)
            what = f"{', '.join(named)} × {self.factor:g}"
            bench.record(Change(kind="~", layer=path, key=located.layer.key, what=what, weights=named))
        if not done:
            raise _nothing_named(self.weights, checkpoint, list(chosen.values()))
        return replace(checkpoint, weights=weights)

    def _scaled(self, tensor: Tensor, path: str, key: str) -> Tensor:
        if tensor.dtype is not None and "float" not in tensor.dtype:
            raise EditError(
                f"'{tensor.name}' of '{path}' is {tensor.dtype}, which holds no fractions",
                hint="name the weights that are meant",
                at=("weights",),
            )
        if tensor.dtype is not None and not _is_representable(self.factor, tensor.dtype):
            raise EditError(
                f"the factor {self.factor:g} cannot be told in {tensor.dtype}, the type of '{tensor.name}' of '{path}'",
                hint="write one that its range holds",
                at=("factor",),
            )
        return tensor.map(Elementwise(_Times(self.factor, tensor.name, path, key)))


@dataclass(frozen=True)
class _Times:
    factor: float
    name: str
    path: str
    key: str

    def __call__(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        # A Python scalar would be widened for bfloat16; a scalar of the array's own type is what Keras would use.
        with np.errstate(over="ignore"):
            scaled = np.multiply(values, np.asarray(self.factor).astype(values.dtype))
        if not np.isfinite(scaled).all() and (np.isfinite(values) & ~np.isfinite(scaled)).any():
            raise EditError(
                f"'{self.name}' of '{self.path}' holds numbers that are too large for {values.dtype} when multiplied by"
                f" {self.factor:g}",
                hint="write a smaller factor",
                at=("factor",),
                layer=self.key,  # by the time that numbers are read, a later step is running
            )
        return scaled


def _is_representable(factor: float, dtype: str) -> bool:
    """Whether a factor, rounded to the type, is a finite number that still changes what it multiplies."""
    if not math.isfinite(factor):
        return False
    kind = getattr(ml_dtypes, dtype, None) or np.dtype(dtype)
    with np.errstate(over="ignore", under="ignore"):
        rounded = float(np.asarray(factor).astype(kind))
    return math.isfinite(rounded) and (rounded != 0) == (factor != 0)


def _nothing_named(weights: WeightSelector, checkpoint: Checkpoint, chosen: list[Located]) -> EditError:
    names = sorted({tensor.name for located in chosen for tensor in checkpoint.weights.of(located.layer.key)})
    layers = measures.quoted([located.path for located in chosen])
    if not names or not weights:
        verb = "has" if len(chosen) == 1 else "have"
        return EditError(f"{layers} {verb} no weights", hint="select layers with weights: has: kernel", at=("layers",))
    wanted = weights if isinstance(weights, str) else ", ".join(weights)
    near = nearest_names(wanted, names) or names[:6]
    return EditError(
        f"no weight of {layers} is named '{wanted}'",
        hint="nearest weights: " + measures.quoted(near, most=len(near)),
        at=("weights",),
    )
