"""Writes a chain of dense layers as a `.keras` file without Keras, whose own time grows faster than the model."""

from __future__ import annotations

import json
import zipfile
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path


def write_chain(path: Path, *, layers: int, width: int) -> None:
    """Write the file; never more than one layer's weights are in memory.

    Args:
        path: the file.
        layers: how many dense layers.
        width: units of each.
    """
    weights = path.with_name(f"{path.name}.making")
    archive = path.with_name(f"making-{path.name}")
    _write_weights(weights, layers, width)
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("metadata.json", json.dumps({"keras_version": "3.15.1", "date_saved": "2026-01-01@00:00:00"}))
        file.writestr("config.json", json.dumps(_model(layers, width)))
        file.write(weights, "model.weights.h5")
    weights.unlink()
    archive.rename(path)


def _write_weights(path: Path, layers: int, width: int) -> None:
    random = np.random.default_rng(7)
    with h5py.File(path, "w") as file:
        for number in range(layers):
            group = file.create_group(f"layers/dense{f'_{number}' if number else ''}/vars")
            group.attrs["name"] = f"dense_{number}"
            group["0"] = random.random((width, width), dtype="float32")
            group["1"] = random.random(width, dtype="float32")


def _model(layers: int, width: int) -> dict[str, Any]:
    names = ["input", *(f"dense_{number}" for number in range(layers))]
    first = _layer("InputLayer", {"name": "input", "batch_shape": [None, width], "dtype": "float32"}, [])
    rest = [_dense(name, before, width) for before, name in pairwise(names)]
    ends = {"input_layers": [["input", 0, 0]], "output_layers": [[names[-1], 0, 0]]}
    config = {"name": "chain", "trainable": True, "layers": [first, *rest], **ends}
    place = {"module": "keras.src.models.functional", "class_name": "Functional", "registered_name": "Functional"}
    return place | {"config": config}


def _dense(name: str, before: str, width: int) -> dict[str, Any]:
    tensor = {
        "class_name": "__keras_tensor__",
        "config": {"shape": [None, width], "dtype": "float32", "keras_history": [before, 0, 0]},
    }
    layer = _layer("Dense", {"name": name, "trainable": True, "units": width}, [{"args": [tensor], "kwargs": {}}])
    return layer | {"build_config": {"input_shape": [None, width]}}


def _layer(kind: str, config: dict[str, Any], calls: list[Any]) -> dict[str, Any]:
    place = {"module": "keras.layers", "class_name": kind, "registered_name": None}
    return place | {"config": config, "name": config["name"], "inbound_nodes": calls}
