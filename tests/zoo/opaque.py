"""Subclassed models: some list no layers in their configuration, some do all the same."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from tests.zoo.custom import Scale
from tests.zoo.registry import model

registered = keras.saving.register_keras_serializable("zoo")


@registered
class Classifier(keras.Model):
    """A chain that lives in `call` alone."""

    def __init__(self, units: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.stem = layers.Dense(4, activation="relu", name="stem")
        self.norm = layers.BatchNormalization(name="norm")
        self.head = layers.Dense(units, name="head")

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.head(self.norm(self.stem(x), training=training))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@registered
class Ensemble(keras.Model):
    """Holds its members in a list and weights of its own."""

    def __init__(self, members: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.members = [
            keras.Sequential([layers.Dense(3, name="a"), layers.Dense(2, name="b")], name=f"member_{number}")
            for number in range(members)
        ]
        self.scale = Scale(0.5, name="scale")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        for member in self.members:
            member.build(input_shape)
        self.vote = self.add_weight(shape=(len(self.members),), initializer="ones", name="vote")
        self.scale.build((None, 2))

    def call(self, x: Any) -> Any:
        return self.scale(sum(self.vote[number] * member(x) for number, member in enumerate(self.members)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "members": len(self.members)}


@registered
class Backbone(keras.Model):
    """Functional when live, but its configuration holds the constructor's arguments only."""

    def __init__(self, width: int = 4, **kwargs: Any) -> None:
        x = keras.Input((4,), name="features")
        y = layers.Dense(width, activation="gelu", name="dense")(x)
        super().__init__(inputs=x, outputs=layers.LayerNormalization(name="norm")(y), **kwargs)
        self.width = width

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "width": self.width}


@registered
class Regressor(keras.Model):
    """Adds a method to a functional model and keeps its constructor, so that the layers are listed."""

    def half(self, x: Any) -> Any:
        return self(x) / 2


@model("opaque", "custom")
def subclassed() -> keras.Model:
    built = Classifier(3, name="classifier")
    built(keras.ops.zeros((1, 4)))
    return built


@model("opaque", "custom", "nested")
def subclassed_ensemble() -> keras.Model:
    built = Ensemble(2, name="ensemble")
    built.build((None, 4))
    return built


@model("opaque", "custom")
def subclass_with_own_constructor() -> keras.Model:
    return Backbone(5, name="backbone")


@model("custom")
def subclass_with_functional_constructor() -> keras.Model:
    x = keras.Input((4,), name="x")
    return Regressor(x, layers.Dense(1, name="head")(layers.Dense(3, name="first")(x)), name="regressor")


@model("custom", "nested")
def subclassed_inside_functional() -> keras.Model:
    """The graph is listed; one of its layers is opaque."""
    x = keras.Input((4,), name="x")
    return keras.Model(x, layers.Dense(2, name="head")(Classifier(3, name="classifier")(x)))


@model("custom", "nested")
def backbone_inside_functional() -> keras.Model:
    x = keras.Input((4,), name="x")
    return keras.Model(x, layers.Dense(2, name="head")(Backbone(4, name="backbone")(x)))


@model("custom", "nested", "shared")
def functional_subclass_called_twice() -> keras.Model:
    x = keras.Input((4,), name="inner_in")
    inner = Regressor(x, layers.Dense(4, name="dense")(x), name="inner")
    y = keras.Input((4,), name="y")
    return keras.Model(y, inner(inner(y)))


@model("custom", "nested")
def subclassed_in_sequential() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), Classifier(3, name="classifier"), layers.Dense(2, name="head")])
