"""Ways in which calls of layers can be joined within one graph."""

from __future__ import annotations

import keras
from keras import layers, ops

from tests.zoo.registry import model


@model()
def chain() -> keras.Model:
    x = keras.Input((4,), name="features")
    y = layers.Dense(8, activation="relu", name="first")(x)
    y = layers.Dense(6, activation="tanh", name="second")(y)
    return keras.Model(x, layers.Dense(3, activation="softmax", name="head")(y), name="chain")


@model()
def sequential() -> keras.Model:
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(8, activation="relu", name="first"), layers.Dense(3, name="head")],
        name="sequential",
    )


@model()
def sequential_without_input() -> keras.Model:
    """Built by a shape instead: the file lists no InputLayer."""
    built = keras.Sequential([layers.Dense(8, name="first"), layers.ReLU(name="act"), layers.Dense(3, name="head")])
    built.build((None, 4))
    return built


@model()
def image_classifier() -> keras.Model:
    x = keras.Input((8, 8, 3), name="image")
    y = layers.Conv2D(4, 3, name="conv")(x)
    y = layers.BatchNormalization(name="bn")(y)
    y = layers.ReLU(name="relu")(y)
    y = layers.MaxPooling2D(name="pool")(y)
    y = layers.Flatten(name="flat")(y)
    y = layers.Dropout(0.3, name="drop")(y)
    return keras.Model(x, layers.Dense(3, activation="softmax", name="predictions")(y))


@model()
def residual() -> keras.Model:
    x = keras.Input((6, 6, 4), name="image")
    y = layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv_1")(x)
    y = layers.BatchNormalization(name="bn_1")(y)
    y = layers.Activation("relu", name="relu_1")(y)
    y = layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv_2")(y)
    y = layers.BatchNormalization(name="bn_2")(y)
    y = layers.Add(name="add")([x, y])
    y = layers.Activation("relu", name="relu_2")(y)
    return keras.Model(x, layers.GlobalAveragePooling2D(name="gap")(y))


@model()
def dense_concat() -> keras.Model:
    x = keras.Input((4,), name="features")
    grown = x
    for number in range(3):
        y = layers.Dense(3, activation="relu", name=f"grow_{number}")(grown)
        grown = layers.Concatenate(name=f"concat_{number}")([grown, y])
    return keras.Model(x, layers.Dense(2, name="head")(grown))


@model()
def parallel_branches() -> keras.Model:
    x = keras.Input((6, 6, 2), name="image")
    branches = [layers.Conv2D(2, size, padding="same", name=f"conv_{size}")(x) for size in (1, 3, 5)]
    branches.append(layers.AveragePooling2D(3, strides=1, padding="same", name="pool")(x))
    return keras.Model(x, layers.Concatenate(name="mixed")(branches))


@model("structured")
def merge_layers() -> keras.Model:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    merged = [
        layers.Subtract(name="subtract")([a, b]),
        layers.Multiply(name="multiply")([a, b]),
        layers.Average(name="average")([a, b]),
        layers.Maximum(name="maximum")([a, b]),
        layers.Minimum(name="minimum")([a, b]),
    ]
    cosine = layers.Dot(axes=1, normalize=True, name="cosine")([a, b])
    return keras.Model([a, b], [layers.Add(name="sum")(merged), cosine])


@model()
def unet() -> keras.Model:
    x = keras.Input((8, 8, 1), name="image")
    high = layers.Conv2D(3, 3, padding="same", activation="relu", name="down_1")(x)
    low = layers.Conv2D(4, 3, padding="same", activation="relu", name="down_2")(layers.MaxPooling2D(name="pool")(high))
    up = layers.Conv2DTranspose(3, 2, strides=2, name="up")(low)
    joined = layers.Concatenate(name="skip")([up, high])
    return keras.Model(x, layers.Conv2D(1, 1, activation="sigmoid", name="mask")(joined))


@model("shared", "structured")
def shared_twice() -> keras.Model:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    tower = layers.Dense(3, activation="tanh", name="tower")
    return keras.Model([a, b], layers.Subtract(name="difference")([tower(a), tower(b)]))


@model("shared")
def shared_at_depths() -> keras.Model:
    """a(b(a(b(x)))): neither layer is before the other."""
    x = keras.Input((4,), name="x")
    a, b = layers.Dense(4, activation="tanh", name="a"), layers.Dense(4, name="b")
    return keras.Model(x, a(b(a(b(x)))))


@model("shared", "structured")
def shared_normalisation() -> keras.Model:
    x = keras.Input((4,), name="x")
    norm = layers.BatchNormalization(name="norm")
    y = layers.Dense(4, name="between")(norm(x))
    return keras.Model(x, [norm(y), y])


@model("shared", "structured")
def shared_and_returned_at_each_call() -> keras.Model:
    x = keras.Input((4,), name="x")
    step = layers.Dense(4, activation="tanh", name="step")
    first = step(x)
    second = step(first)
    return keras.Model(x, [second, first, step(second)])


@model("shared", "structured")
def part_of_a_larger_graph() -> keras.Model:
    """The shared layer was called once more, before and outside: Keras' own call numbers do not begin at 0."""
    elsewhere, x = keras.Input((4,), name="elsewhere"), keras.Input((4,), name="x")
    tower = layers.Dense(4, activation="relu", name="tower")
    tower(elsewhere)
    middle = tower(x)
    head = layers.Dense(2, name="head")(tower(middle))
    keras.Model(x, layers.Dense(5, name="other_head")(head))
    return keras.Model(x, [middle, head])


@model()
def head_replaced_by_hand() -> keras.Model:
    """The usual transfer learning: a new head on an inner tensor of another model."""
    base = chain()
    y = layers.Dense(2, name="new_head")(base.get_layer("second").output)
    return keras.Model(base.input, y)


@model("operations", "shared")
def shared_activation_layer() -> keras.Model:
    x = keras.Input((4,), name="x")
    act = layers.LeakyReLU(negative_slope=0.2, name="act")
    y = act(layers.Dense(4, name="first")(x))
    return keras.Model(x, ops.add(act(layers.Dense(4, name="second")(y)), y))


@model()
def very_long_chain() -> keras.Model:
    x = y = keras.Input((2,), name="x")
    for number in range(100):
        y = layers.Dense(2, name=f"dense_{number}")(y)
        y = layers.Activation("tanh", name=f"act_{number}")(y)
    return keras.Model(x, y)


@model()
def no_layers() -> keras.Model:
    x = keras.Input((4,), name="x")
    return keras.Model(x, x)
