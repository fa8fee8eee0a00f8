"""What goes into a model and what comes out: names, structures, and unusual kinds of input."""

from __future__ import annotations

import keras
from keras import layers

from tests.zoo.registry import model


@model("structured")
def dict_in_dict_out() -> keras.Model:
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    joined = layers.Concatenate(name="join")([a, b])
    outs = {"score": layers.Dense(1, name="score_head")(joined), "kind": layers.Dense(3, name="kind_head")(joined)}
    return keras.Model({"a": a, "b": b}, outs)


@model("structured")
def dict_keys_out_of_order() -> keras.Model:
    """Keys are not in alphabetical order, and those of the outputs differ from the names of their layers."""
    a, b = keras.Input((4,), name="z_first"), keras.Input((4,), name="m_second")
    difference = layers.Subtract(name="difference")([a, b])
    return keras.Model({"z_first": a, "m_second": b}, {"y": layers.Dense(2, name="q")(difference), "c": difference})


@model("structured")
def list_in_list_out() -> keras.Model:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    return keras.Model([b, a], [layers.Add(name="add")([a, b]), layers.Dense(2, name="head")(b)])


@model("structured")
def dict_of_lists() -> keras.Model:
    images = [keras.Input((4,), name=f"image_{number}") for number in range(2)]
    flag = keras.Input((1,), name="flag")
    summed = layers.Add(name="sum")(images)
    outs = {"all": [layers.Dense(2, name=f"head_{number}")(x) for number, x in enumerate(images)], "sum": summed}
    return keras.Model({"images": images, "flag": flag}, outs | {"gated": layers.Multiply(name="gate")([summed, flag])})


@model("structured")
def single_element_lists() -> keras.Model:
    x = keras.Input((4,), name="x")
    return keras.Model([x], [layers.Dense(2, name="head")(x)])


@model("structured")
def single_key_dicts() -> keras.Model:
    x = keras.Input((4,), name="x")
    return keras.Model({"x": x}, {"y": layers.Dense(2, name="head")(x)})


@model("structured")
def same_tensor_returned_twice() -> keras.Model:
    x = keras.Input((4,), name="x")
    y = layers.Dense(2, name="head")(x)
    return keras.Model(x, [y, y])


@model("structured")
def same_tensor_under_two_keys() -> keras.Model:
    x = keras.Input((4,), name="x")
    y = layers.Dense(2, name="head")(x)
    return keras.Model(x, {"student": y, "teacher": y})


@model("structured")
def input_is_also_output() -> keras.Model:
    x = keras.Input((4,), name="x")
    return keras.Model(x, [layers.Dense(2, name="head")(x), x])


@model("structured")
def inner_tensor_is_also_output() -> keras.Model:
    x = keras.Input((4,), name="x")
    features = layers.Dense(3, activation="relu", name="features")(x)
    return keras.Model(x, {"features": features, "score": layers.Dense(1, name="score")(features)})


@model("structured")
def unused_input() -> keras.Model:
    x, y = keras.Input((4,), name="x"), keras.Input((3,), name="unused")
    return keras.Model([x, y], layers.Dense(2, name="head")(x))


@model("structured")
def optional_input() -> keras.Model:
    """The attention mask may be None, which is how the zoo calls it."""
    x = keras.Input((5, 4), name="x")
    mask = keras.Input((5, 5), dtype="bool", name="mask", optional=True)
    y = layers.MultiHeadAttention(2, 3, name="attention")(x, x, attention_mask=mask)
    return keras.Model({"x": x, "mask": mask}, y)


@model()
def sparse_input() -> keras.Model:
    x = keras.Input((6,), sparse=True, name="x")
    return keras.Model(x, layers.Dense(3, name="head")(x))


@model()
def fixed_batch() -> keras.Model:
    x = keras.Input(batch_shape=(2, 4), name="x")
    return keras.Model(x, layers.Dense(3, name="head")(x))


@model()
def unknown_sizes() -> keras.Model:
    x = keras.Input((None, None, 2), name="image")
    y = layers.Conv2D(3, 3, padding="same", name="conv")(x)
    return keras.Model(x, layers.GlobalMaxPooling2D(name="gmp")(y))


@model()
def scalar_per_example() -> keras.Model:
    x = keras.Input((), dtype="int32", name="x")
    return keras.Model(x, layers.Embedding(7, 3, name="table")(x))
