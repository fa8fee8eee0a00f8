"""Runs live models on seeded inputs, to compare what they give."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelrecipe.errors import CheckError
from modelrecipe.live.session import import_keras

_UNKNOWN_SIZE = 16


def largest_difference(one: Any, other: Any, *, seed: int, batch: int) -> float:
    """The largest absolute difference of two models' outputs on the same inputs, in inference mode.

    Args:
        one: a Keras model.
        other: another one; it is given the inputs of `one` in the same order.
        seed: of the inputs: floats from [0, 1), integers 0 and 1, unknown sizes 16.
        batch: how many samples.

    Returns:
        0.0 when all outputs are equal, NaN counting as equal to NaN; infinity where one is finite and the other not.

    Raises:
        CheckError: number or shapes of inputs or outputs differ.
    """
    signatures = [[(tuple(t.shape), t.dtype) for t in model.inputs] for model in (one, other)]
    if [len(part) for part in signatures] != [len(signatures[0])] * 2 or signatures[0] != signatures[1]:
        raise CheckError(f"the models take different inputs: {_shown(signatures[0])} and {_shown(signatures[1])}")
    inputs = [_sample(tensor, np.random.default_rng([seed, n]), batch) for n, tensor in enumerate(one.inputs)]
    first, second = _outputs(one, inputs), _outputs(other, inputs)
    if [a.shape for a in first] != [b.shape for b in second]:
        raise CheckError(
            f"the models give different outputs: {', '.join(str(a.shape) for a in first)}"
            f" and {', '.join(str(b.shape) for b in second)}"
        )
    return max((_difference(a, b) for a, b in zip(first, second, strict=True)), default=0.0)


def _shown(signature: list[tuple[tuple[int | None, ...], str]]) -> str:
    return ", ".join(f"{shape} {dtype}" for shape, dtype in signature)


def _sample(tensor: Any, random: np.random.Generator, batch: int) -> Any:
    keras = import_keras()
    shape = [batch if axis == 0 else size or _UNKNOWN_SIZE for axis, size in enumerate(tensor.shape)]
    shape = [tensor.shape[0] or batch, *shape[1:]] if shape else shape
    if tensor.dtype == "string":
        import tensorflow as tf

        return tf.constant(random.choice(["a", "b"], size=shape).tolist())
    if "float" in tensor.dtype:
        return keras.ops.convert_to_tensor(random.random(shape), dtype=tensor.dtype)
    return keras.ops.convert_to_tensor(random.integers(0, 2, shape), dtype=tensor.dtype)


def _outputs(model: Any, inputs: list[Any]) -> list[NDArray[np.generic]]:
    keras = import_keras()
    structure = getattr(model, "_inputs_struct", None)
    packed = keras.tree.pack_sequence_as(structure, inputs) if structure is not None else inputs
    packed = packed if structure is not None or len(inputs) != 1 else inputs[0]
    result = model(packed, training=False)
    return [np.asarray(keras.ops.convert_to_numpy(tensor)) for tensor in keras.tree.flatten(result)]


def _difference(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    if a.dtype.kind in "OSU":
        return 0.0 if (a == b).all() else float("inf")
    one, other = a.astype(np.float64), b.astype(np.float64)
    both_same = (one == other) | (np.isnan(one) & np.isnan(other))
    gap = np.where(both_same, 0.0, np.abs(one - other))
    return float(np.nan_to_num(gap, nan=np.inf).max(initial=0.0))
