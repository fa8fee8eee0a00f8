"""Which variable of another checkpoint is the same as one of this: by the layer's path and the variable's name.

Whatever does not fit is told at once. Reads no numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe.edit.values import Place, is_fractional, places_of
from modelrecipe.errors import EditError
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.graph import Located
    from modelrecipe.weights import Tensor

_MOST = 12
"""Differences that a message lists."""
_QUANTIZED = ("int4", "int8", "uint4", "uint8")


@frozen
class Other:
    """A further checkpoint.

    Args:
        name: as the recipe says it.
        checkpoint: the model.
        at: keys of the step that lead to the name, for errors.
    """

    name: str
    checkpoint: Checkpoint
    at: tuple[str | int, ...] = ("with",)


Counterparts = dict[tuple[str, str], "Tensor"]
"""Key of a layer of this model and name of a variable, to the other model's tensor."""


def counterparts(places: Sequence[Place], other: Other, *, whole: Checkpoint | None = None) -> Counterparts:
    """The tensors of another checkpoint that stand where those of `places` do.

    Args:
        places: variables of this model.
        other: the other model.
        whole: this model, where the other one may hold nothing beside it.

    Raises:
        EditError: a layer or variable is missing, or is of another class, shape or type; names all.
    """
    found: Counterparts = {}
    layers = {item.path: item for item in other.checkpoint.layers()}
    wrong: list[str] = []
    for place in places:
        located = layers.get(place.path)
        wrong += _misfits(place, located, other.checkpoint, found)
    if whole is not None:
        wrong += _surplus(whole, other.checkpoint)
    if wrong:
        more = [f"and {len(wrong) - _MOST} more"] if len(wrong) > _MOST else []
        lines = "".join(f"\n  {line}" for line in (*wrong[:_MOST], *more))
        raise EditError(
            f"'{other.name}' does not have the layers and weights of the model:{lines}",
            hint="combine models of one architecture, or select the layers that both have",
            at=other.at,
        )
    return found


def _misfits(place: Place, located: Located | None, other: Checkpoint, found: Counterparts) -> Iterator[str]:
    """What the other model has otherwise at one place; what fits is put into `found`."""
    if located is None:
        yield f"'{place.path}' is missing"
        return
    if located.layer.kind_name != place.layer.kind_name:
        yield f"'{place.path}' is a {located.layer.kind_name}, not a {place.layer.kind_name}"
        return
    there = {tensor.name: tensor for tensor in other.weights.of(located.layer.key)}
    for tensor in place.tensors:
        twin = there.get(tensor.name)
        if twin is None:
            yield f"'{place.path}/{tensor.name}' is missing"
        elif is_known(twin) and is_known(tensor) and (twin.shape, twin.dtype) != (tensor.shape, tensor.dtype):
            yield f"'{place.path}/{tensor.name}' is {said(twin)}, not {said(tensor)}"
        else:
            found[place.key, tensor.name] = twin


def _surplus(whole: Checkpoint, other: Checkpoint) -> Iterator[str]:
    """Weights that the other model has and this one has not."""
    paths = {item.path: item.layer for item in whole.layers()}
    for place in places_of(other, [item for item in other.layers() if item.layer.graph is None], "*"):
        layer = paths.get(place.path)
        if layer is None:
            yield f"'{place.path}' ({place.layer.kind_name}) is too much"
        elif layer.kind_name == place.layer.kind_name:
            known = {tensor.name for tensor in whole.weights.of(layer.key)}
            yield from (f"'{place.path}/{name}' is too much" for name in place.names if name not in known)


def is_known(tensor: Tensor) -> bool:
    """Whether shape and type are known; those of a new layer may not be, before Keras builds it."""
    return tensor.shape is not None and tensor.dtype is not None


def said(tensor: Tensor) -> str:
    """Type and shape of a tensor: `float32 (3, 3)`."""
    return f"{tensor.dtype} {tensor.shape}"


def combinable(places: Sequence[Place]) -> tuple[list[Place], list[str]]:
    """The places with their floating-point numbers alone, and the names of what is left out.

    Raises:
        EditError: a layer is quantized, so that its numbers mean nothing without its scales, nor these without them.
    """
    kept: list[Place] = []
    left: list[str] = []
    for place in places:
        quantized = next((tensor for tensor in place.tensors if tensor.dtype in _QUANTIZED), None)
        if quantized is not None:
            raise EditError(
                f"'{place.path}' is quantized: its '{quantized.name}' is {quantized.dtype}",
                hint="combine the models before they are quantized, or leave the layer out",
                at=("layers",),
            )
        floating = tuple(tensor for tensor in place.tensors if is_fractional(tensor))
        left += [f"{place.path}/{tensor.name}" for tensor in place.tensors if tensor not in floating]
        if floating:
            kept.append(Place(path=place.path, layer=place.layer, tensors=floating))
    return kept, left
