from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest

from modelrecipe.formats import read_checkpoint
from tests.old_keras import assert_same_numbers, convert, tf_keras, write

if TYPE_CHECKING:
    from pathlib import Path

old = tf_keras.layers


def repairs(file: Path) -> list[str]:
    origin = read_checkpoint(file).origin
    return [item.repair for item in origin.repairs] if origin else []


@pytest.mark.parametrize(("height", "width"), [(5, 5), (4, 4), (15, 12), (5, 15)])
def test_inference_cuts_the_middle_as_before(height: int, width: int, tmp_path: Path) -> None:
    inner = tf_keras.Sequential([tf_keras.Input((9, 7, 3)), old.RandomCrop(height, width)])
    model = tf_keras.Sequential([tf_keras.Input((9, 7, 3)), inner])
    file = write(model, tmp_path / "old.h5")
    assert "random-crop" in repairs(file)
    assert_same_numbers(model, convert(file), np.random.default_rng(0).uniform(size=(2, 9, 7, 3)).astype("float32"))


def test_that_of_keras_3_is_left_alone(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((9, 7, 3)), keras.layers.RandomCrop(5, 5)])
    model.save(tmp_path / "new.keras")
    assert repairs(tmp_path / "new.keras") == []
