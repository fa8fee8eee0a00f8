"""Makes model files with random weights: `python -m benchmarks.making JSON`, for `models.py`. Downloads nothing."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.chain import write_chain

if TYPE_CHECKING:
    import keras

_DENSE = 60
"""Layers of a file of dense layers."""


def application(path: Path, description: dict[str, Any]) -> None:
    """A model of keras.applications."""
    import keras

    _save(getattr(keras.applications, description["application"])(weights=None), path)


def small(path: Path, _: dict[str, Any]) -> None:
    """Sixty dense layers, each with an activation behind it, and a head."""
    import keras

    inputs = tensor = keras.Input((64,))
    for number in range(60):
        tensor = keras.layers.Dense(64, name=f"dense_{number}")(tensor)
        tensor = keras.layers.Activation("silu", name=f"activation_{number}")(tensor)
    _save(keras.Model(inputs, keras.layers.Dense(10, name="predictions")(tensor)), path)


def dense(path: Path, description: dict[str, Any]) -> None:
    """Dense layers of so many megabytes, with the architecture as JSON beside a file of weights alone."""
    import keras

    width = _width(description["size"], _DENSE)
    inputs = tensor = keras.Input((width,))
    for number in range(_DENSE):
        tensor = keras.layers.Dense(width, name=f"dense_{number}")(tensor)
    model = keras.Model(inputs, tensor, name="dense")
    if path.name.endswith(".weights.h5"):
        path.with_suffix(".json").write_text(model.to_json(), encoding="utf-8")
    _save(model, path)


def narrow_chain(path: Path, description: dict[str, Any]) -> None:
    """A chain of so many layers."""
    write_chain(path, layers=description["size"], width=8)


def wide_chain(path: Path, description: dict[str, Any]) -> None:
    """A chain of 32 layers with so many megabytes."""
    write_chain(path, layers=32, width=_width(description["size"], 32))


def _width(megabytes: int, layers: int) -> int:
    return math.isqrt(megabytes * 10**6 // 4 // layers)


def _save(model: keras.Model, path: Path) -> None:
    """Give every tensor random numbers, zeros and ones of a fresh model included, and write the model."""
    random = np.random.default_rng(7)
    for variable in model.weights:
        variable.assign(random.random(variable.shape, dtype="float32"))
    write = model.save_weights if path.name.endswith(".weights.h5") else model.save
    temporary = path.with_name(f"making-{path.name}")
    write(temporary)
    temporary.rename(path)


_KINDS = {make.__name__: make for make in (application, small, dense, narrow_chain, wide_chain)}

if __name__ == "__main__":
    for item in json.loads(sys.argv[1]):
        _KINDS[item["kind"]](Path(item["path"]), item)
