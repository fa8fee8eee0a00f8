"""`load` of files that Keras cannot build as they stand: what is refused, and layers that stand for others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest

from modelrecipe.inspection import inspect_file
from tests.old_keras import assert_same_numbers, perturb, tf_keras, write
from tests.running import load, refuse, run, told

if TYPE_CHECKING:
    from pathlib import Path


@tf_keras.utils.register_keras_serializable("theirs")
class Doubling(tf_keras.layers.Layer):
    """A class that Keras 3 does not know, with a weight."""

    def build(self, shape):
        self.kernel = self.add_weight("kernel", shape=(shape[-1], 2), initializer="glorot_uniform")
        self.bias = self.add_weight("bias", shape=(2,), initializer="ones")

    def call(self, inputs):
        return inputs @ self.kernel + self.bias


def with_lambda() -> tf_keras.Model:
    layers = tf_keras.layers
    chain = [layers.Input((4,)), layers.Lambda(lambda x: x / 127.5 - 1, name="scale"), layers.Dense(3, name="dense")]
    return perturb(tf_keras.Sequential(chain))


def with_custom_class() -> tf_keras.Model:
    source = tf_keras.layers.Input((4,), name="image")
    inner_source = tf_keras.layers.Input((4,))
    inner = tf_keras.Model(inner_source, Doubling(name="custom")(inner_source), name="inner")
    return perturb(tf_keras.Model(source, tf_keras.layers.Dense(3)(inner(source))))


def values() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (3, 4)).astype("float32")


def test_python_code_is_refused_with_what_to_write_instead(tmp_path: Path):
    write(with_lambda(), tmp_path / "old.h5")
    assert told(refuse(tmp_path, "load: old.h5", "save: out.keras")) == (
        "4:11: save: 'scale' (Lambda) is Python code, which is never executed; put a layer in its place:"
        " load: {path: ..., replace: {scale: {class: ..., config: ...}}}, or register its function in a module named"
        " under imports"
    )


def test_a_layer_stands_for_python_code(tmp_path: Path):
    old = with_lambda()
    write(old, tmp_path / "old.h5")
    scale = 1 / 127.5
    spec = f"{{scale: {{class: Rescaling, config: {{scale: {scale!r}, offset: -1.0}}}}}}"
    outcome = run(tmp_path, f"load: {{path: old.h5, replace: {spec}}}", "save: out.keras")
    assert_same_numbers(old, load(tmp_path / "out.keras"), values())
    assert "'scale': Lambda → Rescaling" in outcome.steps[0].notes


def test_a_class_of_somebody_else_is_refused_by_name(tmp_path: Path):
    write(with_custom_class(), tmp_path / "old.h5")
    assert told(refuse(tmp_path, "load: old.h5", "save: out.keras")) == (
        "4:11: save: the class 'theirs>Doubling' of 'inner/custom' is none of Keras' own, and nothing registers it;"
        " name its module under imports and pass --allow-code, or put a layer in its place:"
        " load: {path: ..., replace: {inner/custom: {class: ..., config: ...}}}"
    )


def test_a_layer_that_stands_for_another_has_its_weights_and_calls(tmp_path: Path):
    old = with_custom_class()
    write(old, tmp_path / "old.h5")
    spec = "{inner/custom: {class: Dense, config: {units: 2}}}"
    run(tmp_path, f"load: {{path: old.h5, replace: {spec}}}", "save: out.keras")
    assert_same_numbers(old, load(tmp_path / "out.keras"), values())


def test_it_may_begin_with_weights_of_its_own(tmp_path: Path):
    write(with_custom_class(), tmp_path / "old.h5")
    spec = "{inner/custom: {class: Dense, config: {units: 2, kernel_initializer: ones}, weights: fresh}}"
    run(tmp_path, f"load: {{path: old.h5, replace: {spec}}}", "save: out.keras")
    kernel, bias = load(tmp_path / "out.keras").get_layer("inner").get_layer("custom").get_weights()
    assert np.array_equal(kernel, np.ones((4, 2)))
    assert np.array_equal(bias, np.zeros(2))


def test_a_name_that_no_layer_has_is_refused(tmp_path: Path):
    write(with_lambda(), tmp_path / "old.h5")
    error = refuse(tmp_path, "load: {path: old.h5, replace: {scal: Dropout}}", "save: out.keras")
    assert error.exit_code == 4
    assert "there is no layer 'scal'; did you mean 'scale'?" in told(error)


def test_an_unknown_class_is_refused_before_any_file_is_read(tmp_path: Path):
    with pytest.raises(Exception, match="unknown layer class 'Rescalling'; did you mean 'Rescaling'"):
        run(tmp_path, "load: {path: nothing.h5, replace: {scale: {class: Rescalling}}}")


def test_without_repairs_the_file_is_taken_word_by_word(tmp_path: Path):
    layers = tf_keras.layers
    write(
        tf_keras.Sequential([layers.Input((4, 4, 2)), layers.SeparableConv2D(2, 2, name="conv")]), tmp_path / "old.h5"
    )
    error = refuse(tmp_path, "load: {path: old.h5, repairs: none}", "save: out.keras")
    assert "'conv' (SeparableConv2D) cannot be made" in told(error)
    run(tmp_path, "load: {path: old.h5, repairs: all}", "save: out.keras")


def test_inspect_tells_what_is_in_the_way(tmp_path: Path):
    write(with_lambda(), tmp_path / "lambda.h5")
    write(with_custom_class(), tmp_path / "custom.h5")
    [of_lambda] = inspect_file(tmp_path / "lambda.h5").obstacles
    [of_custom] = inspect_file(tmp_path / "custom.h5").obstacles
    assert of_lambda.startswith("'scale' (Lambda) is Python code")
    assert of_custom.startswith("the class 'theirs>Doubling' of 'inner/custom' is none of Keras' own")


def test_inspect_tells_the_repairs(tmp_path: Path):
    layers = tf_keras.layers
    write(
        tf_keras.Sequential([layers.Input((4, 4, 2)), layers.SeparableConv2D(2, 2, name="conv")]), tmp_path / "old.h5"
    )
    assert [str(item) for item in inspect_file(tmp_path / "old.h5").repairs] == ["removed-arguments (conv)"]


def test_a_file_of_today_takes_no_repair(tmp_path: Path):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="hard_sigmoid")]).save(tmp_path / "m.keras")
    found = inspect_file(tmp_path / "m.keras")
    assert (found.repairs, found.obstacles) == ((), ())
