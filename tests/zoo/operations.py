"""Bare `keras.ops` in the graph: they have no weights, no flags, and are not among `model.layers`."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from tests.zoo.registry import model


@model("operations")
def add_and_multiply() -> keras.Model:
    x = keras.Input((4,), name="x")
    y = layers.Dense(4, name="dense")(x)
    return keras.Model(x, ops.multiply(ops.add(x, y), y))


@model("operations")
def operators_with_floats() -> keras.Model:
    """A constant stands on the left, on the right, and alone with a unary minus."""
    x = keras.Input((4,), name="x")
    y = 2.0 * x - 1.0
    y = 1.0 - layers.Dense(4, name="dense")(y) / 3
    return keras.Model(x, -(y**2))


@model("operations")
def operators_with_arrays() -> keras.Model:
    x = keras.Input((3,), name="x")
    y = x + np.array([0.5, -1.0, 2.0], "float32")
    y = ops.subtract(np.ones((3,), "float32"), layers.Dense(3, name="dense")(y))
    return keras.Model(x, y)


@model("operations")
def constant_matrix() -> keras.Model:
    x = keras.Input((3,), name="x")
    matrix = np.arange(6, dtype="float32").reshape(3, 2)
    return keras.Model(x, ops.matmul(layers.Dense(3, name="dense")(x), matrix))


@model("operations")
def activations_as_operations() -> keras.Model:
    x = keras.Input((4,), name="x")
    y = ops.relu(layers.Dense(4, name="first")(x))
    y = ops.gelu(layers.Dense(4, name="second")(y), approximate=False)
    y = ops.leaky_relu(layers.Dense(4, name="third")(y), negative_slope=0.3)
    return keras.Model(x, ops.softmax(y, axis=-1))


@model("operations")
def functions_as_activations() -> keras.Model:
    """`keras.activations` called on a tensor leave operations behind."""
    x = keras.Input((4,), name="x")
    y = keras.activations.silu(layers.Dense(4, name="first")(x))
    return keras.Model(x, keras.activations.hard_sigmoid(y))


@model("operations")
def reshape_and_transpose() -> keras.Model:
    x = keras.Input((6, 4), name="x")
    y = ops.reshape(layers.Dense(4, name="dense")(x), (-1, 2, 3, 4))
    y = ops.transpose(y, (0, 2, 1, 3))
    return keras.Model(x, ops.squeeze(ops.expand_dims(y, 1), 1))


@model("operations")
def concatenate_keywords() -> keras.Model:
    x = keras.Input((4,), name="x")
    return keras.Model(x, ops.concatenate(xs=[x, layers.Dense(2, name="dense")(x)], axis=-1))


@model("operations", "structured")
def slices() -> keras.Model:
    x = keras.Input((6, 4), name="x")
    y = x[:, 1:-1:2, ..., :3]
    return keras.Model(x, [layers.Dense(2, name="dense")(y), x[:, 0], x[..., -1, None]])


@model("operations")
def where_and_compare() -> keras.Model:
    x = keras.Input((4,), name="x")
    y = layers.Dense(4, name="dense")(x)
    return keras.Model(x, ops.where(ops.logical_and(y > 0.0, x < 1.0), y, 0.1 * x))


@model("operations")
def einsum() -> keras.Model:
    x = keras.Input((5, 4), name="x")
    q, k = layers.Dense(3, name="query")(x), layers.Dense(3, name="key")(x)
    return keras.Model(x, ops.softmax(ops.einsum("btd,bsd->bts", q, k)))


@model("operations", "structured")
def reductions() -> keras.Model:
    x = keras.Input((5, 4), name="x")
    centred = x - ops.mean(x, axis=-1, keepdims=True)
    scaled = centred / ops.sqrt(ops.var(x, axis=-1, keepdims=True) + 1e-3)
    return keras.Model(x, [layers.Dense(2, name="dense")(scaled), ops.max(x, axis=(1, 2)), ops.sum(x, axis=1)])


@model("operations")
def stack_and_unstack() -> keras.Model:
    x = keras.Input((3, 4), name="x")
    first, second, third = ops.unstack(x, axis=1)
    return keras.Model(x, ops.stack([third, layers.Dense(4, name="dense")(first), second], axis=1))


@model("operations")
def split_with_unused_part() -> keras.Model:
    x = keras.Input((6,), name="x")
    left, _, right = ops.split(x, 3, axis=-1)
    return keras.Model(x, layers.Dense(2, name="dense")(right) + left)


@model("operations", "structured")
def cast_and_one_hot() -> keras.Model:
    x = keras.Input((), dtype="int32", name="x")
    y = ops.one_hot(x, 6)
    return keras.Model(x, [layers.Dense(2, name="dense")(y), ops.cast(ops.argmax(y, axis=-1), "float32")])


@model("operations")
def squeeze_and_excite() -> keras.Model:
    x = keras.Input((4, 4, 3), name="image")
    y = layers.Conv2D(4, 3, padding="same", name="conv")(x)
    squeezed = ops.mean(y, axis=(1, 2), keepdims=True)
    gate = layers.Conv2D(4, 1, activation="sigmoid", name="excite")(squeezed)
    return keras.Model(x, y * gate)


@model("operations")
def normalised_by_operation() -> keras.Model:
    x = keras.Input((4,), name="x")
    return keras.Model(x, ops.normalize(ops.clip(layers.Dense(4, name="dense")(x), -1.0, 1.0), axis=-1))


@model("operations", "nested", "shared")
def operations_in_nested() -> keras.Model:
    """The outermost tensor of the nested model comes from an operation."""
    x = keras.Input((4,), name="inner_in")
    inner = keras.Model(x, ops.tanh(layers.Dense(4, name="dense")(x)) + x, name="inner")
    y = keras.Input((4,), name="y")
    return keras.Model(y, inner(inner(y)) * 0.5)


@model("operations")
def only_operations() -> keras.Model:
    x = keras.Input((4,), name="x")
    return keras.Model(x, ops.sin(x) + ops.exp(-x))
