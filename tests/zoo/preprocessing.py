"""Preprocessing layers, some of which learn from data or hold a vocabulary."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from tests.zoo.registry import model


@model()
def adapted_normalization() -> keras.Model:
    norm = layers.Normalization(name="norm")
    norm.adapt(np.random.default_rng(3).normal(2.0, 3.0, (16, 4)).astype("float32"))
    x = keras.Input((4,), name="x")
    return keras.Model(x, layers.Dense(2, name="head")(norm(x)))


@model()
def fixed_normalization() -> keras.Model:
    x = keras.Input((2,), name="x")
    norm = layers.Normalization(mean=[1.0, 2.0], variance=[0.5, 4.0], name="norm")
    return keras.Model(x, layers.Dense(2, name="head")(norm(x)))


@model()
def rescaled_images() -> keras.Model:
    x = keras.Input((6, 6, 3), dtype="uint8", name="image")
    y = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(x)
    y = layers.Resizing(5, 5, name="resize")(y)
    return keras.Model(x, layers.Conv2D(2, 3, name="conv")(layers.CenterCrop(4, 4, name="crop")(y)))


@model("random")
def augmented_images() -> keras.Model:
    x = keras.Input((6, 6, 3), name="image")
    y = layers.RandomFlip("horizontal", seed=1, name="flip")(x)
    y = layers.RandomTranslation(0.2, 0.2, name="shift")(y)
    return keras.Model(x, layers.Conv2D(2, 3, name="conv")(y))


@model("assets", "strings")
def text_vectorization() -> keras.Model:
    split = layers.TextVectorization(output_sequence_length=4, name="split")
    split.adapt(np.array(["red green blue", "red fish", "blue fish fish"]))
    x = keras.Input((), dtype="string", name="text")
    y = layers.Embedding(split.vocabulary_size(), 3, name="table")(split(x))
    return keras.Model(x, layers.GlobalAveragePooling1D(name="average")(y))


@model("assets", "strings")
def string_lookup() -> keras.Model:
    x = keras.Input((2,), dtype="string", name="words")
    y = layers.StringLookup(vocabulary=["red", "green", "blue"], output_mode="multi_hot", name="lookup")(x)
    return keras.Model(x, layers.Dense(2, name="head")(y))


@model("assets")
def adapted_integer_lookup() -> keras.Model:
    lookup = layers.IntegerLookup(name="lookup")
    lookup.adapt(np.array([[1], [3], [3], [4]]))
    x = keras.Input((2,), dtype="int64", name="ids")
    return keras.Model(x, layers.Embedding(lookup.vocabulary_size(), 3, name="table")(lookup(x)))


@model("structured")
def tabular_features() -> keras.Model:
    count, amount = keras.Input((1,), dtype="int32", name="count"), keras.Input((1,), name="amount")
    hot = layers.CategoryEncoding(6, output_mode="one_hot", name="one_hot")(count)
    bucket = layers.Discretization(bin_boundaries=[-0.5, 0.0, 0.5], output_mode="one_hot", name="bucket")(amount)
    return keras.Model(
        {"count": count, "amount": amount}, layers.Dense(2, name="head")(layers.Concatenate()([hot, bucket]))
    )
