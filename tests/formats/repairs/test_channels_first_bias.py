"""Channels-first convolutions whose maps are as wide as they are many, against channels last in tf_keras."""

from __future__ import annotations

import numpy as np
import pytest

from modelrecipe import formats
from tests.old_keras import TOLERANCE, convert, outputs, perturb, tf_keras, write

_layers = tf_keras.layers


def _built(nested: bool, width: int, data_format: str, *, activation: str = "relu"):
    shape = (3, 9, width) if data_format == "channels_first" else (9, width, 3)
    x = _layers.Input(shape)
    conv = _layers.Conv2D(4, 3, data_format=data_format, activation=activation, name="conv")
    y = tf_keras.Model(x, conv(x), name="inner")(x) if nested else conv(x)
    y = _layers.Conv2DTranspose(6, 3, data_format=data_format, name="back")(y)
    return tf_keras.Model(x, [y, _layers.DepthwiseConv2D(3, data_format=data_format, name="depth")(y)])


@pytest.mark.parametrize("nested", [False, True])
def test_the_bias_goes_to_the_channels(tmp_path, nested):
    last = perturb(_built(nested, 6, "channels_last"))
    first = _built(nested, 6, "channels_first")
    first.set_weights(last.get_weights())
    path = write(first, tmp_path / "a.h5")
    x = np.random.default_rng(0).uniform(-1, 1, (2, 9, 6, 3)).astype("float32")
    expected = [value.transpose(0, 3, 1, 2) for value in outputs(last, x)]
    given = outputs(convert(path), x.transpose(0, 3, 1, 2))
    for one, other in zip(expected, given, strict=True):
        assert one.shape == other.shape
        assert float(np.abs(one - other).max()) <= TOLERANCE
    applied = {item.repair: item.layers for item in formats.read_checkpoint(path).origin.repairs}
    assert applied["channels-first-bias"] == ("inner/conv" if nested else "conv", "back")


def test_maps_of_another_width_are_left_alone(tmp_path):
    path = write(_built(False, 13, "channels_first"), tmp_path / "a.h5")
    assert "channels-first-bias" not in [item.repair for item in formats.read_checkpoint(path).origin.repairs]


def test_an_activation_along_the_last_axis_is_left_alone(tmp_path):
    path = write(_built(False, 6, "channels_first", activation="softmax"), tmp_path / "a.h5")
    applied = {item.repair: item.layers for item in formats.read_checkpoint(path).origin.repairs}
    assert applied["channels-first-bias"] == ("back",)
