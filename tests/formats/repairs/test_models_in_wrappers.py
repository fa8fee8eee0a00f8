"""Models inside wrappers: their weights are found, their names mended, their classes known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf

from modelrecipe.formats import read_checkpoint
from tests.old_keras import assert_same_numbers, convert, perturb, tf_keras, write
from tests.running import refuse

if TYPE_CHECKING:
    from pathlib import Path

layers = tf_keras.layers
VALUES = np.random.default_rng(0).uniform(-1, 1, (2, 3, 4)).astype("float32")


def chain(*made: Any, name: str) -> Any:
    return tf_keras.Sequential(list(made), name=name)


def block(**first: Any) -> Any:
    return chain(layers.Dense(4, **first), layers.BatchNormalization(), layers.Dense(3), name="block")


def of(function: Any) -> Any:
    source = tf_keras.Input((3, 4))
    return perturb(tf_keras.Model(source, function(source)))


@pytest.mark.parametrize("is_frozen", [False, True])
def test_weights_of_a_wrapped_model_inside_a_nested_one(is_frozen: bool, tmp_path: Path) -> None:
    wrapper = layers.TimeDistributed(block())
    model = of(chain(wrapper, layers.BatchNormalization(), layers.Dense(2), name="nested"))
    wrapper.trainable = not is_frozen
    assert_same_numbers(model, convert(write(model, tmp_path / "old.h5")), VALUES)


def test_a_nested_model_of_a_wrapper_alone(tmp_path: Path) -> None:
    model = of(chain(layers.TimeDistributed(block()), name="nested"))
    assert_same_numbers(model, convert(write(model, tmp_path / "old.h5")), VALUES)


@pytest.mark.parametrize("name", ["old.h5", "old.keras", "old"])
def test_slashes_in_names_inside_a_wrapper(name: str, tmp_path: Path) -> None:
    source = tf_keras.Input((4,), name="in/put")
    hidden = layers.Dense(3, name="d/1")(source)
    wrapped = tf_keras.Model(source, layers.Add(name="a/b")([hidden, layers.Dense(3, name="d/2")(hidden)]), name="w/m")
    model = of(
        lambda tensor: layers.Bidirectional(layers.LSTM(2, name="l/x"), name="b/i")(
            layers.TimeDistributed(wrapped, name="t/d")(tensor)
        )
    )
    file = write(model, tmp_path / name)
    origin = read_checkpoint(file).origin
    assert origin is not None
    assert "slash-names" in [item.repair for item in origin.repairs]
    assert_same_numbers(model, convert(file), VALUES)


def test_a_functional_model_in_a_wrapper_of_a_saved_model(tmp_path: Path) -> None:
    source = tf_keras.Input((4,))
    wrapped = tf_keras.Model(source, tf.nn.relu(layers.Dense(2)(source)) * 2.0)
    model = of(layers.TimeDistributed(wrapped))
    assert_same_numbers(model, convert(write(model, tmp_path / "old")), VALUES)


def test_a_stateful_layer_of_a_saved_model_leaves_its_states(tmp_path: Path) -> None:
    source = tf_keras.Input(batch_shape=(2, 3, 4))
    model = perturb(tf_keras.Model(source, layers.LSTM(3, stateful=True)(source)))
    file = write(model, tmp_path / "old")
    assert [len(tensors) for tensors in read_checkpoint(file).weights.values()] == [3]
    model.reset_states()
    assert_same_numbers(model, convert(file), VALUES)


def test_a_function_without_counterpart_is_told_with_the_wrapper_around_it(tmp_path: Path) -> None:
    source = tf_keras.Input((4,))
    wrapped = tf_keras.Model(source, tf.math.bessel_i0(layers.Dense(2)(source)))
    file = write(of(layers.TimeDistributed(wrapped, name="around")), tmp_path / "old.h5")
    assert (
        "'tf.math.bessel_i0' (TFOpLambda) in 'around' (TimeDistributed) is the function 'math.bessel_i0' of TensorFlow, "
        "for which no operation of Keras is known with these arguments; put a layer in its place: load: "
        "{path: ..., replace: {around: {class: ..., config: ...}}}"
    ) in str(refuse(tmp_path, f"load: {file.name}", "save: new.keras"))


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda: layers.LSTM(2, time_major=True, return_sequences=True, name="x"), "'x' (LSTM)"),
        (
            lambda: layers.Bidirectional(layers.GRU(2, time_major=True, return_sequences=True, name="y"), name="x"),
            "'y' (GRU) in 'x' (Bidirectional)",
        ),
    ],
)
def test_an_argument_that_keras_lost_is_refused_by_name(make: Any, place: str, tmp_path: Path) -> None:
    file = write(of(make()), tmp_path / "old.h5")
    assert (
        f"{place} has 'time_major: true' (the time axis stands before the batch), which Keras 3 cannot; put a layer in "
        "its place: load: {path: ..., replace: {x: {class: ..., config: ...}}}"
    ) in str(refuse(tmp_path, f"load: {file.name}", "save: new.keras"))


def test_a_lambda_in_a_wrapper_is_told_with_the_wrapper(tmp_path: Path) -> None:
    file = write(of(layers.TimeDistributed(layers.Lambda(lambda x: x * 2, name="y"), name="x")), tmp_path / "old.h5")
    message = str(refuse(tmp_path, f"load: {file.name}", "save: new.keras"))
    assert "'y' (Lambda) in 'x' (TimeDistributed) is Python code, which is never executed" in message
