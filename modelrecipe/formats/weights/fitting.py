"""The tensors that a file holds for a layer, put into the layer's variables by name, place and shape.

Both are called differently by every writer: Keras 3 numbers variables, old files record paths of TensorFlow, Keras 1
wrote `dense_1_W`. A tensor that fits no variable, or could be that of two, is left.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from modelrecipe.weights import Tensor

_OF_KERAS_1: Mapping[str, str] = {
    "W": "kernel",
    "b": "bias",
    "U": "recurrent_kernel",
    "running_mean": "moving_mean",
    "running_std": "moving_variance",
}
_OLD_END = re.compile(r"(?:^|_)(W|U|b|gamma|beta|running_mean|running_std|depthwise_kernel|pointwise_kernel)$")


@frozen
class Fit:
    """What became of one layer.

    Args:
        tensors: its variables; those for which the file holds nothing, or another shape, have no numbers.
        missing: variables that got nothing.
        misshapen: variables for which the file holds another shape, with that shape.
        left: tensors of the file that are none of its variables.
        cast: how many numbers change their type.
    """

    tensors: tuple[Tensor, ...]
    missing: tuple[Tensor, ...] = ()
    misshapen: tuple[tuple[Tensor, tuple[int, ...]], ...] = ()
    left: tuple[Tensor, ...] = ()
    cast: int = 0


@frozen
class CastSource:
    """Reads numbers in the type that the model keeps them in."""

    read: Callable[[], NDArray[np.generic]]
    dtype: str

    def __call__(self) -> NDArray[np.generic]:
        """The numbers, rounded where the type is a narrower one."""
        return self.read().astype(_numpy_type(self.dtype))


def _numpy_type(name: str) -> np.dtype:
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, name, name))


def fit_layer(places: Sequence[Tensor], given: Sequence[Tensor], *, is_ordered: bool) -> Fit:
    """Put what a file holds of a layer into its variables.

    Args:
        places: the layer's variables; a shape that is None takes any.
        given: the file's tensors for this layer.
        is_ordered: whether the file lists them in the order of the layer's variables, so that this tells where names
            do not.
    """
    pairs = _with_twin(places, _paired(places, given, is_ordered=is_ordered))
    taken = {id(tensor) for tensor in pairs.values()}
    tensors: list[Tensor] = []
    misshapen: list[tuple[Tensor, tuple[int, ...]]] = []
    for place in places:
        tensor = pairs.get(place.slot)
        if tensor is not None and None not in (place.shape, tensor.shape) and tensor.shape != place.shape:
            misshapen.append((place, tensor.shape or ()))
            tensor = None
        tensors.append(place if tensor is None else _filled(place, tensor))
    return Fit(
        tensors=tuple(tensors),
        missing=tuple(place for place in places if place.slot not in pairs),
        misshapen=tuple(misshapen),
        left=tuple(tensor for tensor in given if id(tensor) not in taken),
        cast=sum(1 for tensor in tensors if isinstance(tensor.source, CastSource)),
    )


def _with_twin(places: Sequence[Tensor], pairs: dict[str, Tensor]) -> dict[str, Tensor]:
    """A SpectralNormalization has the kernel of its layer as its own too, which only files of Keras 3 write twice."""
    own = next((place for place in places if place.slot == "vars/0"), None)
    inner = next((place for place in places if place.slot == "layer/vars/0"), None)
    is_twin = own is not None and inner is not None and _end(own) == _end(inner)
    return {"vars/0": pairs["layer/vars/0"], **pairs} if is_twin and "layer/vars/0" in pairs else pairs


def _filled(place: Tensor, tensor: Tensor) -> Tensor:
    source = tensor.source
    dtype = tensor.dtype
    if source is not None and dtype != place.dtype and _is_float(dtype) and _is_float(place.dtype):
        dtype = place.dtype
        source = CastSource(read=source, dtype=str(dtype))
    return replace(place, shape=tensor.shape, dtype=dtype, source=source, edits=tensor.edits)


def _is_float(dtype: str | None) -> bool:
    return dtype is not None and "float" in dtype


def _paired(places: Sequence[Tensor], given: Sequence[Tensor], *, is_ordered: bool) -> dict[str, Tensor]:
    """The tensor of each variable's slot: by the first manner of naming that tells all of them apart."""
    best: dict[str, Tensor] = {}
    for name_place, name_given in _NAMINGS:
        found = _by(places, given, name_place, name_given)
        if len(found) == len(given):
            return found
        best = max(best, found, key=len)
    is_plain = all(place.slot.startswith("vars/") for place in places)
    if is_ordered and is_plain and len(places) == len(given) and not best:
        shapes = [(place.shape, tensor.shape) for place, tensor in zip(places, given, strict=True)]
        if all(one is None or one == other for one, other in shapes):
            return {place.slot: tensor for place, tensor in zip(places, given, strict=True)}
    return best


def _by(
    places: Sequence[Tensor],
    given: Sequence[Tensor],
    name_place: Callable[[Tensor], str],
    name_given: Callable[[Tensor], str],
) -> dict[str, Tensor]:
    names = Counter(name_place(place) for place in places)
    times = Counter(name_given(tensor) for tensor in given)
    known = {name_given(tensor): tensor for tensor in given}
    return {
        place.slot: known[name]
        for place in places
        if (name := name_place(place)) in known and names[name] == 1 and times[name] == 1
    }


def _slot(tensor: Tensor) -> str:
    return tensor.slot


def _name(tensor: Tensor) -> str:
    return tensor.name


def _end(tensor: Tensor) -> str:
    """The variable's own name, in today's words."""
    last = re.sub(r":\d+$", "", tensor.name).rpartition("/")[2]
    found = _OLD_END.search(last)
    return _OF_KERAS_1.get(found[1], found[1]) if found else last


def _direction(tensor: Tensor) -> str:
    """The own name, and for a Bidirectional which way it goes: the names of the layers inside are anybody's choice."""
    parts = tensor.name.split("/")
    way = next((part.split("_")[0] for part in parts if part.startswith(("forward_", "backward_"))), "")
    return f"{way}/{_end(tensor)}"


def _other_end(place: Tensor) -> str:
    """What the own name of a variable was before Keras 3, or with a table of vectors for a matrix."""
    renamed = {"kernel": "depthwise_kernel", "embeddings": "kernel"}
    return renamed.get(_end(place), _end(place))


_NAMINGS: tuple[tuple[Callable[[Tensor], str], Callable[[Tensor], str]], ...] = (
    (_slot, _slot),
    (_name, _name),
    (_end, _end),
    (_direction, _direction),
    (_other_end, _end),
)
