"""Settings that are given to layers which are built already, wherever Keras keeps them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
from keras import layers

from modelrecipe.graph import Layer
from modelrecipe.live.training.settings import give_settings

if TYPE_CHECKING:
    from collections.abc import Callable

L2 = {"module": "keras.regularizers", "class_name": "L2", "config": {"l2": 0.5}, "registered_name": None}
LIMIT = {"module": "keras.constraints", "class_name": "NonNeg", "config": {}, "registered_name": None}

CASES: dict[str, tuple[Callable[[], Any], tuple[int, ...], dict[str, Any]]] = {
    "dropout": (lambda: layers.Dropout(0.2), (2, 3), {"rate": 0.7}),
    "noise": (lambda: layers.GaussianNoise(0.2), (2, 3), {"stddev": 0.7}),
    "statistics": (lambda: layers.BatchNormalization(), (2, 3), {"momentum": 0.5, "epsilon": 0.25}),
    "slope": (lambda: layers.LeakyReLU(0.2), (2, 3), {"negative_slope": 0.7}),
    "activation": (lambda: layers.Dense(3, activation="relu"), (2, 3), {"activation": "tanh"}),
    "regularizers": (
        lambda: layers.Conv2D(2, 3),
        (1, 5, 5, 1),
        {"kernel_regularizer": L2, "bias_regularizer": L2, "kernel_constraint": LIMIT},
    ),
    "embedding": (lambda: layers.Embedding(5, 3), (2, 3), {"embeddings_regularizer": L2}),
    "cell": (
        lambda: layers.LSTM(3, dropout=0.1),
        (2, 3, 4),
        {"dropout": 0.7, "recurrent_dropout": 0.5, "recurrent_regularizer": L2, "bias_constraint": LIMIT},
    ),
    "attention": (lambda: layers.MultiHeadAttention(2, 3, dropout=0.1), (2, 3, 4), {"dropout": 0.7}),
    "depthwise": (lambda: layers.SeparableConv1D(2, 3), (1, 5, 2), {"pointwise_regularizer": L2}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_built_layer_becomes_as_if_it_had_been_made_so(name: str):
    make, shape, change = CASES[name]
    live, new = make(), type(make()).from_config({**make().get_config(), **change})
    numbers = keras.ops.convert_to_tensor(np.ones(shape, "int32" if name == "embedding" else "float32"))
    inputs = (numbers, numbers) if name == "attention" else (numbers,)
    live(*inputs)
    new(*inputs)
    weights = [variable.numpy() for variable in live.weights]
    before = Layer(name=live.name, class_name=type(live).__name__, config=live.get_config())
    give_settings(live, before, replace(before, config={**before.config, **change}))
    assert without_name(live.get_config()) == without_name(new.get_config())
    for one, other in zip(live.weights, weights, strict=True):
        assert np.array_equal(one.numpy(), other)
    new.set_weights(weights)
    assert np.array_equal(live(*inputs, training=False), new(*inputs, training=False))
    assert [float(loss) for loss in live.losses] == [float(loss) for loss in new.losses]
    assert [type(variable.constraint) for variable in live.weights] == [type(item.constraint) for item in new.weights]


def test_what_a_wrapper_holds_is_reached():
    inner = layers.Dropout(0.2, name="inner")
    live = layers.TimeDistributed(inner)
    live(np.ones((2, 3, 4), "float32"))
    before = Layer(name=live.name, class_name="TimeDistributed", config=live.get_config())
    config = live.get_config()
    config["layer"] = {**config["layer"], "config": {**config["layer"]["config"], "rate": 0.7}}
    give_settings(live, before, replace(before, config=config))
    assert live.layer is inner
    assert inner.rate == 0.7


def without_name(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "name"}
