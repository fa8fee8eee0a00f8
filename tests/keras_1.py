"""Files as Keras 1 wrote them, put together here by hand, because nothing that still runs writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["correlate", "gates", "layer", "model", "node", "numbers", "sequential", "write"]

Arrays = Mapping[str, Sequence[tuple[str, np.ndarray]]]


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Numbers of size one, different for each shape and seed."""
    return np.random.default_rng([seed, *shape]).uniform(-0.8, 0.8, shape).astype("float32")


def layer(class_name: str, name: str, *calls: Any, **config: Any) -> dict[str, Any]:
    """A serialised layer; with calls, one of a functional model."""
    data = {"class_name": class_name, "config": {"name": name, "trainable": True, **config}}
    return {**data, "name": name, "inbound_nodes": [list(call) for call in calls]} if calls else data


def node(*names: str) -> list[list[Any]]:
    """A call on the first output of each named layer."""
    return [[name, 0, 0] for name in names]


def sequential(*layers: dict[str, Any], name: str | None = None) -> dict[str, Any]:
    """A Sequential model, which had no name of its own."""
    return {"class_name": "Sequential", "config": list(layers), **({"name": name} if name else {})}


def model(inputs: Mapping[str, Sequence[int | None]], layers: Sequence[dict[str, Any]], output: str) -> dict[str, Any]:
    """A functional model."""
    sources = [
        {
            "class_name": "InputLayer",
            "config": {"batch_input_shape": list(shape), "input_dtype": "float32", "sparse": False, "name": name},
            "name": name,
            "inbound_nodes": [],
        }
        for name, shape in inputs.items()
    ]
    ends = {"input_layers": node(*inputs), "output_layers": node(output)}
    return {"class_name": "Model", "config": {"name": "model_1", "layers": [*sources, *layers], **ends}}


def write(
    path: Path, config: Mapping[str, Any], arrays: Arrays, *, version: str = "1.2.2", theano: bool = False
) -> Path:
    """Write a file: under each layer its arrays in order, with names as one of the two backends gave them."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = version.encode()
        file.attrs["model_config"] = json.dumps(config).encode()
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [name.encode() for name in arrays]
        for name, listed in arrays.items():
            group = weights.create_group(name)
            names = [weight if theano else f"{weight}:0" for weight, _ in listed]
            group.attrs["weight_names"] = [weight.encode() for weight in names]
            for weight, (_, values) in zip(names, listed, strict=True):
                group[weight] = values
    return path


def gates(name: str, letters: str, inputs: int, units: int) -> list[tuple[str, np.ndarray]]:
    """The arrays of a recurrent layer: three for each gate."""
    return [
        (f"{name}_{kind}_{letter}", numbers(*shape, seed=10 * number + ord(letter)))
        for letter in letters
        for number, (kind, shape) in enumerate({"W": (inputs, units), "U": (units, units), "b": (units,)}.items())
    ]


def correlate(images: np.ndarray, kernel: np.ndarray, stride: int = 1) -> np.ndarray:
    """What a convolution without borders computes in TensorFlow, channels last; kernels are (rows, columns, in, out)."""
    rows, columns = kernel.shape[:2]
    height = (images.shape[1] - rows) // stride + 1
    width = (images.shape[2] - columns) // stride + 1
    found = np.zeros((len(images), height, width, kernel.shape[3]), "float32")
    for row in range(height):
        for column in range(width):
            part = images[:, row * stride : row * stride + rows, column * stride : column * stride + columns]
            found[:, row, column] = np.tensordot(part, kernel, axes=([1, 2, 3], [0, 1, 2]))
    return found
