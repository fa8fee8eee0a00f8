"""Runs live models on seeded inputs, to compare what they give."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from modelrecipe.errors import CheckError
from modelrecipe.live.construct import foreign_code, reason
from modelrecipe.live.session import import_keras

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
        CheckError: number or shapes of inputs or outputs differ, or a model refuses the inputs when it runs.
    """
    first, second = _signature(one), _signature(other)
    if first != second:
        raise CheckError(f"the models take different inputs: {_shown(first)} and {_shown(second)}")
    inputs = [_sample(*item, np.random.default_rng([seed, number]), batch) for number, item in enumerate(first)]
    given, wanted = _outputs(one, inputs), _outputs(other, inputs)
    if [a.shape for a in given] != [b.shape for b in wanted]:
        raise CheckError(
            f"the models give different outputs: {', '.join(str(a.shape) for a in given)}"
            f" and {', '.join(str(b.shape) for b in wanted)}"
        )
    return max((_difference(a, b) for a, b in zip(given, wanted, strict=True)), default=0.0)


Signature = list[tuple[tuple[int | None, ...], str]]


def _signature(model: Any) -> Signature:
    """Shape and type of each input; of a subclassed model, what it was built for."""
    inputs = getattr(model, "inputs", None)
    if inputs:
        return [(tuple(tensor.shape), tensor.dtype) for tensor in inputs]
    shape = (model.get_build_config() or {}).get("input_shape")
    if not isinstance(shape, tuple | list) or not all(size is None or isinstance(size, int) for size in shape):
        raise CheckError(f"the file of '{model.name}' does not say what the model takes, so it cannot be run")
    return [(tuple(shape), "float32")]


def _shown(signature: Signature) -> str:
    return ", ".join(f"{shape} {dtype}" for shape, dtype in signature)


def _sample(known: tuple[int | None, ...], dtype: str, random: np.random.Generator, batch: int) -> Any:
    keras = import_keras()
    shape = [size or (_UNKNOWN_SIZE if axis else batch) for axis, size in enumerate(known)]
    if dtype == "string":
        import tensorflow as tf

        return tf.constant(random.choice(["a", "b"], size=shape).tolist())
    if "float" in dtype:
        return keras.ops.convert_to_tensor(random.random(shape), dtype=dtype)
    return keras.ops.convert_to_tensor(random.integers(0, 2, shape), dtype=dtype)


def _outputs(model: Any, inputs: list[Any]) -> list[NDArray[np.generic]]:
    keras = import_keras()
    # Functional models tell the structure they are called with; a Sequential or subclassed one takes a single tensor.
    is_functional = not isinstance(model, keras.Sequential) and bool(getattr(model, "inputs", None))
    packed = keras.tree.pack_sequence_as(model.input, inputs) if is_functional else inputs[0]
    with foreign_code(lambda error: _cannot_run(model, inputs, error)), warnings.catch_warnings():
        # Keras remarks on the form of the inputs, which is the one that the model asks for.
        warnings.simplefilter("ignore", UserWarning)
        result = model(packed, training=False)
    return [np.asarray(keras.ops.convert_to_numpy(tensor)) for tensor in keras.tree.flatten(result)]


def _cannot_run(model: Any, inputs: list[Any], error: Exception) -> CheckError:
    shapes = " and ".join(str(tuple(tensor.shape)) for tensor in inputs)
    return CheckError(f"'{model.name}' cannot be run on sampled inputs {shapes}: {reason(error)}")


def _difference(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    if a.dtype.kind in "OSU":
        return 0.0 if (a == b).all() else float("inf")
    one, other = a.astype(np.float64), b.astype(np.float64)
    both_same = (one == other) | (np.isnan(one) & np.isnan(other))
    gap = np.where(both_same, 0.0, np.abs(one - other))
    return float(np.nan_to_num(gap, nan=np.inf).max(initial=0.0))
