"""Small data sets, and models that take them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import layers

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

COUNT = 50
"""Examples; no multiple of the usual batch."""


def write_data(folder: Path, count: int = COUNT, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """`d.npz` with inputs of four numbers, labels 0 to 2, and weights; gives inputs and labels back."""
    rng = np.random.default_rng(seed)
    x = rng.normal(1.0, 2.0, (count, 4)).astype("float32")
    y = (x[:, :3] + rng.normal(0, 0.5, (count, 3))).argmax(axis=1)
    np.savez(folder / "d.npz", x=x, y=y, w=rng.uniform(0.5, 2.0, count).astype("float32"))
    return x, y


def classifier(name: str = "m") -> keras.Model:
    """Dense, BatchNormalization, Dropout and a softmax over three classes; seeded, with statistics of its own."""
    keras.utils.set_random_seed(1)
    x = keras.Input((4,), name="features")
    y = layers.Dense(6, activation="relu", name="hidden", kernel_regularizer=keras.regularizers.L2(0.01))(x)
    y = layers.BatchNormalization(name="norm")(y)
    y = layers.Dropout(0.5, name="drop")(y)
    model = keras.Model(x, layers.Dense(3, activation="softmax", name="head")(y), name=name)
    rng = np.random.default_rng(2)
    model.get_layer("norm").moving_mean.assign(rng.normal(0, 1, 6))
    model.get_layer("norm").moving_variance.assign(rng.uniform(0.5, 2, 6))
    return model


def by_keras(model: keras.Model, x: NDArray[np.float32], y: NDArray[np.int64], **options: object) -> dict[str, float]:
    """What Keras' own `evaluate` tells of a model."""
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model.evaluate(x, y, verbose=0, return_dict=True, **options)
