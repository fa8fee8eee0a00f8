"""What Theano computed otherwise: kernels turned round, and borders on both sides."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import pytest

from modelrecipe import formats
from modelrecipe.errors import FileError
from tests.keras_1 import correlate, layer, model, node, numbers, sequential, write
from tests.old_keras import TOLERANCE, assert_same_numbers, convert, outputs, perturb, tf_keras
from tests.old_keras import write as write_keras_2

_X = numbers(2, 7, 7, 3, seed=5)


def _conv(name: str, size: int, stride: int, *calls: Any, **config: Any) -> dict[str, Any]:
    window = {"nb_row": size, "nb_col": size, "nb_filter": 4, "subsample": [stride, stride], "border_mode": "same"}
    return layer("Convolution2D", name, *calls, activation="linear", bias=False, dim_ordering="tf", **window, **config)


def _theano(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """`half` borders and a turned kernel; what is too long is cut, as Keras did."""
    half = kernel.shape[0] // 2
    padded = np.pad(x, ((0, 0), (half, half), (half, half), (0, 0)))
    length = (x.shape[1] + stride - 1) // stride
    return correlate(padded, kernel[::-1, ::-1], stride)[:, :length, :length]


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (2, 1), (3, 2), (4, 2), (5, 3), (1, 2)])
@pytest.mark.parametrize("nested", [False, True])
def test_convolutions_with_borders(tmp_path, size, stride, nested):
    kernel = numbers(size, size, 3, 4)
    arrays = {"conv_1": [("conv_1_W", kernel)]}
    config = sequential(_conv("conv_1", size, stride, batch_input_shape=[None, 7, 7, 3]))
    if nested:
        inner = model({"y": [None, 7, 7, 3]}, [_conv("conv_1", size, stride, node("y"))], "conv_1")
        inner = {**inner, "name": "inner", "inbound_nodes": [node("x")]}
        inner["config"]["name"] = "inner"
        config = model({"x": [None, 7, 7, 3]}, [inner], "inner")
        arrays = {"x": [], "inner": arrays["conv_1"]}
    path = write(tmp_path / "a.h5", config, arrays, theano=True)
    given = outputs(convert(path), _X)[0]
    expected = _theano(_X, kernel, stride)
    assert given.shape == expected.shape
    assert float(np.abs(given - expected).max()) <= TOLERANCE
    applied = [item.repair for item in formats.read_checkpoint(path).origin.repairs]
    assert ("theano-borders" in applied) == ((size, stride) != (3, 1) and (size, stride) != (1, 1))
    assert ("theano-kernels" in applied) == (size > 1)


@pytest.mark.parametrize(
    "held",
    [
        layer("MaxPooling2D", "it", pool_size=[2, 2], strides=[2, 2], border_mode="same", dim_ordering="tf"),
        layer("TimeDistributed", "outer", layer=_conv("it", 2, 1)),
    ],
)
def test_what_cannot_be_padded_apart_is_refused(tmp_path, held):
    path = write(tmp_path / "a.h5", sequential(held), {"it": [("it_W", numbers(2, 2))]}, theano=True)
    with pytest.raises(FileError) as refused:
        formats.read_checkpoint(path)
    class_name = "MaxPooling2D" if held["class_name"] == "MaxPooling2D" else "Conv2D"
    assert refused.value.message.removeprefix(f"'{path}': ") == (
        f"layer 'it' ({class_name}) was computed by Theano with padding 'same', which puts its window elsewhere than Keras 3"
    )


def test_a_file_of_keras_2_says_that_theano_computed_with_it(tmp_path):
    """Keras 2.2 turned the kernels when it read such a file with TensorFlow, all but depthwise ones; tf_keras does not."""
    layers = tf_keras.layers
    built = perturb(
        tf_keras.Sequential(
            [
                layers.Input((4, 7, 7, 3)),
                layers.TimeDistributed(layers.Conv2D(3, 3)),
                layers.ConvLSTM2D(2, 2, recurrent_activation="sigmoid"),
                layers.Conv2DTranspose(3, 2),
                layers.DepthwiseConv2D(2),
            ]
        )
    )
    path = write_keras_2(built, tmp_path / "a.h5")
    assert "theano-kernels" not in [item.repair for item in formats.read_checkpoint(path).origin.repairs]
    with h5py.File(path, "r+") as file:
        for place in (file, file["model_weights"]):
            place.attrs["backend"] = "theano"
            place.attrs["keras_version"] = "2.2.4"
    for variable in built.weights:
        if variable.name.endswith(("/kernel:0", "/recurrent_kernel:0")):
            variable.assign(variable.numpy()[::-1, ::-1])
    assert_same_numbers(built, convert(path), numbers(1, 4, 7, 7, 3))
    assert "theano-kernels" in [item.repair for item in formats.read_checkpoint(path).origin.repairs]
