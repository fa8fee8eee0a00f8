"""Normalisation layers and the statistics they keep."""

from __future__ import annotations

import keras
from keras import layers

from tests.zoo.registry import model


@model()
def batch_norm_variants() -> keras.Model:
    x = keras.Input((4, 3), name="x")
    y = layers.BatchNormalization(axis=1, name="other_axis")(x)
    y = layers.BatchNormalization(center=False, scale=False, name="only_statistics")(y)
    return keras.Model(x, layers.BatchNormalization(momentum=0.9, epsilon=0.1, name="own_numbers")(y))


@model("keywords")
def batch_norm_in_inference() -> keras.Model:
    x = keras.Input((4,), name="x")
    y = layers.BatchNormalization(name="norm")(layers.Dense(4, name="dense")(x), training=False)
    return keras.Model(x, layers.Dense(2, name="head")(y))


@model("frozen")
def batch_norm_frozen() -> keras.Model:
    x = keras.Input((4,), name="x")
    norm = layers.BatchNormalization(name="norm")
    norm.trainable = False
    return keras.Model(x, layers.Dense(2, name="head")(norm(x)))


@model("masked", "keywords", "structured")
def batch_norm_masked() -> keras.Model:
    x, mask = keras.Input((5, 3), name="x"), keras.Input((5,), dtype="bool", name="mask")
    return keras.Model([x, mask], layers.BatchNormalization(name="norm")(x, mask=mask))


@model()
def stateless_normalisations() -> keras.Model:
    x = keras.Input((5, 4), name="x")
    y = layers.LayerNormalization(axis=(1, 2), name="layer_norm")(x)
    y = layers.GroupNormalization(2, name="group_norm")(y)
    y = layers.RMSNormalization(name="rms_norm")(y)
    return keras.Model(x, layers.UnitNormalization(name="unit_norm")(y))


@model()
def linear_then_norm() -> keras.Model:
    """What folding looks for: convolution, normalisation, activation."""
    x = keras.Input((6, 6, 2), name="image")
    y = layers.Conv2D(3, 3, use_bias=False, name="conv")(x)
    y = layers.BatchNormalization(name="conv_norm")(y)
    y = layers.DepthwiseConv2D(3, name="depthwise")(layers.ReLU(name="relu")(y))
    y = layers.BatchNormalization(name="depthwise_norm")(y)
    y = layers.Dense(4, name="dense")(layers.Flatten(name="flat")(y))
    return keras.Model(x, layers.BatchNormalization(name="dense_norm")(y))
