"""Models inside models."""

from __future__ import annotations

import keras
from keras import layers

from tests.zoo.registry import model


def block(name: str, *, width: int = 4, sizes: int = 4) -> keras.Model:
    """A functional model of two layers, `dense` and `norm`."""
    x = keras.Input((sizes,), name="block_in")
    y = layers.Dense(width, activation="tanh", name="dense")(x)
    return keras.Model(x, layers.BatchNormalization(name="norm")(y), name=name)


@model("nested")
def nested_once() -> keras.Model:
    x = keras.Input((4,), name="x")
    return keras.Model(x, layers.Dense(2, name="head")(block("inner")(x)))


@model("nested")
def nested_is_the_output() -> keras.Model:
    x = keras.Input((4,), name="x")
    return keras.Model(x, block("inner")(layers.Dense(4, name="stem")(x)))


@model("nested", "lookalike")
def nested_twice_side_by_side() -> keras.Model:
    """Two nested models whose layers have the same names, which the outer model has too."""
    x = keras.Input((4,), name="x")
    left, right = block("left")(x), block("right")(x)
    return keras.Model(x, layers.Dense(2, name="dense")(layers.Concatenate(name="norm")([left, right])))


@model("nested")
def nested_two_deep() -> keras.Model:
    x = keras.Input((4,), name="middle_in")
    middle = keras.Model(x, layers.Dense(4, name="middle_dense")(block("innermost")(x)), name="middle")
    y = keras.Input((4,), name="y")
    return keras.Model(y, layers.Dense(2, name="head")(middle(y)))


@model("nested")
def nested_three_deep() -> keras.Model:
    inner = block("level_3")
    for level in (2, 1):
        x = keras.Input((4,), name=f"in_{level}")
        y = layers.Dense(4, name=f"dense_{level}")(inner(x))
        inner = keras.Model(x, y, name=f"level_{level}")
    top = keras.Input((4,), name="top")
    return keras.Model(top, layers.Dense(2, name="head")(inner(top)))


@model("nested", "shared", "structured")
def nested_called_three_times() -> keras.Model:
    x = keras.Input((4,), name="x")
    inner = block("inner")
    first = inner(x)
    return keras.Model(x, [inner(inner(first)), first])


@model("nested", "shared", "structured")
def siamese() -> keras.Model:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    tower = block("tower", width=3)
    return keras.Model([a, b], layers.Dot(axes=1, name="similarity")([tower(a), tower(b)]))


@model("nested", "shared")
def nested_shared_across_depths() -> keras.Model:
    """One model called from the outer graph and from a middle one."""
    inner = block("inner")
    x = keras.Input((4,), name="middle_in")
    middle = keras.Model(x, layers.Dense(4, name="middle_dense")(inner(x)), name="middle")
    y = keras.Input((4,), name="y")
    return keras.Model(y, inner(middle(y)))


@model("nested", "shared")
def layer_inside_and_outside() -> keras.Model:
    shared = layers.Dense(4, activation="tanh", name="shared")
    x = keras.Input((4,), name="inner_in")
    inner = keras.Model(x, layers.Dense(4, name="own")(shared(x)), name="inner")
    y = keras.Input((4,), name="y")
    return keras.Model(y, inner(shared(y)))


@model("nested", "shared")
def layer_in_two_nested_models() -> keras.Model:
    shared = layers.Dense(4, name="shared")
    x = keras.Input((4,), name="x")
    a = keras.Input((4,), name="a")
    left = keras.Model(a, layers.ReLU(name="relu")(shared(a)), name="left")
    right = keras.Sequential([keras.Input((4,)), shared, layers.Dense(4, name="own")], name="right")
    return keras.Model(x, layers.Add(name="add")([left(x), right(x)]))


@model("nested", "structured")
def nested_two_in_two_out() -> keras.Model:
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    joined = layers.Concatenate(name="join")([a, b])
    outs = {"sum": layers.Dense(2, name="to_sum")(joined), "gate": layers.Dense(4, name="to_gate")(joined)}
    inner = keras.Model({"a": a, "b": b}, outs, name="inner")
    x, y = keras.Input((4,), name="x"), keras.Input((3,), name="y")
    made = inner({"a": x, "b": y})
    return keras.Model([x, y], [layers.Multiply(name="gated")([made["gate"], x]), made["sum"]])


@model("nested")
def nested_output_unused() -> keras.Model:
    x = keras.Input((4,), name="inner_in")
    inner = keras.Model(x, [layers.Dense(3, name="used")(x), layers.Dense(2, name="unused")(x)], name="inner")
    y = keras.Input((4,), name="y")
    return keras.Model(y, layers.Dense(2, name="head")(inner(y)[0]))


@model("nested", "keywords")
def nested_in_inference() -> keras.Model:
    """The backbone is called with training=False, as transfer learning guides say."""
    x = keras.Input((4,), name="x")
    return keras.Model(x, layers.Dense(2, name="head")(block("backbone")(x, training=False)))


@model("nested")
def sequential_in_functional() -> keras.Model:
    x = keras.Input((4,), name="x")
    inner = keras.Sequential([layers.Dense(5, activation="relu", name="a"), layers.Dense(4, name="b")], name="inner")
    return keras.Model(x, layers.Add(name="add")([inner(x), x]))


@model("nested", "shared")
def sequential_called_twice() -> keras.Model:
    x = keras.Input((4,), name="x")
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="a"), layers.ReLU(name="b")], name="inner")
    return keras.Model(x, inner(inner(x)))


@model("nested")
def functional_in_sequential() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), block("backbone"), layers.Dense(2, name="head")])


@model("nested")
def sequential_in_sequential() -> keras.Model:
    inner = keras.Sequential([layers.Dense(5, name="a"), layers.BatchNormalization(name="b")], name="inner")
    return keras.Sequential([keras.Input((4,)), inner, layers.Dense(2, name="head")])


@model("nested")
def nested_without_layers() -> keras.Model:
    x, y = keras.Input((4,), name="inner_in"), keras.Input((4,), name="y")
    return keras.Model(y, layers.Dense(2, name="head")(keras.Model(x, x, name="nothing")(y)))
