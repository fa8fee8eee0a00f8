"""Normalizations that were adapted before their model had an input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from modelrecipe.formats import read_checkpoint
from tests.old_keras import assert_same_numbers, convert, tf_keras, write

if TYPE_CHECKING:
    from pathlib import Path

layers = tf_keras.layers
VALUES = np.random.default_rng(0).normal(3, 2, (20, 4)).astype("float32")


def adapted(values: np.ndarray = VALUES) -> Any:
    layer = layers.Normalization(axis=-1)
    layer.adapt(values)
    return layer


def repairs(file: Path) -> dict[str, tuple[str, ...]]:
    origin = read_checkpoint(file).origin
    return {item.repair: item.layers for item in origin.repairs} if origin else {}


@pytest.mark.parametrize("name", ["old.h5", "old.keras", "old"])
def test_the_input_has_the_sizes_of_the_mean(name: str, tmp_path: Path) -> None:
    model = tf_keras.Sequential([adapted(), layers.Dense(3)])
    model(VALUES)
    file = write(model, tmp_path / name)
    assert "adapted-shapes" in repairs(file)
    assert_same_numbers(model, convert(file), VALUES)


def test_in_a_nested_model(tmp_path: Path) -> None:
    source = tf_keras.Input((4,))
    inner = tf_keras.Sequential([adapted(), layers.Dense(3)], name="inner")
    model = tf_keras.Model(source, layers.Dense(2)(inner(source)))
    file = write(model, tmp_path / "old.h5")
    assert [path.partition("/")[0] for path in repairs(file)["adapted-shapes"]] == ["inner"]
    assert_same_numbers(model, convert(file), VALUES)


def test_of_images_the_channels_alone_are_known(tmp_path: Path) -> None:
    images = np.random.default_rng(1).normal(3, 2, (5, 6, 6, 3)).astype("float32")
    model = tf_keras.Sequential([adapted(images), layers.Conv2D(2, 3), layers.GlobalMaxPooling2D()])
    model(images)
    converted = convert(write(model, tmp_path / "old.h5"))
    assert converted.input_shape == (None, None, None, 3)
    assert_same_numbers(model, converted, images)


def test_an_input_with_sizes_stays(tmp_path: Path) -> None:
    model = tf_keras.Sequential([tf_keras.Input((4,)), adapted(), layers.Dense(3)])
    assert "adapted-shapes" not in repairs(write(model, tmp_path / "old.h5"))
