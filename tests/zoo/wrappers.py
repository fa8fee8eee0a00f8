"""Layers that hold another layer."""

from __future__ import annotations

import keras
from keras import layers

from tests.zoo.nesting import block
from tests.zoo.registry import model


@model()
def time_distributed_dense() -> keras.Model:
    x = keras.Input((5, 4), name="x")
    return keras.Model(x, layers.TimeDistributed(layers.Dense(3, name="step"), name="each")(x))


@model("nested")
def time_distributed_model() -> keras.Model:
    x = keras.Input((5, 4), name="x")
    return keras.Model(x, layers.TimeDistributed(block("inner"), name="each")(x))


@model("shared", "structured")
def one_layer_in_two_wrappers() -> keras.Model:
    x, y = keras.Input((5, 4), name="x"), keras.Input((3, 4), name="y")
    shared = layers.Dense(3, name="step")
    left = layers.TimeDistributed(shared, name="left")(x)
    right = layers.TimeDistributed(shared, name="right")(y)
    return keras.Model([x, y], layers.Concatenate(axis=1, name="joined")([left, right]))


@model("shared")
def one_layer_wrapped_and_bare() -> keras.Model:
    x = keras.Input((5, 4), name="x")
    shared = layers.Dense(4, name="step")
    y = shared(x)
    return keras.Model(x, layers.TimeDistributed(shared, name="each")(y))


@model("shared")
def wrapper_called_twice() -> keras.Model:
    x = keras.Input((5, 4), name="x")
    each = layers.TimeDistributed(layers.Dense(4, name="step"), name="each")
    return keras.Model(x, each(each(x)))


@model()
def wrapper_in_wrapper() -> keras.Model:
    x = keras.Input((2, 5, 4), name="x")
    inner = layers.Bidirectional(layers.LSTM(3, name="lstm"), name="both")
    return keras.Model(x, layers.TimeDistributed(inner, name="each")(x))


@model()
def bidirectional() -> keras.Model:
    x = keras.Input((5, 3), name="x")
    y = layers.Bidirectional(layers.LSTM(3, return_sequences=True, name="lstm"), name="both")(x)
    return keras.Model(x, layers.Bidirectional(layers.GRU(2, name="gru"), merge_mode="sum", name="summed")(y))


@model()
def bidirectional_unlike() -> keras.Model:
    """Another layer runs backwards than forwards."""
    x = keras.Input((5, 3), name="x")
    back = layers.LSTM(3, activation="relu", go_backwards=True, name="back")
    return keras.Model(x, layers.Bidirectional(layers.LSTM(3, name="forth"), backward_layer=back, name="both")(x))


@model("structured")
def bidirectional_states() -> keras.Model:
    x = keras.Input((5, 3), name="x")
    y, *states = layers.Bidirectional(layers.LSTM(3, return_state=True, name="lstm"), name="both")(x)
    return keras.Model(x, [y, layers.Concatenate(name="states")(states)])


@model()
def spectral_normalisation() -> keras.Model:
    x = keras.Input((6, 6, 2), name="image")
    return keras.Model(x, layers.SpectralNormalization(layers.Conv2D(3, 3, name="conv"), name="spectral")(x))
