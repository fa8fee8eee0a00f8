"""Which numbers a step edits: variables of layers, each once; and what all such edits share, refusals included.

Edits are lazy: what is decided here needs no number, and `arithmetic` is asked when they are read. Knows steps and
their words, but neither files nor Keras.
"""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe import measures
from modelrecipe.edit.surgery import leaves_of
from modelrecipe.errors import EditError, nearest_names
from modelrecipe.frozen import frozen
from modelrecipe.step import Change
from modelrecipe.weight_selector import ROLES, selected_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.graph import Layer, Located
    from modelrecipe.selector import Selector
    from modelrecipe.step import Bench
    from modelrecipe.weight_selector import WeightSelector
    from modelrecipe.weights import Tensor

_PACKED = {"float16": "e", "float32": "f", "float64": "d"}


@frozen
class Place:
    """A layer with those of its variables that a step means.

    Args:
        path: where the layer stands; of a layer that is shared, the first place that was selected.
        layer: the layer.
        tensors: the variables, in the order of the file; at least one.
    """

    path: str
    layer: Layer
    tensors: tuple[Tensor, ...]

    @property
    def key(self) -> str:
        """The layer's identity."""
        return self.layer.key

    @property
    def names(self) -> tuple[str, ...]:
        """What the variables are called."""
        return tuple(tensor.name for tensor in self.tensors)

    @property
    def label(self) -> str:
        """The same, in words: `kernel, bias`."""
        return ", ".join(self.names)

    @property
    def size(self) -> int | None:
        """How many numbers they hold together; None when that is not known yet."""
        return total({self.identity(tensor): tensor.size for tensor in self.tensors}.values())

    def change(self, what: str) -> Change:
        """What a step records that edits these variables where they stand."""
        return Change(kind="~", layer=self.path, key=self.key, what=what, weights=self.names)

    def identity(self, tensor: Tensor) -> tuple[str, str]:
        """What two stored copies of one variable have in common; see `variable_name`."""
        return self.key, variable_name(self.layer, tensor.name)

    def owner(self, tensor: Tensor) -> Owner:
        """Whose numbers those of `tensor` are."""
        return Owner(name=tensor.name, path=self.path, key=self.key)


@frozen
class Owner:
    """Names a tensor in the errors of an edit, which is carried out when its step is long done."""

    name: str
    path: str
    key: str

    def refusal(self, what: str, *, hint: str, at: str) -> EditError:
        """An error about the numbers, at the parameter `at` of the step that edits them."""
        return EditError(f"'{self.name}' of '{self.path}' {what}", hint=hint, at=(at,), layer=self.key)


def variable_name(layer: Layer, name: str) -> str:
    """The name of the variable that a stored tensor belongs to.

    Keras saves the kernel of a SpectralNormalization's layer twice, as that of the layer and as its own, and there is
    one variable for both: what is done to one is to be done to the other.
    """
    if layer.class_name != "SpectralNormalization":
        return name
    last = name.rpartition("/")[2]
    return "kernel" if last == "embeddings" else last


def total(sizes: Iterable[int | None]) -> int | None:
    """The sum; None where a part is not known."""
    found = list(sizes)
    return None if None in found else sum(size for size in found if size is not None)


def chosen_weights(checkpoint: Checkpoint, bench: Bench, layers: Selector, weights: WeightSelector) -> list[Place]:
    """The variables that a step's `layers` and `weights` name; a selected model stands for all layers inside it.

    Raises:
        SelectorError: no layer is selected.
        EditError: no variable is.
    """
    chosen = list(leaves_of(bench.select(checkpoint, layers)).values())
    places = places_of(checkpoint, chosen, weights)
    if not places:
        raise _nothing_named(weights, checkpoint, chosen)
    return places


