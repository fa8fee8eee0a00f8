"""Numbers times 1.2, so that today's `hard_sigmoid` gives on them what the old one gave.

The old function is `clip(0.2 x + 0.5, 0, 1)`, today's is `relu6(x + 3) / 6`: `old(x) = new(1.2 x)`. Where the
function's argument is linear in weights, they take the factor. Knows layer classes and tensors, not documents.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from modelrecipe.weights import Tensor

FACTOR = 1.2

Blocks = tuple[bool, ...]
"""For each of equal parts of the last axis, whether the factor is for it."""

_ALL: Blocks = (True,)
_OF_LSTM: Blocks = (True, True, False, True)  # i, f, c, o
_OF_GRU: Blocks = (True, True, False)  # z, r, h
_CANDIDATE_OF_GRU: Blocks = (False, False, True)
_RECURRENT = ("kernel", "recurrent_kernel", "bias")
_DENSE = ("kernel", "bias")
_DEPTHWISE = ("depthwise_kernel", "kernel", "bias")
_SEPARABLE = ("pointwise_kernel", "bias")


@frozen(kw_only=False)
class Absorbing:
    """The variables that take the factor for one activation of a layer.

    Args:
        ends: the last components of their names; of those that a layer has.
        blocks: which parts of each.
    """

    ends: tuple[str, ...]
    blocks: Blocks = _ALL


_LSTM = {"recurrent_activation": Absorbing(_RECURRENT, _OF_LSTM)}
_GRU = {
    "recurrent_activation": Absorbing(_RECURRENT, _OF_GRU),
    "activation": Absorbing(_RECURRENT, _CANDIDATE_OF_GRU),
}
_SIMPLE = {"activation": Absorbing(_RECURRENT)}
_LINEAR = {"activation": Absorbing(_DENSE)}
_DEEP = {"activation": Absorbing(_DEPTHWISE)}
_APART = {"activation": Absorbing(_SEPARABLE)}
ABSORBING: Mapping[str, Mapping[str, Absorbing]] = {
    **dict.fromkeys(("LSTM", "LSTMCell", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"), _LSTM),
    **dict.fromkeys(("GRU", "GRUCell"), _GRU),
    **dict.fromkeys(("SimpleRNN", "SimpleRNNCell"), _SIMPLE),
    **dict.fromkeys(("Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D"), _LINEAR),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _LINEAR),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _DEEP),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _APART),
}
"""Under each class, the activations whose argument is linear in weights. The one on an LSTM's cell state is not."""


def scaled(absorbing: Absorbing, config: Mapping[str, Any], tensors: Sequence[Tensor], times: int) -> dict[str, Blocks]:
    """Under the slot of each tensor that takes the factor, for which blocks; none where it is not certain.

    Args:
        absorbing: which variables have to take it.
        config: of the layer.
        tensors: of the layer.
        times: how many copies of the layer they are of, as in a Bidirectional.
    """
    # A bias only where there is one, and either name of a depthwise kernel.
    has_bias = bool(config.get("use_bias", True)) and ("bias_axes" not in config or bool(config["bias_axes"]))
    found = [tensor for tensor in tensors if _end(tensor) in absorbing.ends]
    counts = Counter(_end(tensor) for tensor in found)
    kernels = [count for end, count in counts.items() if end != "bias"]
    wanted_kernels = 2 if "recurrent_kernel" in absorbing.ends else 1
    fits = (
        kernels == [times] * wanted_kernels
        and counts["bias"] == (times if has_bias else 0)
        and all(tensor.shape and tensor.shape[-1] % len(absorbing.blocks) == 0 for tensor in found)
        and all(tensor.source is not None for tensor in found)
    )
    return {tensor.slot: absorbing.blocks for tensor in found} if fits else {}


def _end(tensor: Tensor) -> str:
    return tensor.name.rpartition("/")[2]


@frozen
class Scaled:
    """Reads stored numbers and gives the factor to blocks of the last axis."""

    source: Callable[[], NDArray[np.generic]]
    blocks: Blocks

    def __call__(self) -> NDArray[np.generic]:
        """The numbers, in the type in which they are stored."""
        values = self.source()
        parts = np.repeat(np.where(self.blocks, FACTOR, 1.0), values.shape[-1] // len(self.blocks))
        return (values.astype(np.float64) * parts).astype(values.dtype)


def with_factor(tensors: Sequence[Tensor], blocks: Mapping[str, Blocks]) -> tuple[Tensor, ...]:
    """The same tensors; those whose slots are in `blocks` read scaled numbers."""
    return tuple(
        replace(tensor, source=Scaled(source=tensor.source, blocks=blocks[tensor.slot]))
        if tensor.slot in blocks and tensor.source is not None
        else tensor
        for tensor in tensors
    )
