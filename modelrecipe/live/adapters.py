"""Adapters of low rank in live layers: their variables by the slots of the document, and what must not train.

Keras saves the sum alone (`save_own_variables`), and while it builds a Dense or an Embedding it forgets `lora_alpha`
(measured on 3.15), so both are looked after here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelrecipe.live.private import inner_layers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from modelrecipe.weights import Tensor

_PREFIX = "lora_"
_KERNELS = ("kernel", "embeddings")


def is_adapted(layer: Any) -> bool:
    """Whether a live layer has adapters, and its kernel is a plain one."""
    return bool(getattr(layer, "lora_enabled", False)) and not getattr(layer, "quantization_mode", None)


def numbered_variables(layer: Any) -> dict[str, Any]:
    """The variables of an adapted layer under the last part of their slots: `0`, `1`, `lora_kernel_a`."""
    plain = [variable for variable in layer.weights if not variable.name.startswith(_PREFIX)]
    plain.sort(key=lambda variable: variable.name not in _KERNELS)
    factors = {variable.name: variable for variable in layer.weights if variable.name.startswith(_PREFIX)}
    return {**{str(number): variable for number, variable in enumerate(plain)}, **factors}


def still_variables(layer: Any, placed: Iterable[tuple[Any, Tensor]]) -> list[Any]:
    """The variables of an adapted layer that never train: the kernel, and what the document says."""
    still = [variable for variable, tensor in placed if not tensor.is_trainable] if is_adapted(layer) else []
    return [*still, *_kernels(layer)]


def _kernels(layer: Any) -> list[Any]:
    return [
        variable
        for part in (layer, *inner_layers(layer))
        if getattr(part, "lora_enabled", False)
        for variable in part.weights
        if variable.name in _KERNELS
    ]


def alphas(layer: Any) -> Sequence[tuple[Any, float]]:
    """The layer, and layers inside it, that will have adapters, with their alpha; asked before they are built."""
    parts = (layer, *inner_layers(layer))
    return [(part, part.lora_alpha) for part in parts if getattr(part, "lora_rank", None)]