def places_of(checkpoint: Checkpoint, chosen: Sequence[Located], weights: WeightSelector) -> list[Place]:
    """The variables that `weights` names in the chosen layers, a shared layer once."""
    found: dict[str, Place] = {}
    for located in chosen:
        tensors = checkpoint.weights.of(located.layer.key)
        named = {variable_name(located.layer, name) for name in selected_weights(tensors, weights)}
        if named and located.layer.key not in found:
            meant = tuple(tensor for tensor in tensors if variable_name(located.layer, tensor.name) in named)
            found[located.layer.key] = Place(path=located.path, layer=located.layer, tensors=meant)
    return list(found.values())


def _nothing_named(weights: WeightSelector, checkpoint: Checkpoint, chosen: Sequence[Located]) -> EditError:
    """What to say where `weights` names no variable of the chosen layers."""
    names = sorted({tensor.name for located in chosen for tensor in checkpoint.weights.of(located.layer.key)})
    layers = measures.quoted([located.path for located in chosen])
    if not names or not weights:
        verb = "has" if len(chosen) == 1 else "have"
        return EditError(f"{layers} {verb} no weights", hint="select layers with weights: has: kernel", at=("layers",))
    if weights == ROLES["kernel"]:  # what a step means that is not told which
        verb = "has no kernel" if len(chosen) == 1 else "have no kernels"
        near = measures.quoted(names)
        return EditError(f"{layers} {verb}", hint=f"name the weights that are meant, of {near}", at=("layers",))
    wanted = weights if isinstance(weights, str) else ", ".join(weights)
    near = nearest_names(wanted, names) or names[:6]
    return EditError(
        f"no weight of {layers} is named '{wanted}'",
        hint="nearest weights: " + measures.quoted(near, most=len(near)),
        at=("weights",),
    )


def with_edits(checkpoint: Checkpoint, places: Sequence[Place], edit: Callable[[Place, Tensor], Tensor]) -> Checkpoint:
    """The checkpoint with the tensors of `places` put through `edit`, and no other."""
    edited = {
        place.key: [
            edit(place, tensor) if tensor.name in place.names else tensor for tensor in checkpoint.weights.of(place.key)
        ]
        for place in places
    }
    return replace(checkpoint, weights=checkpoint.weights.having_all(edited))


def with_numbers(checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
    """The checkpoint with the initial numbers of new layers, for a step that looks from one tensor at another.

    In a plan they stay unknown, and nobody asks for them.
    """
    is_new = any(tensor.source is None for tensors in checkpoint.weights.values() for tensor in tensors)
    return bench.measure(checkpoint) if is_new else checkpoint


def is_fractional(tensor: Tensor) -> bool:
    """Whether it holds floating-point numbers, or nobody knows yet what it holds."""
    return tensor.dtype is None or "float" in tensor.dtype


def refuse_whole_numbers(places: Sequence[Place]) -> None:
    """Refuse to calculate with integers and flags.

    Raises:
        EditError: a variable holds no floating-point numbers.
    """
    for place in places:
        for tensor in place.tensors:
            if not is_fractional(tensor):
                raise EditError(
                    f"'{tensor.name}' of '{place.path}' is {tensor.dtype}, which holds no fractions",
                    hint="name the weights that are meant",
                    at=("weights",),
                )


def is_representable(number: float, dtype: str) -> bool:
    """Whether a number, rounded to the type, is finite, and zero only where it was."""
    number = float(number)  # a recipe may hold a whole one, of which it is told otherwise that it is too large
    if not math.isfinite(number):
        return False
    rounded = _rounded(number, dtype)
    return math.isfinite(rounded) and (rounded != 0) == (number != 0)


def _rounded(number: float, dtype: str) -> float:
    """The number of a type that is nearest; where there is none so large, infinity."""
    if (code := _PACKED.get(dtype)) is not None:
        try:
            return struct.unpack(code, struct.pack(code, number))[0]
        except OverflowError:
            return math.copysign(math.inf, number)
    import ml_dtypes  # few models hold numbers of these types
    import numpy as np

    with np.errstate(over="ignore", under="ignore"):
        return float(np.asarray(number).astype(getattr(ml_dtypes, dtype, None) or np.dtype(dtype)))
