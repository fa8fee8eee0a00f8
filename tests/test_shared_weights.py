"""Real files of weights, put into the architecture that their source states; Keras' own loader is the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest

from modelrecipe.inspection import inspect_file
from tests.old_keras import TOLERANCE, tf_keras
from tests.running import load, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

WEIGHTS = {
    "delft_gru_license.hdf5": 223594,
    "dqn_cartpole_weights.h5": 770,
    "kepler_trial.weights.h5": 6465,
    "kotlindl_lenet_weights.h5": 844326,
    "tensorspace_lenet_weights.h5": 44426,
    "textgenrnn_weights.hdf5": 462717,
}


def textgenrnn() -> Any:
    layers = tf_keras.layers
    given = layers.Input((40,), name="input")
    embedded = layers.Embedding(465, 100, name="embedding")(given)
    first = layers.LSTM(128, return_sequences=True, name="rnn_1")(embedded)
    second = layers.LSTM(128, return_sequences=True, name="rnn_2")(first)
    joined = layers.GlobalAveragePooling1D()(layers.Concatenate()([embedded, first, second]))
    return tf_keras.Model(given, layers.Dense(465, activation="softmax", name="output")(joined))


def delft() -> Any:
    layers = tf_keras.layers
    given = x = layers.Input((50, 300))
    for name, inner in (("bidirectional_2", "gru_2"), ("bidirectional_3", "gru_3")):
        x = layers.Bidirectional(layers.GRU(64, return_sequences=True, name=inner), name=name)(x)
    x = layers.Concatenate()([layers.GlobalMaxPooling1D()(x), layers.GlobalAveragePooling1D()(x)])
    x = layers.Dense(32, activation="relu", name="dense_2")(x)
    return tf_keras.Model(given, layers.Dense(10, activation="sigmoid", name="dense_3")(x))


def dqn() -> Any:
    layers = tf_keras.layers
    hidden = [layers.Dense(24, activation="relu", name=f"dense_{number}") for number in (1, 2)]
    return tf_keras.Sequential([layers.Input((4,)), *hidden, layers.Dense(2, name="dense_3")])


def kotlin() -> Any:
    layers = tf_keras.layers
    model = tf_keras.Sequential([layers.Input((28, 28, 1))])
    for filters, name in ((32, "conv2d"), (64, "conv2d_1")):
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu", name=name))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    for units, name in ((256, "dense"), (84, "dense_1"), (10, "dense_2")):
        model.add(layers.Dense(units, activation="relu" if units > 10 else None, name=name))
    return model


def kepler() -> keras.Model:
    layers = keras.layers
    hidden = [layers.Dense(units, activation="relu") for units in (128, 32)]
    return keras.Sequential([layers.Input((17,)), *hidden, layers.Dense(1, activation="sigmoid")])


@pytest.mark.parametrize(
    ("name", "make", "more"),
    [
        ("delft_gru_license.hdf5", delft, ""),
        ("dqn_cartpole_weights.h5", dqn, ""),
        ("kepler_trial.weights.h5", kepler, ""),
        ("kotlindl_lenet_weights.h5", kotlin, ""),
        ("textgenrnn_weights.hdf5", textgenrnn, ", ignore: [attention]"),
    ],
)
def test_weights_go_into_their_architecture(
    name: str, make: Callable[[], Any], more: str, shared_models: Path, tmp_path: Path
):
    source, model = shared_models / name, make()
    (tmp_path / "model.json").write_text(model.to_json())
    model.load_weights(source, **({"by_name": True} if more else {}))
    step = f"load: {{architecture: model.json, weights: '{source.as_posix()}'{more}}}"
    run(tmp_path, step, "save: out.keras")
    shape = tuple(size or 2 for size in model.input_shape)
    values = np.random.default_rng(3).random(shape).astype("float32") * (464 if more else 1)
    after = np.asarray(load(tmp_path / "out.keras")(np.floor(values) if more else values, training=False))
    expected = np.asarray(model(np.floor(values) if more else values, training=False))
    assert float(np.abs(after - expected).max()) <= TOLERANCE


def test_weights_go_into_the_architecture_of_another_file(shared_models: Path, tmp_path: Path):
    source = shared_models / "tensorspace_lenet_mnist.h5"
    weights = shared_models / "tensorspace_lenet_weights.h5"
    run(tmp_path, f"load: {{architecture: '{source.as_posix()}', weights: '{weights.as_posix()}'}}", "save: out.keras")
    with np.load(shared_models / "golden" / f"{source.name}.npz") as stored:
        after = np.asarray(load(tmp_path / "out.keras")(stored["x0"].astype("float32")))
        assert float(np.abs(after - stored["y0"]).max()) <= TOLERANCE


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_without_an_architecture_are_inspected(name: str, shared_models: Path):
    found = inspect_file(shared_models / name)
    assert (found.kind, found.totals.parameters) == ("weights", WEIGHTS[name])
