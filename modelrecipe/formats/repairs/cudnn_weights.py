"""Weights of `CuDNNLSTM` and `CuDNNGRU` in the layout of `LSTM` and `GRU`.

cuDNN keeps the transposed kernel of each gate, and two biases for each gate, of which an LSTM needs the sum. The length
of the bias tells whose layout it is: 8 times the units for an LSTM, 6 times for a GRU. Source: `_convert_rnn_weights`
in `keras/saving/legacy/hdf5_format.py` of Keras 2.15.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from modelrecipe.formats.repair import Repair, Writer, inner_layers
from modelrecipe.frozen import frozen
from modelrecipe.graph import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.graph import Layer
    from modelrecipe.weights import Tensor

    Array = NDArray[np.generic]

_GATES = {"LSTM": 4, "GRU": 3}


@frozen(kw_only=False)
class _Converted:
    """Reads an array in the layout of cuDNN and gives it in that of Keras."""

    read: Callable[[], Array]
    gates: int
    convert: Callable[[Array, int], Array]

    def __call__(self) -> Array:
        return np.ascontiguousarray(self.convert(self.read(), self.gates))


def _kernel(values: Array, gates: int) -> Array:
    return np.hstack([gate.T.reshape(gate.shape, order="F") for gate in np.hsplit(values, gates)])


def _recurrent_kernel(values: Array, gates: int) -> Array:
    return np.hstack([gate.T for gate in np.hsplit(values, gates)])


def _sum_of_biases(values: Array, gates: int) -> Array:
    del gates
    return np.sum(np.split(values, 2), axis=0)


def _two_biases(values: Array, gates: int) -> Array:
    del gates
    return values.reshape(2, -1)


def _mend(checkpoint: Checkpoint, writer: Writer) -> tuple[Checkpoint, Sequence[str]]:
    del writer
    mended: dict[str, str] = {}
    weights = checkpoint.weights
    for located in walk(checkpoint.model):
        key, tensors = located.layer.key, weights.of(located.layer.key)
        if located.layer.graph is not None or key in mended:
            continue
        changed = {item.slot: item for gates in _kinds(located.layer) for item in _converted(tensors, gates)}
        if changed:
            weights = weights.having(key, [changed.get(tensor.slot, tensor) for tensor in tensors])
            mended[key] = located.path
    return (replace(checkpoint, weights=weights), [*mended.values()]) if mended else (checkpoint, ())


def _kinds(layer: Layer) -> set[int]:
    """How many gates the recurrent layers have that a layer is or holds."""
    held = inner_layers({"class_name": layer.class_name, "config": dict(layer.config)})
    names = {layer.class_name, *(inner["class_name"] for inner in held)}
    return {gates for name, gates in _GATES.items() if name in names}


def _converted(tensors: Sequence[Tensor], gates: int) -> Iterator[Tensor]:
    """The tensors of every layer that cuDNN laid out; three that follow each other belong together."""
    for kernel, recurrent, bias in zip(tensors, tensors[1:], tensors[2:], strict=False):
        shapes = kernel.shape, recurrent.shape, bias.shape
        units = shapes[1][0] if shapes[1] else 0
        is_cudnn = (
            [tensor.slot.rpartition("/")[2].partition(":")[0] for tensor in (kernel, recurrent, bias)]
            == ["kernel", "recurrent_kernel", "bias"]
            and shapes[0] is not None
            and len(shapes[0]) == 2
            and (shapes[0][1], *shapes[1:]) == (gates * units, (units, gates * units), (2 * gates * units,))
        )
        if is_cudnn:
            yield _with(kernel, gates, _kernel)
            yield _with(recurrent, gates, _recurrent_kernel)
            yield _with(bias, gates, _sum_of_biases if gates == _GATES["LSTM"] else _two_biases)


def _with(tensor: Tensor, gates: int, convert: Callable[[Array, int], Array]) -> Tensor:
    shape = tensor.shape
    if convert is _sum_of_biases and shape is not None:
        shape = (shape[0] // 2,)
    if convert is _two_biases and shape is not None:
        shape = (2, shape[0] // 2)
    source = _Converted(tensor.source, gates, convert) if tensor.source is not None else None
    return replace(tensor, shape=shape, source=source)


REPAIR = Repair(
    name="cudnn-weights",
    cause="the weights of a recurrent layer have the layout of cuDNN: transposed gates, two biases",
    versions="Keras 2.0 to 2.3, tf.keras 1.4 to 2.15 (`CuDNNLSTM`, `CuDNNGRU`)",
    cure="they are laid out as those of LSTM and GRU",
    document=_mend,
)
