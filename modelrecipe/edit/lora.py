"""Adapters of low rank beside a kernel: W + alpha / rank · A · B (Hu et al., 2021, arXiv 2106.09685, section 4.1).

Keras gives some layers such adapters, but no file of its own keeps them: it saves the merged kernel, and a loaded layer
has zeros for both A and B, whose gradients are zeros too (measured on 3.15). So adapters live between `enable_lora` and
`merge_lora`, as tensors of the document, and never reach a file.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe import catalog, measures
from modelrecipe.edit.held import holders
from modelrecipe.errors import EditError
from modelrecipe.frozen import frozen
from modelrecipe.weights import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.graph import Layer, Located

SETTINGS = ("lora_rank", "lora_alpha")
_KERNELS = ("kernel", "embeddings")
_PREFIX = "lora_"
_SLOT = "vars/"


def is_adapter(tensor: Tensor) -> bool:
    """Whether it is one of the two factors."""
    return tensor.slot.startswith(_SLOT + _PREFIX)


def adapters(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """A and B of a layer; none where it has no adapters."""
    return tuple(sorted((tensor for tensor in tensors if is_adapter(tensor)), key=lambda tensor: tensor.name))


def adapted(layer: Layer, tensors: Sequence[Tensor], rank: int, *, freezes_bias: bool) -> list[Tensor]:
    """The tensors with new adapters beside a kernel that trains no more, at the slots of Keras 3.

    Raises:
        EditError: the product of the factors could not have the rank.
    """
    slots = {item.name: item.slot for item in catalog.variables(layer.class_name, layer.config) or ()}
    kernel = kernel_of(tensors)
    least = None if kernel.shape is None else min(math.prod(kernel.shape[:-1]), kernel.shape[-1])
    if least is not None and rank > least:
        raise EditError(
            f"a rank of {rank} is more than the {kernel.name} {measures.shape(kernel.shape)} can have",
            hint=f"write at most {least}",
            at=("rank",),
        )
    found = [
        replace(
            tensor,
            slot=slots.get(tensor.name, tensor.slot),
            is_trainable=tensor.is_trainable and tensor is not kernel and not (freezes_bias and tensor.name == "bias"),
        )
        for tensor in tensors
        if not is_adapter(tensor)
    ]
    shapes = (None, None) if kernel.shape is None else ((*kernel.shape[:-1], rank), (rank, kernel.shape[-1]))
    for letter, shape in zip("ab", shapes, strict=True):
        name = f"{_PREFIX}{kernel.name}_{letter}"
        found.append(Tensor(name=name, slot=_SLOT + name, shape=shape, dtype="float32"))
    return found


def kernel_of(tensors: Sequence[Tensor]) -> Tensor:
    """The kernel that adapters are for."""
    return next(tensor for tensor in tensors if tensor.name in _KERNELS)


def with_lora(layer: Layer, rank: int, alpha: float) -> Layer:
    """The layer with the arguments that make Keras give it adapters."""
    return replace(layer, config={**layer.config, "lora_rank": rank, "lora_alpha": alpha})


def without_lora(layer: Layer) -> Layer:
    """The plain layer."""
    return replace(layer, config={key: value for key, value in layer.config.items() if key not in SETTINGS})


def merged(layer: Layer, tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors of the plain layer, the product of the adapters added to its kernel; all of them train again."""
    factors, kernel = adapters(tensors), kernel_of(tensors)
    if not factors:
        return list(tensors)
    rank, alpha = (float(layer.config[key]) for key in SETTINGS)
    add = None if is_untouched(factors) else Merge(a=factors[0], b=factors[1], scale=alpha / rank)
    found = [tensor for tensor in tensors if not is_adapter(tensor)]
    plain = [tensor.map(add) if add is not None and tensor is kernel else tensor for tensor in found]
    return [replace(tensor, is_trainable=True) for tensor in plain]


def is_untouched(factors: Sequence[Tensor]) -> bool:
    """Whether the adapters, if there are any, are as Keras makes them, so that their product is zero."""
    return all(tensor.source is None and not tensor.edits for tensor in factors)


@frozen
class Merge:
    """Adds scale · A · B to a kernel, computed in float64 and rounded once."""

    a: Tensor
    b: Tensor
    scale: float

    def __call__(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """The merged kernel."""
        product = self.a.read().astype("float64") @ self.b.read().astype("float64")
        return values.astype("float64") + self.scale * product


def refuse_unfit(checkpoint: Checkpoint, located: Located) -> None:
    """Refuse a layer that Keras gives no adapters, or whose adapters would not do what they should.

    Raises:
        EditError: says why, by name.
    """
    layer, path = located.layer, located.path
    known = catalog.lora_classes()
    if layer.kind_name not in known:
        raise EditError(
            f"'{path}' is a {layer.kind_name}, to which Keras gives no LoRA adapters",
            hint=f"select layers of the classes {', '.join(known)}",
            at=("layers",),
        )
    if catalog.variables(layer.class_name, layer.config) is None:
        raise EditError(f"'{path}' is quantized, so its kernel cannot take adapters", at=("layers",))
    constraint = next((key for key in layer.config if key.endswith("_constraint") and _is_of_kernel(layer, key)), None)
    if constraint is not None:
        raise EditError(
            f"'{path}' has a {constraint}, which Keras does not combine with LoRA",
            hint=f"write configure: {{layers: {path}, config: {{{constraint}: null}}}} before",
            at=("layers",),
        )
    if not located.is_effectively_trainable:
        raise EditError(
            f"'{path}' is frozen, so its adapters would not train",
            hint="unfreeze it before; enable_lora freezes the kernel by itself",
            at=("layers",),
        )
    if adapters(checkpoint.weights.of(layer.key)):
        raise EditError(f"'{path}' has LoRA adapters already", hint="write merge_lora before", at=("layers",))
    _refuse_held(checkpoint, located)


def _is_of_kernel(layer: Layer, key: str) -> bool:
    return layer.config[key] is not None and key.removesuffix("_constraint") in _KERNELS


def _refuse_held(checkpoint: Checkpoint, located: Located) -> None:
    own = located.layer.extra.get("shared_object_id")
    for other in checkpoint.layers() if own is not None else ():
        if any(holder.shared == own for holder in holders(other.layer)[1:]):
            raise EditError(
                f"'{located.path}' stands inside '{other.path}' too, which cannot have adapters",
                hint="leave it out of the selection",
                at=("layers",),
            )


def refuse_adapters(checkpoint: Checkpoint) -> None:
    """Refuse to write a model with adapters, because no file of Keras keeps them.

    Raises:
        EditError: some layer has adapters.
    """
    held = [item.path for item in checkpoint.layers() if adapters(checkpoint.weights.of(item.layer.key))]
    if held:
        verb = "has" if len(held) == 1 else "have"
        raise EditError(
            f"{measures.quoted(held)} {verb} LoRA adapters, which no file of Keras keeps: once loaded, they are zeros"
            " and never train",
            hint="write merge_lora before save",
            at=("path",),
        )
