"""What a new layer begins with: the weights of the layer it replaces, or fresh ones. Never a guess."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from modelrecipe import catalog, shapes
from modelrecipe.edit.sizing import variable_dtype
from modelrecipe.errors import EditError
from modelrecipe.frozen import frozen
from modelrecipe.propagate import shapes_into
from modelrecipe.selector import dtype_of
from modelrecipe.weights import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.graph import Layer, Located
    from modelrecipe.references import Shape

Wanted = Literal["keep", "fresh"] | None


@frozen
class Succession:
    """The layers that take one layer's place.

    Args:
        chain: the new layers; one that keeps the old weights has the old layer's identity.
        tensors: weights of each new layer under its key.
        kept: names of the variables that were taken over.
        dropped: names of those that were not, where others were.
        is_fresh: whether some layer begins with newly initialised weights.
    """

    chain: Sequence[Layer]
    tensors: Mapping[str, Sequence[Tensor]]
    kept: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    is_fresh: bool = False


def fresh_tensors(layer: Layer) -> tuple[Tensor, ...]:
    """The variables of a new layer, which Keras will initialise; none where the catalog does not know them."""
    return tuple(
        Tensor(name=item.name, slot=item.slot, shape=None, dtype=None, is_trainable=item.trainable)
        for item in catalog.variables(layer.kind_name, layer.config) or ()
    )


def succeed(checkpoint: Checkpoint, located: Located, chain: Sequence[Layer], wanted: Sequence[Wanted]) -> Succession:
    """Decide what each new layer begins with.

    Args:
        checkpoint: the model before the edit.
        located: the old layer.
        chain: the new layers.
        wanted: for each, what the recipe says; None where it says nothing.

    Raises:
        EditError: the old weights would fit and the recipe does not say whether to keep them, or it says `keep` and
            they do not fit, or says it of two layers.
    """
    keeping = [number for number, wish in enumerate(wanted) if wish == "keep"]
    if len(keeping) > 1:
        raise EditError(
            f"only one layer of the chain can keep the weights of '{located.path}'",
            hint="write weights: fresh in the others",
            at=("with", keeping[1], "weights"),
        )
    old = [tensor for tensor in checkpoint.tensors(located) if not tensor.is_random_state]
    layers: list[Layer] = []
    tensors: dict[str, Sequence[Tensor]] = {}
    kept: tuple[str, ...] = ()
    is_fresh = False
    for number, (layer, wish) in enumerate(zip(chain, wanted, strict=True)):
        own = fresh_tensors(layer)
        known = _known_shapes(layer, shapes_into(located)) if number == 0 else None
        fits = False if located.layer.graph is not None else _fit(old, own, layer, known)
        if wish == "keep":
            layer, tensors[located.layer.key] = _keep(located, old, own, layer, known)
            kept = tuple(tensor.name for tensor in tensors[located.layer.key])
        elif wish is None and fits is not False and old and _may_have_weights(layer):
            raise EditError(
                f"the weights of '{located.path}' {'may ' if fits is None else ''}fit the new {layer.kind_name}",
                hint="write weights: keep to take them over, or weights: fresh to begin anew",
                at=("weights",),
            )
        else:
            tensors[layer.key] = own
            is_fresh = is_fresh or _may_have_weights(layer)
        inherits = wish == "keep" or not _may_have_weights(layer)
        layers.append(_inheriting_flag(located.layer, layer) if inherits else layer)
    dropped = tuple(tensor.name for tensor in old if kept and tensor.name not in kept)
    return Succession(chain=layers, tensors=tensors, kept=kept, dropped=dropped, is_fresh=is_fresh)


def _may_have_weights(layer: Layer) -> bool:
    variables = catalog.variables(layer.kind_name, layer.config)
    return variables is None or any("seed_generator" not in item.slot for item in variables)


def _known_shapes(layer: Layer, inputs: Sequence[Shape | None]) -> Mapping[str, tuple[int, ...]] | None:
    """The shapes of a new layer's variables by name; None where only Keras can tell."""
    given = [shape for shape in inputs if shape is not None]
    return shapes.variable_shapes(layer.class_name, layer.config, given) if len(given) == len(inputs) else None


