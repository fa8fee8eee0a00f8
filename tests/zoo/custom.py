"""Layers and functions that are not Keras' own, registered under `zoo`."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from tests.zoo.registry import model

registered = keras.saving.register_keras_serializable("zoo")


@registered
class Scale(layers.Layer):
    """One factor per feature, and a counter that training does not touch."""

    def __init__(self, initial: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial = initial

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.factor = self.add_weight(
            shape=(input_shape[-1],), initializer=keras.initializers.Constant(self.initial), name="factor"
        )
        self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False, name="seen")

    def call(self, x: Any) -> Any:
        return x * self.factor

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initial": self.initial}


@registered
class Tower(layers.Layer):
    """Keeps its inner layers in a list and in a dict."""

    def __init__(self, width: int, depth: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width, self.depth = width, depth
        self.steps = [layers.Dense(width, activation="tanh", name=f"step_{n}") for n in range(depth)]
        self.ends = {"norm": layers.BatchNormalization(name="norm"), "head": layers.Dense(width, name="head")}

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        for step in (*self.steps, self.ends["norm"], self.ends["head"]):
            step.build(input_shape)
            input_shape = step.compute_output_shape(input_shape)

    def call(self, x: Any, training: bool | None = None) -> Any:
        for step in self.steps:
            x = step(x)
        return self.ends["head"](self.ends["norm"](x, training=training))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width, "depth": self.depth}


@registered
class Blend(layers.Layer):
    """Takes two tensors and a number, and gives back two tensors."""

    def call(self, a: Any, b: Any, *, share: float = 0.5) -> tuple[Any, Any]:
        return a * share + b * (1 - share), a - b


@registered
class Holder(layers.Layer):
    """Serialises the layer it was given."""

    def __init__(self, inner: layers.Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner = inner

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if not self.inner.built:
            self.inner.build(input_shape)

    def call(self, x: Any) -> Any:
        return self.inner(x)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> Any:
        return self.inner.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "inner": keras.saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Holder:
        return cls(inner=keras.saving.deserialize_keras_object(config.pop("inner")), **config)


@registered
class Penalty(layers.Layer):
    """Adds to the loss and passes its input on."""

    def call(self, x: Any) -> Any:
        self.add_loss(1e-3 * ops.mean(ops.square(x)))
        return x


@registered
class LeakyCell(layers.Layer):
    """A recurrent cell, for `RNN`."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")

    def call(self, x: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        state = 0.5 * states[0] + ops.matmul(x, self.kernel)
        return ops.tanh(state), [state]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@registered
def squared_relu(x: Any) -> Any:
    return ops.square(ops.relu(x))


@registered
def halve(x: Any) -> Any:
    return x / 2


class Unregistered(layers.Layer):
    """Has a constructor argument, but neither `get_config` nor a registration."""

    def __init__(self, layer: layers.Layer) -> None:
        super().__init__(name="unregistered")
        self.inner = layer

    def call(self, x: Any) -> Any:
        return self.inner(x)


@model("custom")
def custom_layer() -> keras.Model:
    x = keras.Input((4,), name="x")
    return keras.Model(x, layers.Dense(2, name="head")(Scale(2.0, name="scale")(x)))


@model("custom")
def custom_composite() -> keras.Model:
    x = keras.Input((4,), name="x")
    return keras.Model(x, layers.Dense(2, name="head")(Tower(3, name="tower")(x)))


@model("custom", "shared")
def custom_composite_shared() -> keras.Model:
    x = keras.Input((3,), name="x")
    tower = Tower(3, depth=1, name="tower")
    return keras.Model(x, tower(tower(x)))


@model("custom", "keywords", "structured")
def custom_many_arguments() -> keras.Model:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    mixed, difference = Blend(name="blend")(a, b=layers.Dense(4, name="dense")(b), share=0.25)
    return keras.Model({"a": a, "b": b}, [mixed, difference])


@model("custom")
def custom_holding_a_layer() -> keras.Model:
    x = keras.Input((4,), name="x")
    return keras.Model(x, Holder(layers.Dense(3, name="held"), name="holder")(x))


@model("custom")
def custom_loss_of_a_layer() -> keras.Model:
    x = keras.Input((4,), name="x")
    return keras.Model(x, layers.Dense(2, name="head")(Penalty(name="penalty")(x)))


@model("custom")
def custom_activation() -> keras.Model:
    x = keras.Input((4,), name="x")
    y = layers.Dense(4, activation=squared_relu, name="dense")(x)
    return keras.Model(x, layers.Activation(squared_relu, name="activation")(y))


@model("custom")
def lambda_of_registered_function() -> keras.Model:
    x = keras.Input((4,), name="x")
    return keras.Model(x, layers.Dense(2, name="head")(layers.Lambda(halve, name="halve")(x)))


@model("custom")
def lambda_of_python_lambda() -> keras.Model:
    x = keras.Input((4,), name="x")
    y = layers.Lambda(lambda t: t * 2.0, output_shape=(4,), name="double")(x)
    return keras.Model(x, layers.Dense(2, name="head")(y))


@model("custom")
def custom_cell() -> keras.Model:
    x = keras.Input((5, 3), name="x")
    return keras.Model(x, layers.RNN(LeakyCell(4, name="cell"), name="rnn")(x))


@model("custom")
def custom_in_wrapper() -> keras.Model:
    x = keras.Input((5, 4), name="x")
    return keras.Model(x, layers.TimeDistributed(Scale(0.5, name="scale"), name="each")(x))


@model("custom")
def custom_without_config() -> keras.Model:
    x = keras.Input((4,), name="x")
    return keras.Model(x, Unregistered(layers.Dense(3, name="held"))(x))
