"""Models of one architecture with other numbers, as several trainings leave them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import keras


def save_variants(model: keras.Model, folder: Path, names: Sequence[str]) -> list[list[np.ndarray]]:
    """Save the model under each name, from the second on with other floating-point numbers; gives back all of them.

    The model itself keeps the numbers of the last one.
    """
    found: list[list[np.ndarray]] = []
    for seed, name in enumerate(names):
        rng = np.random.default_rng(seed)
        for variable in model.weights if seed else ():
            if "float" in str(variable.dtype):
                values = rng.normal(0.0, 0.1, variable.shape)
                variable.assign(np.abs(values) if variable.name.endswith("variance") else values)
        model.save(folder / f"{name}.keras")
        found.append([variable.numpy() for variable in model.weights])
    return found