def _fit(
    old: Sequence[Tensor], own: Sequence[Tensor], layer: Layer, known: Mapping[str, tuple[int, ...]] | None
) -> bool | None:
    """Whether some old weight has name and shape of a new one; None when only Keras can tell the new shapes."""
    names = {tensor.name: tensor.shape for tensor in old}
    own = [tensor for tensor in own if not tensor.is_random_state]
    if catalog.find(layer.kind_name) is not None and not {tensor.name for tensor in own} & set(names):
        return False
    if known is None:
        return None
    return any(names.get(name) == shape for name, shape in known.items())


def _keep(
    located: Located,
    old: Sequence[Tensor],
    own: Sequence[Tensor],
    layer: Layer,
    known: Mapping[str, tuple[int, ...]] | None,
) -> tuple[Layer, Sequence[Tensor]]:
    """The new layer under the old identity, with the old tensors at the new layer's slots."""
    path = located.path
    if located.layer.graph is not None:
        raise EditError(f"'{path}' is a model, whose weights no single layer can keep", at=("weights",))
    if layer.class_name == located.layer.class_name and not own:
        return replace(layer, key=located.layer.key), old
    by_name = {tensor.name: tensor for tensor in old}
    needed = [tensor for tensor in own if not tensor.is_random_state]
    missing = [tensor.name for tensor in needed if tensor.name not in by_name]
    sized = {tensor.name: tuple(known[tensor.name]) for tensor in needed if known is not None and tensor.name in known}
    others = [name for name, shape in sized.items() if name in by_name and by_name[name].shape not in (None, shape)]
    if missing or not needed or others:
        has = ", ".join(f"{tensor.name} {_sizes(tensor.shape)}" for tensor in old) or "none"
        lacking = "no weights of its shapes"
        if missing:
            lacking = f"no weight '{missing[0]}'"
        elif len(others) < len(needed):
            lacking = f"no weight '{others[0]}' of shape {_sizes(sized[others[0]])}"
        raise EditError(
            f"'{path}' has {lacking} for the new {layer.kind_name} to keep",
            hint=f"write weights: fresh; it has {has}",
            at=("weights",),
        )
    _refuse_other_type(located, layer, [by_name[tensor.name] for tensor in needed])
    moved = [replace(by_name[tensor.name], slot=tensor.slot) for tensor in needed]
    random = [tensor for tensor in own if tensor.is_random_state]
    return replace(layer, key=located.layer.key), [*moved, *random]


def _refuse_other_type(located: Located, layer: Layer, kept: Sequence[Tensor]) -> None:
    """Refuse to keep numbers in a layer whose dtype policy would store them in another type."""
    policy = dtype_of(layer.config) or "float32"
    if policy == (dtype_of(located.layer.config) or "float32"):
        return
    wanted = variable_dtype(policy)
    for tensor in kept:
        if tensor.dtype is not None and "float" in tensor.dtype and tensor.dtype != wanted:
            raise EditError(
                f"'{tensor.name}' of '{located.path}' is {tensor.dtype}, but the new {layer.kind_name} holds {wanted}",
                hint="leave out dtype, or write weights: fresh",
                at=("weights",),
            )


def _sizes(shape: tuple[int, ...] | None) -> str:
    return "?" if shape is None else "(" + ", ".join(map(str, shape)) + ")"


def _inheriting_flag(old: Layer, new: Layer) -> Layer:
    """The new layer, frozen or not as the old one was, unless its spec says so itself."""
    if "trainable" in old.config and not new.is_operation and "trainable" not in new.config:
        return replace(new, config={**new.config, "trainable": old.config["trainable"]})
    return new
