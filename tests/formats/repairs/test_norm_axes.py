from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from modelrecipe.formats import read_checkpoint
from tests.old_keras import assert_same_numbers, convert, perturb, tf_keras, write

if TYPE_CHECKING:
    from pathlib import Path

old = tf_keras.layers


def mended(file: Path) -> tuple[str, ...]:
    origin = read_checkpoint(file).origin
    found = [item for item in origin.repairs if item.repair == "norm-axes"] if origin else []
    return found[0].layers if found else ()


@pytest.mark.parametrize("is_nested", [False, True])
def test_weights_of_unsorted_axes_are_reshaped(is_nested: bool, tmp_path: Path) -> None:
    model = tf_keras.Sequential(
        [tf_keras.Input((5, 3, 4)), old.LayerNormalization(axis=[3, 1], name="x"), old.Dense(2)], name="inner"
    )
    if is_nested:
        model = tf_keras.Sequential([tf_keras.Input((5, 3, 4)), model])
    file = write(perturb(model), tmp_path / "old.h5")
    assert mended(file) == (("inner/x",) if is_nested else ("x",))
    assert_same_numbers(model, convert(file), np.random.default_rng(0).normal(size=(2, 5, 3, 4)).astype("float32"))


def test_sorted_axes_are_left_alone(tmp_path: Path) -> None:
    model = tf_keras.Sequential([tf_keras.Input((5, 3, 4)), old.LayerNormalization(axis=[1, 3])])
    assert mended(write(model, tmp_path / "old.h5")) == ()
