"""Forms that tf_keras of today does not write any more, put into its files by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from tf_keras.src.saving.legacy.hdf5_format import _convert_rnn_weights

from modelrecipe.formats import read_checkpoint
from tests.old_keras import assert_same_numbers, convert, perturb, tf_keras, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

layers = tf_keras.layers
SERIES = np.random.default_rng(0).uniform(-1, 1, (3, 6, 4)).astype("float32")


def rewrite(file: Path, change: Callable[[dict[str, Any]], dict[str, Any]], version: str = "2.2.4") -> Path:
    """The file with every serialised object of its configuration put through `change`, the innermost first."""

    def visit(value: Any) -> Any:
        if isinstance(value, list):
            return [visit(item) for item in value]
        if not isinstance(value, dict):
            return value
        found = {key: visit(item) for key, item in value.items()}
        return change(found) if "class_name" in found else found

    with h5py.File(file, "r+") as opened:
        opened.attrs["model_config"] = json.dumps(visit(json.loads(opened.attrs["model_config"])))
        opened.attrs["keras_version"] = version
    return file


def repairs(file: Path) -> dict[str, tuple[str, ...]]:
    origin = read_checkpoint(file).origin
    assert origin is not None
    return {item.repair: item.layers for item in origin.repairs}


def without_module(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in ("module", "registered_name", "build_config")}


def sequential(*made: Any, shape: tuple[int, ...] = (6, 4)) -> Any:
    return perturb(tf_keras.Sequential([tf_keras.Input(shape), *made]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Bidirectional(layers.GRU(3), name="x"),
        lambda: layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)], name="x"),
        lambda: layers.RNN(layers.StackedRNNCells([layers.LSTMCell(3), layers.SimpleRNNCell(2)]), name="x"),
        lambda: layers.TimeDistributed(layers.Dense(3, kernel_regularizer="l2"), name="x"),
    ],
    ids=["bidirectional", "cells", "stacked", "distributed"],
)
@pytest.mark.parametrize("is_nested", [False, True])
def test_layers_inside_wrappers_need_no_module(make: Any, is_nested: bool, tmp_path: Path) -> None:
    model = sequential(tf_keras.Sequential([tf_keras.Input((6, 4)), make()], name="n") if is_nested else make())
    file = rewrite(write(model, tmp_path / "old.h5"), without_module)
    assert repairs(file)["inner-modules"][0] == ("n/x" if is_nested else "x")
    assert_same_numbers(model, convert(file), SERIES)


def test_a_model_inside_a_wrapper_needs_no_modules(tmp_path: Path) -> None:
    made = [layers.Dense(3), layers.BatchNormalization(), layers.Reshape((3, 1)), layers.LSTM(2, name="y")]
    model = sequential(layers.TimeDistributed(tf_keras.Sequential(made, name="n"), name="x"))
    file = rewrite(write(model, tmp_path / "old.h5"), without_module)
    assert repairs(file)["inner-modules"] == ("x", "x/n")
    assert_same_numbers(model, convert(file), SERIES)


class CuDNNLSTM:
    """What tf_keras takes for the layer that it converts weights to, by its name."""


class CuDNNGRU:
    """Likewise."""


def as_cudnn(file: Path) -> Path:
    """The file as the layers that run on GPUs alone would have written it."""

    def weights(group: h5py.Group) -> None:
        for inner in [item for item in group.values() if isinstance(item, h5py.Group)]:
            weights(inner)
        if "recurrent_kernel:0" in group:
            names = [f"{name}:0" for name in ("kernel", "recurrent_kernel", "bias")]
            values = [group[name][()] for name in names]
            kind = CuDNNLSTM if values[1].shape[1] == 4 * values[1].shape[0] else CuDNNGRU
            for name, value in zip(names, _convert_rnn_weights(kind(), values), strict=True):
                del group[name]
                group[name] = value

    def change(data: dict[str, Any]) -> dict[str, Any]:
        if data["class_name"] not in ("LSTM", "GRU"):
            return without_module(data)
        kept = ("name", "trainable", "units", "return_sequences", "return_state", "go_backwards", "stateful")
        config = {key: value for key, value in data["config"].items() if key in kept or "init" in key}
        return without_module({**data, "class_name": f"CuDNN{data['class_name']}", "config": config})

    with h5py.File(file, "r+") as opened:
        weights(opened["model_weights"])
    return rewrite(file, change)


@pytest.mark.parametrize("make", [layers.LSTM, layers.GRU])
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_layers_of_cudnn_become_recurrent_layers(make: Any, is_wrapped: bool, tmp_path: Path) -> None:
    layer = make(3, return_sequences=True, name="x")
    model = sequential(layers.Bidirectional(layer, name="w") if is_wrapped else layer, make(2, name="y"))
    file = as_cudnn(write(model, tmp_path / "old.h5"))
    found = repairs(file)
    assert found["renamed-classes"] == (("w/x", "y") if is_wrapped else ("x", "y"))
    assert found["cudnn-weights"] == (("w", "y") if is_wrapped else ("x", "y"))
    assert_same_numbers(model, convert(file), SERIES)


def test_layers_of_cudnn_inside_a_nested_model(tmp_path: Path) -> None:
    model = sequential(tf_keras.Sequential([tf_keras.Input((6, 4)), layers.LSTM(3, name="x")], name="n"))
    file = as_cudnn(write(model, tmp_path / "old.h5"))
    assert repairs(file)["cudnn-weights"] == ("n/x",)
    assert_same_numbers(model, convert(file), SERIES)


def normalization_of_tensorflow_1(data: dict[str, Any]) -> dict[str, Any]:
    if data["class_name"] != "BatchNormalization":
        return data
    more = {"fused": None, "renorm": False, "virtual_batch_size": None, "adjustment": None}
    return {**data, "class_name": "BatchNormalizationV1", "config": {**data["config"], **more}}


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_batch_normalization_of_tensorflow_1(is_wrapped: bool, tmp_path: Path) -> None:
    layer = layers.BatchNormalization(name="x")
    model = sequential(layers.TimeDistributed(layer, name="w") if is_wrapped else layer)
    file = rewrite(write(model, tmp_path / "old.h5"), normalization_of_tensorflow_1)
    found = repairs(file)
    place = ("w/x",) if is_wrapped else ("x",)
    assert (found["renamed-classes"], found["removed-arguments"]) == (place, place)
    assert_same_numbers(model, convert(file), SERIES)


@pytest.mark.parametrize(
    ("form", "meaning"),
    [
        ("softmax_v2", "softmax"),
        ("identity", "linear"),
        ({"class_name": "function", "config": "tanh"}, "tanh"),
        ({"class_name": "LeakyReLU", "config": {"name": "l", "alpha": 0.25}}, layers.LeakyReLU(alpha=0.25)),
    ],
    ids=["function of TensorFlow", "identity", "serialised function", "layer"],
)
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_activations_in_old_forms(form: Any, meaning: Any, is_wrapped: bool, tmp_path: Path) -> None:
    layer = layers.Dense(3, activation=meaning, name="x")
    model = sequential(layers.TimeDistributed(layer, name="w") if is_wrapped else layer)

    def change(data: dict[str, Any]) -> dict[str, Any]:
        is_dense = data["class_name"] == "Dense"
        return {**data, "config": {**data["config"], "activation": form}} if is_dense else data

    file = rewrite(write(model, tmp_path / "old.h5"), change)
    assert repairs(file)["old-activations"] == (("w/x",) if is_wrapped else ("x",))
    assert_same_numbers(model, convert(file), SERIES)


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_numbers_that_were_arrays(is_wrapped: bool, tmp_path: Path) -> None:
    layer = layers.LeakyReLU(alpha=0.25, name="x")
    model = sequential(layers.TimeDistributed(layer, name="w") if is_wrapped else layer)

    def change(data: dict[str, Any]) -> dict[str, Any]:
        array = {"alpha": {"type": "ndarray", "values": 0.25}}
        return {**data, "config": {**data["config"], **array}} if data["class_name"] == "LeakyReLU" else data

    file = rewrite(write(model, tmp_path / "old.h5"), change)
    assert repairs(file) == {"array-values": (("w/x",) if is_wrapped else ("x",))}
    assert_same_numbers(model, convert(file), SERIES)


def test_none_of_these_repairs_touches_what_needs_none(tmp_path: Path) -> None:
    model = sequential(layers.Dense(3, activation="relu"), layers.BatchNormalization(), layers.LeakyReLU())
    assert repairs(write(model, tmp_path / "old.h5")) == {}


def test_a_model_inside_a_wrapper_takes_and_gives_its_only_tensor_itself(tmp_path: Path) -> None:
    source = tf_keras.Input((4,))
    inner = tf_keras.Model([source], [layers.Dense(3)(source)], name="n")
    model = sequential(layers.TimeDistributed(inner, name="x"))
    file = write(model, tmp_path / "old.h5")
    assert repairs(file)["lists-of-one"] == ("x/n",)
    assert_same_numbers(model, convert(file), SERIES)


@pytest.mark.parametrize("container", ["h5", "keras"])
def test_calls_of_a_nested_model_are_told_apart(container: str, tmp_path: Path) -> None:
    source = tf_keras.Input((6, 4))
    inner = tf_keras.Model(source, [layers.Dense(4)(source), layers.Dense(2)(source)], name="inner")
    first, second = tf_keras.Input((6, 4)), tf_keras.Input((6, 4))
    (one, short), (two, shorter) = inner(first), inner(second)
    shortest = inner(one)[1]
    model = perturb(tf_keras.Model([first, second], [layers.Concatenate()([short, shorter, shortest]), two]))
    assert_same_numbers(model, convert(write(model, tmp_path / f"old.{container}")), [SERIES, -SERIES])


@pytest.mark.parametrize("name", ["mixed_float16", "PolicyV1"])
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_policies_of_mixed_precision(name: str, is_wrapped: bool, tmp_path: Path) -> None:
    layer = layers.Dense(3, dtype="mixed_float16", name="x")
    last = layers.Activation("linear", dtype="float32")
    model = sequential(layers.TimeDistributed(layer, name="w", dtype="mixed_float16") if is_wrapped else layer, last)

    def change(data: dict[str, Any]) -> dict[str, Any]:
        policy = {"class_name": name, "config": {"name": "float16_with_float32_vars", "loss_scale": None}}
        is_policy = data["class_name"] == "Policy" and name == "PolicyV1"
        return policy if is_policy else data

    file = rewrite(write(model, tmp_path / "old.h5"), change)
    assert repairs(file)["old-policies"] == (("w", "w/x") if is_wrapped else ("x",))
    assert_same_numbers(model, convert(file), SERIES, 5e-3)
