"""Functions of TensorFlow between the layers become operations of Keras 3 that compute the same."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import tensorflow as tf

from modelrecipe.formats import read_checkpoint
from tests.old_keras import assert_same_numbers, convert, perturb, tf_keras, write
from tests.old_operations import FUNCTIONS
from tests.running import refuse

if TYPE_CHECKING:
    from pathlib import Path

RANDOM = np.random.default_rng(0)
PAIR = [RANDOM.uniform(-2, 2, (3, 6, 4)).astype("float32") for _ in range(2)]


def of(function: Any) -> Any:
    """A model of two inputs and the function."""
    sources = [tf_keras.Input((6, 4), name=name) for name in ("a", "b")]
    return tf_keras.Model(sources, function(*sources))


def mended(file: Path) -> tuple[str, ...]:
    origin = read_checkpoint(file).origin
    found = [item for item in origin.repairs if item.repair == "tf-operations"] if origin else []
    return found[0].layers if found else ()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_tensorflow_computes_the_same_in_keras_3(name: str, tmp_path: Path) -> None:
    model = of(FUNCTIONS[name])
    assert_same_numbers(model, convert(write(model, tmp_path / "old.h5")), PAIR)


def test_functions_inside_a_nested_model_that_is_called_twice(tmp_path: Path) -> None:
    inner = of(lambda x, y: tf_keras.layers.Dense(4)(tf.nn.relu(x[:, ::-1] - y)) / 2.0)
    model = perturb(of(lambda x, y: inner([y, inner([x, y])]) + 1.0))
    file = write(model, tmp_path / "old.h5")
    assert len(mended(file)) == 5
    assert_same_numbers(model, convert(file), PAIR)


def test_functions_in_keras_zips(tmp_path: Path) -> None:
    model = of(lambda x, y: tf.concat([x, y * 2.0], axis=1))
    file = write(model, tmp_path / "old.keras")
    assert len(mended(file)) == 2
    assert_same_numbers(model, convert(file), PAIR)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: tf.reshape(x, tf.stack([tf.shape(x)[0], 24])),
        lambda x, y: tf.linalg.matmul(x, y, transpose_b=True),
        lambda x, y: tf.signal.fft(tf.cast(x, tf.complex64)),
    ],
    ids=["chosen by a tensor", "another argument", "unknown"],
)
def test_a_function_without_counterpart_is_refused_by_its_name(function: Any, tmp_path: Path) -> None:
    file = write(of(function), tmp_path / "old.h5")
    message = str(refuse(tmp_path, f"load: {file.name}", "save: new.keras"))
    assert re.search(r"'tf\.[\w.]+' \(TFOpLambda\) is the function '[\w.]+' of TensorFlow, for which no op", message)


def node(name: str, op: str, inputs: list[str], constants: Any = None, **attributes: Any) -> dict[str, Any]:
    """A `TensorFlowOpLayer` as TensorFlow 2.1 wrote it."""
    definition = {"name": name, "op": op, "input": ["x"], "attr": attributes}
    config = {"name": name, "trainable": True, "dtype": "float32", "node_def": definition, "constants": constants or {}}
    return {
        "class_name": "TensorFlowOpLayer",
        "config": config,
        "name": f"tf_op_layer_{name}",
        "inbound_nodes": [[[source, 0, 0, {}] for source in inputs]],
    }


def graph_of(file: Path, *nodes: dict[str, Any]) -> Path:
    """An HDF5 file of a model of the input `a` and nodes, of which the last is the output."""
    source = {"class_name": "InputLayer", "name": "a", "inbound_nodes": []}
    source["config"] = {"batch_input_shape": [None, 6, 4], "dtype": "float32", "sparse": False, "name": "a"}
    ends = {"input_layers": [["a", 0, 0]], "output_layers": [[nodes[-1]["name"], 0, 0]]}
    config = {"class_name": "Model", "config": {"name": "model", "layers": [source, *nodes], **ends}}
    with h5py.File(file, "w") as opened:
        opened.attrs["model_config"] = json.dumps(config)
        opened.attrs["keras_version"] = "2.2.4-tf"
        opened.create_group("model_weights").attrs["layer_names"] = np.array([], "S1")
    return file


MASKS = {"begin_mask": {"i": "3"}, "end_mask": {"i": "1"}, "shrink_axis_mask": {"i": "4"}}
NODES: dict[str, tuple[list[dict[str, Any]], Any]] = {
    "constant": ([node("mul", "Mul", ["a"], {"1": 3.0})], lambda x: x * 3),
    "constant first": ([node("sub", "Sub", ["a"], {"0": 1.0})], lambda x: 1 - x),
    "two tensors": (
        [node("r", "Relu", ["a"]), node("add", "AddV2", ["a", "tf_op_layer_r"])],
        lambda x: x + x * (x > 0),
    ),
    "mean": ([node("m", "Mean", ["a"], {"1": [1]}, keep_dims={"b": True})], lambda x: x.mean(1, keepdims=True)),
    "concat": ([node("c", "ConcatV2", ["a", "a"], {"2": -1})], lambda x: np.concatenate([x, x], -1)),
    "reshape": ([node("s", "Reshape", ["a"], {"1": [-1, 8, 3]})], lambda x: x.reshape(-1, 8, 3)),
    "cast": ([node("k", "Cast", ["a"], DstT={"type": "DT_INT32"})], lambda x: x.astype("int32")),
    "expand": ([node("e", "ExpandDims", ["a"], {"1": 1})], lambda x: x[:, None]),
    "squeeze": (
        [
            node("e", "ExpandDims", ["a"], {"1": 1}),
            node("q", "Squeeze", ["tf_op_layer_e"], squeeze_dims={"list": {"i": ["1"]}}),
        ],
        lambda x: x,
    ),
    "slice": (
        [node("t", "StridedSlice", ["a"], {"1": [0, 0, 2], "2": [0, 5, 3], "3": [1, 2, 1]}, **MASKS)],
        lambda x: x[:, :5:2, 2],
    ),
}


@pytest.mark.parametrize("name", NODES)
def test_a_node_of_a_graph_computes_the_same_in_keras_3(name: str, tmp_path: Path) -> None:
    nodes, expected = NODES[name]
    file = graph_of(tmp_path / "old.h5", *nodes)
    assert mended(file) == tuple(item["name"] for item in nodes)
    np.testing.assert_allclose(convert(file)(PAIR[0]), expected(PAIR[0]), rtol=0, atol=1e-6)


def test_a_model_of_layers_alone_is_left_alone(tmp_path: Path) -> None:
    assert mended(write(of(lambda x, y: tf_keras.layers.Add()([x, y])), tmp_path / "old.h5")) == ()
