"""Compares outputs with those of plain Keras: `python -m benchmarks.checking JOBS RESULTS`.

A job names the output, the reference, and the script that makes the reference where it is not there yet. Keras opens
both, one after the other; every layer's class, arguments and flag and the bytes of every tensor are compared.
"""

from __future__ import annotations

import json
import runpy
import sys
from hashlib import blake2b
from pathlib import Path
from typing import Any

import h5py
import numpy as np

PEERS = Path(__file__).parent / "peers"
_MOST = 5
"""Differences that are told."""


def compare(job: dict[str, Any]) -> dict[str, Any]:
    """Say whether output and reference are equal, how many tensors were compared, and what differs."""
    reference = Path(job["reference"])
    if job["peer"]:
        arguments = [word.replace("{target}", str(reference)) for word in job["arguments"]]
        sys.argv = [job["peer"], *arguments]
        runpy.run_path(str(PEERS / f"{job['peer']}.py"))
    ours, wanted = _content(Path(job["output"])), _content(reference)
    differing = sorted(key for key in {*ours, *wanted} if ours.get(key) != wanted.get(key))
    tensors = sum(key.startswith("tensor ") for key in wanted)
    return {
        "output": Path(job["output"]).name,
        "equal": not differing,
        "tensors": tensors,
        "differing": differing[:_MOST],
    }


def _content(path: Path) -> dict[str, Any]:
    """Digest of each tensor, and what a model says of each layer."""
    return _content_of_weights(path) if path.name.endswith(".weights.h5") else _content_of_model(path)


def _content_of_weights(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def take(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[f"tensor {name}"] = _digest(item[()])
        elif "name" in item.attrs:
            found[f"layer {name}"] = item.attrs["name"]

    with h5py.File(path) as file:
        file.visititems(take)
    return found


def _content_of_model(path: Path) -> dict[str, Any]:
    import keras

    model = keras.saving.load_model(path, compile=False)
    found: dict[str, Any] = {"shapes": str((model.input_shape, model.output_shape))}
    for layer in model.layers:
        # Keras renames inputs when it clones a model; they have neither weights nor a flag.
        if isinstance(layer, keras.layers.InputLayer):
            continue
        found[f"layer {layer.name}"] = (type(layer).__name__, str(layer.get_config()), layer.trainable)
        for number, variable in enumerate(layer.weights):
            # By number: variables without a name of their own are counted through the process.
            found[f"tensor {layer.name} {number}"] = _digest(variable.numpy())
    return found


def _digest(values: Any) -> tuple[str, str, str]:
    array = np.ascontiguousarray(values)
    return str(array.dtype), str(array.shape), blake2b(array.data, digest_size=16).hexdigest()


if __name__ == "__main__":
    # Before any job: the scripts that it runs get arguments of their own.
    asked, told = map(Path, sys.argv[1:])
    results = [compare(job) for job in json.loads(asked.read_text(encoding="utf-8"))]
    told.write_text(json.dumps(results), encoding="utf-8")
