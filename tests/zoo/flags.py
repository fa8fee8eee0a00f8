"""Trainable flags, calls that fix `training`, and models that were compiled and trained."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from tests.zoo.nesting import block
from tests.zoo.registry import model


@model("frozen")
def frozen_leaf() -> keras.Model:
    x = keras.Input((4,), name="x")
    y = layers.Dense(4, trainable=False, name="frozen")(x)
    return keras.Model(x, layers.Dense(2, name="head")(y))


@model("frozen", "nested")
def frozen_nested() -> keras.Model:
    inner = block("backbone")
    inner.trainable = False
    x = keras.Input((4,), name="x")
    return keras.Model(x, layers.Dense(2, name="head")(inner(x)))


@model("frozen", "nested")
def half_frozen_nested() -> keras.Model:
    inner = block("backbone")
    inner.get_layer("norm").trainable = False
    x = keras.Input((4,), name="x")
    return keras.Model(x, layers.Dense(2, name="head")(inner(x)))


@model("frozen", "nested")
def frozen_sequential() -> keras.Model:
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="a"), layers.BatchNormalization(name="b")], name="inner"
    )
    inner.trainable = False
    x = keras.Input((4,), name="x")
    return keras.Model(x, layers.Dense(2, name="head")(inner(x)))


@model("frozen", "nested")
def frozen_container_of_trainable_leaves() -> keras.Model:
    """The nested model is frozen, its leaves were switched on again, and the container's flag still wins."""
    inner = block("backbone")
    inner.trainable = False
    for leaf in inner.layers:
        leaf.trainable = True
    x = keras.Input((4,), name="x")
    return keras.Model(x, layers.Dense(2, name="head")(inner(x)))


@model("frozen")
def wholly_frozen() -> keras.Model:
    x = keras.Input((4,), name="x")
    built = keras.Model(x, layers.Dense(2, name="head")(layers.Dense(4, name="first")(x)))
    built.trainable = False
    return built


@model("frozen")
def frozen_inside_wrapper() -> keras.Model:
    x = keras.Input((5, 4), name="x")
    each = layers.TimeDistributed(layers.Dense(3, trainable=False, name="step"), name="each")
    return keras.Model(x, layers.LSTM(2, name="lstm")(each(x)))


@model("random", "keywords")
def dropout_always_on() -> keras.Model:
    x = keras.Input((4,), name="x")
    y = layers.Dropout(0.5, seed=3, name="drop")(layers.Dense(8, name="dense")(x), training=True)
    return keras.Model(x, layers.Dense(2, name="head")(y))


@model("random")
def noise_layers() -> keras.Model:
    x = keras.Input((5, 4), name="x")
    y = layers.GaussianNoise(0.1, name="noise")(x)
    y = layers.GaussianDropout(0.1, name="gaussian_dropout")(layers.Dense(4, name="dense")(y))
    y = layers.AlphaDropout(0.1, name="alpha")(layers.SpatialDropout1D(0.2, name="spatial")(y))
    return keras.Model(x, y)


@model("compiled")
def compiled() -> keras.Model:
    x = keras.Input((4,), name="x")
    built = keras.Model(x, layers.Dense(3, activation="softmax", name="head")(x))
    built.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return built


@model("compiled", "frozen")
def compiled_and_trained() -> keras.Model:
    """Adam has moments, for all but the frozen layer."""
    x = keras.Input((4,), name="x")
    y = layers.BatchNormalization(name="norm")(layers.Dense(4, name="frozen", trainable=False)(x))
    built = keras.Model(x, layers.Dense(2, name="head")(y))
    built.compile(keras.optimizers.Adam(1e-2), "mse")
    rng = np.random.default_rng(3)
    built.fit(rng.normal(size=(8, 4)), rng.normal(size=(8, 2)), batch_size=4, shuffle=False, verbose=0)
    return built


@model("compiled", "structured")
def compiled_with_two_heads() -> keras.Model:
    x = keras.Input((4,), name="x")
    trunk = layers.Dense(4, activation="relu", name="trunk")(x)
    outs = {"age": layers.Dense(1, name="age")(trunk), "sex": layers.Dense(2, activation="softmax", name="sex")(trunk)}
    built = keras.Model(x, outs)
    built.compile(
        keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(1e-3, 10)),
        loss={"age": keras.losses.Huber(), "sex": "sparse_categorical_crossentropy"},
        loss_weights={"age": 0.3, "sex": 1.0},
        metrics={"sex": ["accuracy"]},
    )
    built.optimizer.build(built.trainable_variables)
    return built


@model()
def lora_enabled() -> keras.Model:
    x = keras.Input((4,), name="x")
    dense = layers.Dense(4, activation="relu", name="adapted")
    built = keras.Model(x, layers.Dense(2, name="head")(dense(x)))
    dense.enable_lora(2)
    return built
