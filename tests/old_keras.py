"""Files that Keras 2 writes, made here by tf_keras, and what a recipe makes of them in plain Keras 3."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tests.running import load, run

if TYPE_CHECKING:
    from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tf_keras

__all__ = ["assert_same_numbers", "convert", "outputs", "perturb", "tf_keras", "write"]

TOLERANCE = 1.5e-5
"""Between two implementations in float32, on numbers of size one (as the golden outputs of real files were compared)."""


def perturb(model: Any, seed: int = 3) -> Any:
    """The same model with random numbers in every weight, so that no zero and no one hides a mistake."""
    random = np.random.default_rng(seed)
    for variable in model.weights:
        if variable.dtype.is_floating:
            low = 0.3 if "variance" in variable.name else -0.6
            variable.assign(random.uniform(low, 0.9, variable.shape).astype(variable.dtype.as_numpy_dtype))
    return model


def write(model: Any, path: Path) -> Path:
    """Write a tf_keras model: `.h5` and `.keras` by the ending, as a SavedModel without one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path, **({} if path.suffix else {"save_format": "tf"}))
    return path


def convert(file: Path, *steps: str, load_with: str = "") -> Any:
    """What plain Keras 3 opens after a recipe has loaded `file` and saved it, with `steps` between."""
    folder = file.parent
    run(folder, f"load: {{path: {file.name}{load_with}}}", *steps, "save: {path: converted.keras, force: true}")
    return load(folder / "converted.keras")


def outputs(model: Any, inputs: Any) -> list[np.ndarray]:
    """What the model gives in inference, flat."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return [np.asarray(value) for value in keras.tree.flatten(model(inputs, training=False))]


def assert_same_numbers(old: Any, new: Any, inputs: Any, tolerance: float = TOLERANCE) -> None:
    """Both models give the same outputs, to float noise."""
    pairs = list(zip(outputs(old, inputs), outputs(new, inputs), strict=True))
    assert [one.shape for one, _ in pairs] == [other.shape for _, other in pairs]
    assert max(float(np.abs(one - other).max()) for one, other in pairs) <= tolerance
