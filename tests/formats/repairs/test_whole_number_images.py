from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from modelrecipe.formats import read_checkpoint
from tests.old_keras import assert_same_numbers, convert, tf_keras, write

if TYPE_CHECKING:
    from pathlib import Path

old = tf_keras.layers


def mended(file: Path) -> tuple[str, ...]:
    origin = read_checkpoint(file).origin
    found = [item for item in origin.repairs if item.repair == "whole-number-images"] if origin else []
    return found[0].layers if found else ()


@pytest.mark.parametrize("is_nested", [False, True])
def test_resized_bytes_keep_their_fractions(is_nested: bool, tmp_path: Path) -> None:
    steps = [tf_keras.Input((8, 8, 3), dtype="uint8"), old.Resizing(5, 5, name="x"), old.Rescaling(1 / 255)]
    model = tf_keras.Sequential(steps, name="inner")
    if is_nested:
        source = tf_keras.Input((8, 8, 3), dtype="uint8")
        model = tf_keras.Model(source, model(source))
    file = write(model, tmp_path / "old.h5")
    assert mended(file) == (("inner/x",) if is_nested else ("x",))
    values = np.random.default_rng(0).integers(0, 255, (2, 8, 8, 3)).astype("uint8")
    assert_same_numbers(model, convert(file), values)


def test_resized_fractions_are_left_alone(tmp_path: Path) -> None:
    model = tf_keras.Sequential([tf_keras.Input((8, 8, 3)), old.Resizing(5, 5)])
    assert mended(write(model, tmp_path / "old.h5")) == ()
