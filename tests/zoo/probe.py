"""What a test asks of a model: inputs that fit it, its outputs, its weights, and whether two models agree."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

BATCH = 3
LENGTH = 5
"""Size given to a dimension that is None beyond the batch."""

WORDS = ("red", "green", "blue", "red fish", "unseen")


def sample_inputs(model: keras.Model, *, seed: int = 7) -> Any:
    """Inputs for one batch, in the structure that the model takes, the same ones for the same seed.

    Floats are standard normal, integers 0 to 4 (so that masked positions occur), strings come from `WORDS`, a sparse
    input is a sparse tensor, and an optional input is None. Of a subclassed model, the shape it was built for is used.
    """
    rng = np.random.default_rng(seed)
    if isinstance(model, keras.Sequential):
        return _sample(model.inputs[0], rng)
    if not getattr(model, "inputs", None):
        return _values(model.get_build_config()["input_shape"], "float32", rng)
    optional = {id(layer.output) for layer in model.layers if getattr(layer, "optional", False)}
    return keras.tree.map_structure(lambda spec: None if id(spec) in optional else _sample(spec, rng), model.input)


def _sample(spec: keras.KerasTensor, rng: np.random.Generator) -> Any:
    values = _values(spec.shape, spec.dtype, rng)
    if not spec.sparse:
        return values
    import tensorflow as tf

    return tf.sparse.from_dense(np.where(values > 0, values, 0))


def _values(shape: tuple[int | None, ...], dtype: str, rng: np.random.Generator) -> np.ndarray:
    batch, *rest = shape
    sizes = (batch or BATCH, *(LENGTH if size is None else size for size in rest))
    if dtype == "string":
        return rng.choice(np.array(WORDS), sizes)
    if dtype == "bool":
        values = rng.random(sizes) < 0.7
        values[:, 0] = True  # a sequence that is masked everywhere has no last step
        return values
    if "int" in dtype:
        return rng.integers(0, 5, sizes).astype(dtype)
    return keras.ops.convert_to_numpy(keras.ops.cast(rng.normal(size=sizes), dtype))


def outputs(model: keras.Model, inputs: Any) -> list[np.ndarray]:
    """The model's output tensors in inference, flattened.

    Calling again gives the same: random and recurrent states are put back as they were.
    """
    before = [(variable, variable.numpy()) for variable in _states(model)]
    result = model(inputs, training=False)
    for variable, value in before:
        variable.assign(value)
    return [np.asarray(keras.ops.convert_to_numpy(tensor)) for tensor in keras.tree.flatten(result)]


def _states(model: keras.Model) -> list[keras.Variable]:
    """What a call may change. A stateful recurrent layer keeps its states out of `variables`."""
    recurrent = [getattr(layer, "states", None) for layer in model._flatten_layers()]
    return [*model.non_trainable_variables, *(state for state in keras.tree.flatten(recurrent) if state is not None)]


def assert_same_outputs(a: keras.Model, b: keras.Model, inputs: Any) -> None:
    """Both models answer `inputs` with the same structure, types, shapes and bits; NaN equals NaN."""
    left, right = outputs(a, inputs), outputs(b, inputs)
    assert len(left) == len(right), f"{len(left)} outputs against {len(right)}"
    for number, (one, other) in enumerate(zip(left, right, strict=True)):
        where = f"output {number}"
        assert one.dtype == other.dtype, f"{where}: {one.dtype} against {other.dtype}"
        assert one.shape == other.shape, f"{where}: {one.shape} against {other.shape}"
        differing = np.argwhere(~_same(one, other))
        if differing.size:
            first = tuple(int(place) for place in differing[0])
            count = f"{len(differing)} of {one.size} numbers differ"
            raise AssertionError(f"{where}: {count}, first at {first}: {one[first]} against {other[first]}")


def _same(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    if one.dtype.kind in "OSU" or one.dtype == bool:
        return one == other
    bits = f"u{one.dtype.itemsize}"
    same = np.ascontiguousarray(one).view(bits) == np.ascontiguousarray(other).view(bits)
    return same | ((one != one) & (other != other))


def weights_by_path(model: keras.Model) -> dict[str, np.ndarray]:
    """Every weight under the path of its layer and its own name: `backbone/conv/kernel`.

    A layer that stands in two places is listed under both. Variables of a layer's inner layers carry no inner names,
    which Keras invents anew on loading: the second `kernel` of an attention layer is `attention/kernel.1`.
    """
    found: dict[str, np.ndarray] = {}
    _collect(model, "", found)
    return found


def _collect(layer: keras.Layer, prefix: str, found: dict[str, np.ndarray]) -> None:
    below: set[int] = set()
    if isinstance(layer, keras.Model):
        for inner in layer.layers:
            _collect(inner, f"{prefix}{inner.name}/", found)
            below |= {id(variable) for variable in inner.weights}
    for variable in layer.weights:
        if id(variable) not in below:
            found[_free(prefix + variable.name, found)] = variable.numpy()


def _free(path: str, taken: dict[str, np.ndarray]) -> str:
    number, candidate = 0, path
    while candidate in taken:
        number += 1
        candidate = f"{path}.{number}"
    return candidate
