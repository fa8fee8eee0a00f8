"""What stands in a layer's own configuration: objects, activations, names."""

from __future__ import annotations

import keras
from keras import constraints, initializers, layers, regularizers

from tests.zoo.registry import model


@model()
def regularizers_and_constraints() -> keras.Model:
    x = keras.Input((4,), name="x")
    y = layers.Dense(
        4,
        kernel_regularizer=regularizers.L1L2(1e-3, 1e-4),
        bias_regularizer="l2",
        activity_regularizer=regularizers.L1(1e-5),
        kernel_constraint=constraints.MaxNorm(2.0),
        name="dense",
    )(x)
    y = layers.Dense(3, kernel_regularizer=regularizers.OrthogonalRegularizer(0.01), name="orthogonal")(y)
    return keras.Model(x, layers.ActivityRegularization(l2=1e-4, name="activity")(y))


@model()
def initializers_as_objects() -> keras.Model:
    x = keras.Input((4,), name="x")
    y = layers.Dense(
        4,
        kernel_initializer=initializers.TruncatedNormal(stddev=0.2, seed=5),
        bias_initializer=initializers.Constant(0.3),
        name="dense",
    )(x)
    return keras.Model(x, layers.Dense(4, kernel_initializer=initializers.Orthogonal(0.5), name="orthogonal")(y))


@model()
def activations_of_every_kind() -> keras.Model:
    """By name, as a function, as a layer object inside a layer, and as layers of their own."""
    x = y = keras.Input((4,), name="x")
    y = layers.Dense(4, activation="swish", name="by_name")(y)
    y = layers.Dense(4, activation=keras.activations.mish, name="by_function")(y)
    y = layers.Dense(4, activation=layers.LeakyReLU(negative_slope=0.1), name="by_object")(y)
    y = layers.Activation("gelu", name="activation")(y)
    y = layers.Activation(layers.ELU(alpha=0.5), name="activation_of_object")(y)
    y = layers.LeakyReLU(negative_slope=0.25, name="leaky")(y)
    return keras.Model(x, layers.Softmax(axis=-1, name="softmax")(y))


@model()
def prelu() -> keras.Model:
    x = keras.Input((4, 4, 3), name="image")
    y = layers.PReLU(shared_axes=[1, 2], name="shared_axes")(x)
    return keras.Model(x, layers.PReLU(name="own")(layers.Conv2D(2, 3, name="conv")(y)))


@model()
def prelu_as_activation() -> keras.Model:
    """An activation that has weights of its own, inside the layer it belongs to."""
    x = keras.Input((4,), name="x")
    return keras.Model(x, layers.Dense(3, activation=layers.PReLU(name="inside"), name="dense")(x))


@model("lookalike")
def unicode_names() -> keras.Model:
    x = keras.Input((4,), name="entrée")
    y = layers.Dense(4, name="слой_1")(x)
    return keras.Model(x, layers.Dense(2, name="出力 🙂")(y), name="modèle")


@model("lookalike")
def names_with_punctuation() -> keras.Model:
    x = keras.Input((4,), name="in.put-0")
    y = layers.Dense(4, name="block.1-dense")(x)
    y = layers.Dense(4, name="block.10-dense")(y)
    y = layers.Dense(4, name="a b:c[0]*?")(y)
    return keras.Model(x, layers.Dense(2, name="1")(y))


@model("lookalike")
def names_like_other_classes() -> keras.Model:
    """Names that say the wrong thing, among them those under which files number their groups."""
    x = keras.Input((4,), name="dense")
    y = layers.Dense(4, name="conv2d")(x)
    y = layers.Activation("relu", name="dense_1")(y)
    y = layers.Dense(3, name="layers")(y)
    return keras.Model(x, layers.Dense(2, name="vars")(y))


@model("lookalike")
def names_in_descending_order() -> keras.Model:
    """Automatic numbers run against the graph."""
    x = y = keras.Input((4,), name="x")
    for number in (11, 2, 1):
        y = layers.Dense(4, name=f"dense_{number}")(y)
    return keras.Model(x, layers.Dense(2, name="dense")(y))
