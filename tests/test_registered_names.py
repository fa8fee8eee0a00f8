"""Classes and functions of a recipe's imports, as old files name them: without their package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest

from modelrecipe.registered_names import registered, with_full_names
from tests.old_keras import assert_same_numbers, convert, perturb, tf_keras, write

if TYPE_CHECKING:
    from pathlib import Path

VALUES = np.random.default_rng(0).uniform(-1, 1, (2, 3, 4)).astype("float32")


class PackagedGain(tf_keras.layers.Layer):
    def build(self, shape: Any) -> None:
        self.gain = self.add_weight(name="gain", shape=(shape[-1],))
        super().build(shape)

    def call(self, values: Any) -> Any:
        return values * self.gain


@keras.saving.register_keras_serializable(package="mine")
def packaged_twice(values: Any) -> Any:
    return values * 2


def _new_gain() -> Any:
    @keras.saving.register_keras_serializable(package="mine")
    class PackagedGain(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.gain = self.add_weight(name="gain", shape=(shape[-1],))

        def call(self, values: Any) -> Any:
            return values * self.gain

    return PackagedGain


NEW_GAIN = _new_gain()


@pytest.mark.parametrize("ending", [".h5", ".keras"])
def test_old_files_find_what_is_registered_with_a_package(ending: str, tmp_path: Path) -> None:
    source = tf_keras.Input((3, 4))
    inner = tf_keras.Sequential([tf_keras.layers.Dense(3, activation=packaged_twice), PackagedGain()], name="inner")
    wrapped = tf_keras.layers.TimeDistributed(tf_keras.layers.Dense(2, activation=packaged_twice))
    model = perturb(tf_keras.Model(source, wrapped(inner(PackagedGain()(source)))))
    assert_same_numbers(model, convert(write(model, tmp_path / f"old{ending}")), VALUES)


def test_a_bare_name_is_completed_where_one_registration_fits() -> None:
    assert registered("PackagedGain") is registered("mine>PackagedGain") is NEW_GAIN
    assert registered("Dense") is None
    data = {"class_name": "PackagedGain", "config": {"activation": "packaged_twice", "other": "packaged_twice"}}
    function = {"module": None, "class_name": "function", "config": "packaged_twice"}
    config = {"activation": {**function, "registered_name": "mine>packaged_twice"}, "other": "packaged_twice"}
    assert with_full_names(data) == {
        "module": None,
        "class_name": "PackagedGain",
        "config": config,
        "registered_name": "mine>PackagedGain",
    }


def test_a_bare_name_of_two_packages_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(keras.saving.get_custom_objects(), "theirs>PackagedGain", NEW_GAIN)
    assert registered("PackagedGain") is None


def test_a_lambda_of_a_named_function_takes_the_registered_one() -> None:
    config = {"name": "x", "function": "packaged_twice", "function_type": "function", "module": "__main__"}
    made = with_full_names({"class_name": "Lambda", "config": config})["config"]
    assert made == {"name": "x", "function": made["function"]}
    assert made["function"]["registered_name"] == "mine>packaged_twice"
