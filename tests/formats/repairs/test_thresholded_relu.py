from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from modelrecipe.formats import read_checkpoint
from modelrecipe.formats.repair import Writer
from modelrecipe.formats.repairs.thresholded_relu import REPAIR
from tests.old_keras import assert_same_numbers, convert, tf_keras, write

if TYPE_CHECKING:
    from pathlib import Path

old = tf_keras.layers


def test_it_becomes_a_relu_with_the_threshold_at_any_depth(tmp_path: Path) -> None:
    inner = tf_keras.Sequential([tf_keras.Input((3, 4)), old.ThresholdedReLU(0.75, name="inside")], name="inner")
    model = tf_keras.Sequential(
        [tf_keras.Input((3, 4)), inner, old.TimeDistributed(old.ThresholdedReLU(1.5, name="x"), name="each")]
    )
    file = write(model, tmp_path / "old.h5")
    origin = read_checkpoint(file).origin
    assert origin is not None
    mended = next(item for item in origin.repairs if item.repair == REPAIR.name)
    assert mended.layers == ("inner/inside", "each/x")
    values = np.linspace(-3, 3, 24, dtype="float32").reshape(2, 3, 4)
    values[0, 0] = [0.75, 1.5, 0, -0.75]
    assert_same_numbers(model, convert(file), values, tolerance=0)


def test_a_threshold_that_was_written_as_an_array_is_read() -> None:
    theta = {"class_name": "__numpy__", "config": {"value": 0.5, "dtype": "float32"}}
    data = {"class_name": "ThresholdedReLU", "config": {"name": "x", "theta": theta}}
    assert REPAIR.layer is not None
    mended = REPAIR.layer(data, Writer())
    assert mended["class_name"] == "ReLU"
    assert mended["config"]["threshold"] == 0.5


def test_other_activations_are_left_alone(tmp_path: Path) -> None:
    model = tf_keras.Sequential([tf_keras.Input((4,)), old.ReLU(threshold=0.5)])
    origin = read_checkpoint(write(model, tmp_path / "old.h5")).origin
    assert origin is not None
    assert REPAIR.name not in [item.repair for item in origin.repairs]
