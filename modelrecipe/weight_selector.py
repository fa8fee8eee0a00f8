"""Which variables of a layer a step means: names, globs or roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelrecipe.weights import Tensor, matches_weight

WeightSelector = str | tuple[str, ...]
ALL: WeightSelector = ()
ROLES: Mapping[str, tuple[str, ...]] = {
    "kernel": ("kernel", "depthwise_kernel", "pointwise_kernel", "recurrent_kernel", "embeddings"),
    "bias": ("bias",),
    "gamma": ("gamma", "scale"),
    "beta": ("beta",),
    "moving_statistics": ("moving_mean", "moving_variance"),
}


def selected_weights(tensors: Sequence[Tensor], selector: WeightSelector) -> tuple[str, ...]:
    """The names of the tensors that `selector` means, in their order.

    A pattern is a name (`kernel`; of an inner layer also `query/kernel`), a glob, or, when no variable has that very
    name, a role of `ROLES`. Without a pattern all trainable variables are meant. Random state never is.
    """
    real = [tensor for tensor in tensors if not tensor.is_random_state]
    patterns = (selector,) if isinstance(selector, str) else selector
    if not patterns:
        return tuple(tensor.name for tensor in real if tensor.is_trainable)
    found: set[str] = set()
    for pattern in patterns:
        named = {tensor.name for tensor in real if matches_weight(tensor, pattern)}
        found |= named or {tensor.name for tensor in real if _last(tensor.name) in ROLES.get(pattern, ())}
    return tuple(tensor.name for tensor in real if tensor.name in found)


def _last(name: str) -> str:
    return name.rpartition("/")[2]
