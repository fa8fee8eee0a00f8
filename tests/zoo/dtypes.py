"""Data types and dtype policies."""

from __future__ import annotations

import keras
from keras import layers

from tests.zoo.registry import model


def _under(policy: str, name: str) -> keras.Model:
    x = keras.Input((6, 6, 2), name="image")
    y = layers.Conv2D(3, 3, dtype=policy, name="conv")(x)
    y = layers.BatchNormalization(dtype=policy, name="norm")(y)
    y = layers.ReLU(dtype=policy, name="relu")(y)
    y = layers.GlobalAveragePooling2D(dtype=policy, name="average")(y)
    return keras.Model(x, layers.Dense(2, dtype="float32", name="head")(y), name=name)


@model("policies")
def mixed_float16() -> keras.Model:
    return _under("mixed_float16", "mixed_float16")


@model("policies")
def mixed_bfloat16() -> keras.Model:
    return _under("mixed_bfloat16", "mixed_bfloat16")


@model("policies")
def bfloat16() -> keras.Model:
    """Weights and output are bfloat16, which HDF5 keeps as raw bytes."""
    x = keras.Input((4,), dtype="bfloat16", name="x")
    y = layers.Dense(3, activation="tanh", dtype="bfloat16", name="dense")(x)
    return keras.Model(x, layers.BatchNormalization(dtype="bfloat16", name="norm")(y))


@model("policies")
def float16() -> keras.Model:
    x = keras.Input((4,), dtype="float16", name="x")
    return keras.Model(x, layers.Dense(3, dtype="float16", name="dense")(x))


@model("policies", "structured")
def float64_inside_float32() -> keras.Model:
    x = keras.Input((4,), name="x")
    y = layers.Dense(4, dtype="float64", name="precise")(layers.Dense(4, name="first")(x))
    return keras.Model(x, [layers.Dense(2, name="head")(y), y])


@model("policies", "nested")
def policies_inside_nested() -> keras.Model:
    x = keras.Input((6, 6, 2), name="x")
    return keras.Model(x, layers.Dense(2, dtype="float64", name="head")(_under("mixed_bfloat16", "inner")(x)))


@model("policies")
def policy_of_attention() -> keras.Model:
    """The policy of the outer layer reaches its inner ones."""
    x = keras.Input((5, 4), name="x")
    return keras.Model(x, layers.MultiHeadAttention(2, 2, dtype="mixed_bfloat16", name="attention")(x, x))


@model("policies", "shared", "structured")
def integer_inputs() -> keras.Model:
    ids = {dtype: keras.Input((3,), dtype=dtype, name=dtype) for dtype in ("int32", "int64", "uint8")}
    table = layers.Embedding(7, 4, name="table")
    return keras.Model(ids, layers.Concatenate(axis=1, name="joined")([table(x) for x in ids.values()]))


@model("policies", "structured")
def autocast_off() -> keras.Model:
    x = keras.Input((4,), dtype="float64", name="x")
    y = layers.Identity(autocast=False, name="keep")(x)
    return keras.Model(x, [layers.Dense(2, name="dense")(y), y])


@model("policies", "quantized")
def quantized_int8() -> keras.Model:
    x = keras.Input((4,), name="x")
    y = layers.Dense(4, activation="relu", name="first")(x)
    built = keras.Model(x, layers.Dense(3, name="head")(y))
    for name in ("first", "head"):
        built.get_layer(name).quantize("int8")
    return built


@model("policies", "quantized")
def quantized_embedding() -> keras.Model:
    x = keras.Input((3,), dtype="int32", name="x")
    table = layers.Embedding(7, 4, name="table")
    built = keras.Model(x, layers.Dense(3, name="head")(table(x)))
    table.quantize("int8")
    return built
