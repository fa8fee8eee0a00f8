"""Theano turns the kernel of a convolution round before it multiplies; TensorFlow and all of Keras 3 do not.

The file says which backend computed with its numbers; one of Keras 1 does so by the names of its weights. Depthwise
kernels are not concerned: Keras turned them itself. Source: `_need_convert_kernel` and its use in
`keras/engine/saving.py` of Keras 2.2, `conv2d` and `deconv2d` in `keras/backend/theano_backend.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from modelrecipe.formats.repair import Repair, Writer
from modelrecipe.frozen import frozen
from modelrecipe.graph import walk
from modelrecipe.keras_config import iter_configs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.graph import Layer
    from modelrecipe.weights import Tensor

_TURNED = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "Conv3DTranspose", "ConvLSTM2D")


@frozen
class TurnedSource:
    """Reads a kernel and turns its window round: all axes but the last two."""

    source: Callable[[], NDArray[np.generic]]

    def __call__(self) -> NDArray[np.generic]:
        """The numbers as TensorFlow multiplies them."""
        values = self.source()
        return np.ascontiguousarray(np.flip(values, tuple(range(values.ndim - 2))))


def _mend(checkpoint: Checkpoint, writer: Writer) -> tuple[Checkpoint, Sequence[str]]:
    if writer.backend != "theano":
        return checkpoint, ()
    weights, mended, done = checkpoint.weights, [], set[str]()
    for located in walk(checkpoint.model):
        layer = located.layer
        tensors = weights.of(layer.key)
        if not _is_turned(layer) or not tensors:
            continue
        mended.append(located.path)
        if layer.key not in done:
            weights = weights.having(layer.key, [_turned(tensor) for tensor in tensors])
            done.add(layer.key)
    return (replace(checkpoint, weights=weights), mended) if mended else (checkpoint, ())


def _is_turned(layer: Layer) -> bool:
    """Whether it is a convolution, or a wrapper of one, with a window of more than one place."""
    held: list[Mapping[str, Any]] = [{"class_name": layer.class_name, "config": layer.config}]
    held += iter_configs(dict(layer.config))
    return layer.graph is None and any(
        item["class_name"] in _TURNED and item["config"].get("kernel_size") not in (1, [1], [1, 1], [1, 1, 1])
        for item in held
    )


def _turned(tensor: Tensor) -> Tensor:
    if tensor.source is None or not tensor.name.endswith("kernel"):
        return tensor
    return replace(tensor, source=TurnedSource(source=tensor.source))


REPAIR = Repair(
    name="theano-kernels",
    cause="Theano computed with the kernels of convolutions, which it turns round",
    versions="Keras 1.0 to 2.3 with Theano",
    cure="they are turned round when they are read",
    document=_mend,
)
