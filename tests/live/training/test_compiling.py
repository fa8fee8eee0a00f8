"""Losses, metrics and optimizers of a recipe, made as plain Keras makes them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from modelrecipe.errors import LanguageError
from modelrecipe.live.training.compiling import losses_of, make, metrics_of
from modelrecipe.training.keras_objects import Loss, Metric, Optimizer

LABELS, LOGITS = np.array([0, 2]), np.array([[3.0, -1.0, 0.5], [0.0, 2.0, 1.0]])


@keras.saving.register_keras_serializable("house")
class Halved(keras.losses.MeanSquaredError):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return super().call(y_true, y_pred) / 2


@keras.saving.register_keras_serializable("house")
class Slow(keras.optimizers.SGD):
    pass


@keras.saving.register_keras_serializable("house")
def off_by(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.abs(y_true - y_pred)


@pytest.mark.parametrize("name", ["sparse_categorical_crossentropy", "SparseCategoricalCrossentropy"])
def test_arguments_of_a_short_name_are_not_dropped(name: str):
    loss = losses_of(Loss(class_=name, config={"from_logits": True}), "loss")
    wanted: Any = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert float(loss(LABELS, LOGITS)) == float(wanted(LABELS, LOGITS))


def test_short_names_without_arguments_stay_what_keras_makes_of_them():
    assert losses_of(Loss(class_="mse"), "loss") is keras.losses.get("mse")
    made = metrics_of((Metric(class_="accuracy"), Metric(class_="precision"), Metric(class_="AUC")))
    assert made[:2] == ["accuracy", "precision"]
    assert isinstance(made[2], keras.metrics.AUC)


def test_registered_ones_are_found_with_and_without_arguments():
    assert isinstance(losses_of(Loss(class_="house>Halved"), "loss"), Halved)
    assert losses_of(Loss(class_="house>Halved", config={"name": "half"}), "loss").name == "half"
    assert metrics_of(Metric(class_="house>off_by")) == [off_by]
    assert isinstance(make(keras.optimizers, Optimizer(class_="house>Slow"), "optimizer"), Slow)


def test_what_nobody_registered_is_refused():
    with pytest.raises(LanguageError) as caught:
        losses_of({"out": Loss(class_="house>Missing")}, "loss")
    assert caught.value.message == "nothing is registered as 'house>Missing'"
    assert caught.value.hint == "write the module that registers it in imports"
    assert caught.value.at == ("loss",)
