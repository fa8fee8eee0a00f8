"""Arrays of Keras 1, against what its formulas say, written out in numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from modelrecipe import formats
from modelrecipe.errors import FileError
from tests.keras_1 import correlate, gates, layer, model, node, numbers, sequential, write
from tests.old_keras import TOLERANCE, convert, outputs, perturb, tf_keras

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Arrays = Mapping[str, np.ndarray]

_X = numbers(2, 5, 3, seed=7)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _hard(x: np.ndarray) -> np.ndarray:
    return np.clip(0.2 * x + 0.5, 0, 1)


def _by_letter(listed: list[tuple[str, np.ndarray]]) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    found: dict[str, list[np.ndarray]] = {}
    for name, values in listed:
        found.setdefault(name[-1], []).append(values)
    return {letter: (one, two, three) for letter, (one, two, three) in found.items()}


def _lstm(x: np.ndarray, listed: list[tuple[str, np.ndarray]], gate=_sigmoid) -> np.ndarray:
    """All states; `keras/layers/recurrent.py` of Keras 1.2.2, `LSTM.step`."""
    of = _by_letter(listed)
    state = memory = np.zeros((len(x), of["i"][1].shape[0]), "float32")
    states = []
    for step in x.transpose(1, 0, 2):
        z = {letter: step @ w + state @ u + b for letter, (w, u, b) in of.items()}
        memory = gate(z["f"]) * memory + gate(z["i"]) * np.tanh(z["c"])
        state = gate(z["o"]) * np.tanh(memory)
        states.append(state)
    return np.stack(states, axis=1)


def _gru(x: np.ndarray, listed: list[tuple[str, np.ndarray]]) -> np.ndarray:
    """The last state; `GRU.step`, which resets the state before it is multiplied."""
    of = _by_letter(listed)
    state = np.zeros((len(x), of["z"][1].shape[0]), "float32")
    for step in x.transpose(1, 0, 2):
        z, r = (_sigmoid(step @ of[letter][0] + state @ of[letter][1] + of[letter][2]) for letter in "zr")
        w, u, b = of["h"]
        state = z * state + (1 - z) * np.tanh(step @ w + (r * state) @ u + b)
    return state


def _recurrent(class_name: str, name: str, units: int = 4, gate: str = "sigmoid", **config):
    arguments = {"init": "glorot_uniform", "inner_init": "orthogonal", "consume_less": "cpu", "input_dim": None}
    arguments |= {"W_regularizer": None, "U_regularizer": None, "b_regularizer": None, "input_length": None}
    arguments |= {"dropout_W": 0.2, "dropout_U": 0.0, "activation": "tanh", "inner_activation": gate}
    return layer(
        class_name, name, output_dim=units, go_backwards=False, stateful=False, unroll=False, **arguments, **config
    )


def _shown(path: Path, expected: np.ndarray, *inputs: np.ndarray) -> None:
    given = outputs(convert(path), inputs[0] if len(inputs) == 1 else list(inputs))
    assert given[0].shape == expected.shape
    assert float(np.abs(given[0] - expected).max()) <= TOLERANCE


@pytest.mark.parametrize("gate", ["sigmoid", "hard_sigmoid"])
def test_twelve_arrays_of_an_lstm_become_three(tmp_path, gate):
    listed = gates("lstm_1", "icfo", 3, 4)
    config = sequential(_recurrent("LSTM", "lstm_1", gate=gate, batch_input_shape=[None, 5, 3], forget_bias_init="one"))
    path = write(tmp_path / "a.h5", config, {"lstm_1": listed})
    _shown(path, _lstm(_X, listed, _hard if gate == "hard_sigmoid" else _sigmoid)[:, -1], _X)


def test_nine_arrays_of_a_gru_become_three_and_it_resets_before(tmp_path):
    listed = gates("gru_1", "zrh", 3, 4)
    config = sequential(_recurrent("GRU", "gru_1", batch_input_shape=[None, 5, 3]))
    path = write(tmp_path / "a.h5", config, {"gru_1": listed}, theano=True)
    _shown(path, _gru(_X, listed), _X)


def test_an_lstm_of_joined_gates_has_todays_order_already(tmp_path):
    listed = gates("lstm_1", "ifco", 3, 4)
    joined = [
        (f"lstm_1_{kind}", np.concatenate([values for name, values in listed if f"_{kind}_" in name], axis=-1))
        for kind in "WUb"
    ]
    config = sequential(_recurrent("LSTM", "lstm_1", batch_input_shape=[None, 5, 3], forget_bias_init="one"))
    path = write(tmp_path / "a.h5", config, {"lstm_1": joined})
    _shown(path, _lstm(_X, listed)[:, -1], _X)


def test_a_bidirectional_lstm_in_a_functional_model_with_a_dense_at_each_step(tmp_path):
    forward, backward = gates("forward_lstm_1", "icfo", 3, 4), gates("backward_lstm_1", "icfo", 3, 4)
    backward = [(name, values[::-1].copy()) for name, values in backward]
    kernel, bias = numbers(8, 2), numbers(2)
    inner = _recurrent("LSTM", "lstm_1", return_sequences=True, forget_bias_init="one")
    dense = layer(
        "Dense", "dense_1", output_dim=2, activation="linear", bias=True, init="glorot_uniform", input_dim=None
    )
    layers = [
        layer("Bidirectional", "both", node("x"), merge_mode="concat", layer=inner),
        layer("TimeDistributed", "each", node("both"), layer=dense),
    ]
    arrays = {"x": [], "both": [*forward, *backward], "each": [("dense_1_W", kernel), ("dense_1_b", bias)]}
    path = write(tmp_path / "a.h5", model({"x": [None, 5, 3]}, layers, "each"), arrays)
    states = np.concatenate([_lstm(_X, forward), _lstm(_X[:, ::-1], backward)[:, ::-1]], axis=-1)
    _shown(path, states @ kernel + bias, _X)
    applied = {item.repair: item.layers for item in formats.read_checkpoint(path).origin.repairs}
    assert applied["keras-1-arrays"] == ("both", "each")


def _dense(name: str, units: int, *calls, **config):
    return layer("Dense", name, *calls, output_dim=units, activation="linear", bias=True, init="uniform", **config)


def _normalization(name: str, *calls, **config):
    return layer("BatchNormalization", name, *calls, mode=0, axis=-1, epsilon=0.001, momentum=0.99, **config)


@pytest.mark.parametrize("names", ["own", "numbered", "none"])
def test_weights_inside_a_nameless_nested_model_are_found(tmp_path, names):
    inner = sequential(
        _dense("dense_1", 4, batch_input_shape=[None, 3], input_dim=3), _normalization("bn_1"), _dense("dense_2", 4)
    )
    listed = {
        "dense_1_W": numbers(3, 4),
        "dense_1_b": numbers(4),
        "bn_1_gamma": numbers(4, seed=1),
        "bn_1_beta": numbers(4, seed=2),
        "dense_2_W": numbers(4, 4, seed=3),
        "dense_2_b": numbers(4, seed=4),
        "bn_1_running_mean": numbers(4, seed=5),
        "bn_1_running_std": np.abs(numbers(4, seed=6)),
    }
    called = {"own": str, "numbered": "{}_2".format}.get(names)
    stored = [(called(name) if called else f"param_{i}", item) for i, (name, item) in enumerate(listed.items())]
    last, end = numbers(4, 2), numbers(2)
    config = sequential(inner, _dense("dense_3", 2))
    path = write(
        tmp_path / "a.h5", config, {"sequential_7": stored, "dense_3": [("dense_3_W", last), ("dense_3_b", end)]}
    )
    x = numbers(5, 3)
    values = list(listed.values())
    hidden = x @ values[0] + values[1]
    hidden = values[2] * (hidden - values[6]) / np.sqrt(values[7] + 0.001) + values[3]
    _shown(path, (hidden @ values[4] + values[5]) @ last + end, x)


def test_two_nameless_models_of_keras_2_are_told_apart_by_their_place(tmp_path):
    arguments = {"units": 3, "use_bias": False, "batch_input_shape": [None, 3]}
    first, second = (sequential(layer("Dense", f"dense_{number}", **arguments)) for number in (1, 2))
    kernels = [numbers(3, 3, seed=seed) for seed in (1, 2)]
    arrays = {f"sequential_{4 + n}": [(f"dense_{n}/kernel", kernel)] for n, kernel in enumerate(kernels, start=1)}
    path = write(tmp_path / "a.h5", sequential(first, second), arrays, version="2.1.6")
    x = numbers(2, 3)
    _shown(path, x @ kernels[0] @ kernels[1], x)
    applied = [item.repair for item in formats.read_checkpoint(path).origin.repairs]
    assert "sequential-inner-names" in applied
    assert "keras-1-arrays" not in applied


def _convolution(name: str, size: int, *calls, ordering: str = "tf", border: str = "valid", stride: int = 1, **config):
    arguments = {"nb_row": size, "nb_col": size, "nb_filter": 4, "init": "glorot_uniform", "activation": "linear"}
    arguments |= {"border_mode": border, "subsample": [stride, stride], "dim_ordering": ordering, "bias": True}
    return layer("Convolution2D", name, *calls, **arguments, **config)


_IMAGES = numbers(2, 6, 6, 3, seed=5)


@pytest.mark.parametrize("theano", [False, True])
@pytest.mark.parametrize("ordering", ["tf", "th"])
def test_kernels_in_the_order_of_theano_and_computed_by_it(tmp_path, theano, ordering):
    """A Dense behind a Flatten of channels-first maps stays as it is, because the maps do."""
    kernel, bias, last = numbers(3, 3, 3, 4), numbers(4), numbers(4 * 16, 2)
    stored = kernel if ordering == "tf" else kernel.transpose(3, 2, 0, 1)
    is_first = ordering == "th"
    shape = [None, 3, 6, 6] if is_first else [None, 6, 6, 3]
    config = sequential(
        _convolution("conv_1", 3, ordering=ordering, batch_input_shape=shape, input_dtype="float32"),
        layer("Flatten", "flatten_1"),
        layer("Dense", "dense_1", output_dim=2, activation="linear", bias=False, init="uniform"),
    )
    arrays = {"conv_1": [("conv_1_W", stored), ("conv_1_b", bias)], "flatten_1": [], "dense_1": [("dense_1_W", last)]}
    path = write(tmp_path / "a.h5", config, arrays, theano=theano)
    maps = correlate(_IMAGES, kernel[::-1, ::-1] if theano else kernel) + bias
    given = _IMAGES.transpose(0, 3, 1, 2) if is_first else _IMAGES
    maps = maps.transpose(0, 3, 1, 2) if is_first else maps
    _shown(path, maps.reshape(2, -1) @ last, given)


@pytest.mark.parametrize("version", ["1.2.2", "1.0.8"])
def test_kernels_of_one_dimension_lose_the_axis_that_they_had(tmp_path, version):
    kernel, bias = numbers(3, 1, 2, 4), numbers(4)
    stored = kernel if version == "1.2.2" else kernel.transpose(3, 2, 0, 1)
    conv = layer(
        "Convolution1D",
        "conv_1",
        nb_filter=4,
        filter_length=3,
        subsample_length=2,
        border_mode="valid",
        activation="linear",
        bias=True,
        input_dim=2,
        input_length=None,
        batch_input_shape=[None, 9, 2],
    )
    pool = layer("MaxPooling1D", "pool_1", pool_length=2, stride=2, border_mode="valid")
    arrays = {"conv_1": [("conv_1_W", stored), ("conv_1_b", bias)], "pool_1": []}
    path = write(tmp_path / "a.h5", sequential(conv, pool), arrays, version=version)
    x = numbers(2, 9, 2, seed=1)
    maps = correlate(x[:, :, None], kernel[:, :1], 1)[:, ::2, 0] + bias
    _shown(path, maps.reshape(2, 2, 2, 4).max(2), x)


def test_the_shape_of_slopes_tells_along_which_axes_they_are_shared(tmp_path):
    slopes = numbers(1, 1, 4)
    kernel, bias = numbers(3, 3, 3, 4), numbers(4)
    config = sequential(
        _convolution("conv_1", 3, batch_input_shape=[None, 6, 6, 3]), layer("PReLU", "prelu_1", init="zero")
    )
    arrays = {"conv_1": [("conv_1_W", kernel), ("conv_1_b", bias)], "prelu_1": [("prelu_1_alphas", slopes)]}
    path = write(tmp_path / "a.h5", config, arrays)
    maps = correlate(_IMAGES, kernel) + bias
    _shown(path, np.where(maps > 0, maps, slopes * maps), _IMAGES)


def test_weights_of_another_class_are_refused(tmp_path):
    config = sequential(_dense("dense_1", 4, batch_input_shape=[None, 3]))
    path = write(tmp_path / "a.h5", config, {"dense_1": [("dense_1_W", numbers(3, 4))]})
    with pytest.raises(FileError) as refused:
        formats.read_checkpoint(path)
    assert refused.value.message == (
        f"'{path}' lists 1 weights of layer 'dense_1' ('dense_1_W:0', ...), which are not those that Keras 1 wrote for "
        "a Dense"
    )


def _windowed(class_name: str, **config):
    arguments = {"nb_row": 3, "nb_col": 2, "nb_filter": 4, "border_mode": "valid", "dim_ordering": "th"}
    return layer(class_name, "it", batch_input_shape=[None, *config.pop("shape")], **arguments, **config)


def _first(kernel: np.ndarray) -> np.ndarray:
    """A kernel in Theano's order."""
    return kernel.transpose(3, 2, 0, 1)


def _deconvolution(held: list[np.ndarray]):
    kernel, bias = held
    return [("it_W", _first(kernel.transpose(0, 1, 3, 2))), ("it_b", bias)]


def _separable(held: list[np.ndarray]):
    return [("it_depthwise_kernel", _first(held[0])), ("it_pointwise_kernel", _first(held[1])), ("it_b", held[2])]


def _recurrent_convolution(held: list[np.ndarray]):
    of = dict(zip("ifco", zip(*(np.split(values, 4, axis=-1) for values in held), strict=True), strict=True))
    return [
        (f"it_{kind}_{letter}", values if kind == "b" else _first(values))
        for letter in "icfo"
        for kind, values in zip("WUb", of[letter], strict=True)
    ]


@pytest.mark.parametrize(
    ("old", "built", "arrays"),
    [
        (
            _windowed("Deconvolution2D", shape=(3, 6, 7), subsample=[2, 2], output_shape=[None, 4, 13, 14], bias=True),
            tf_keras.layers.Conv2DTranspose(4, (3, 2), strides=2),
            _deconvolution,
        ),
        (
            _windowed("SeparableConvolution2D", shape=(3, 6, 7), subsample=[1, 1], depth_multiplier=2, bias=True),
            tf_keras.layers.SeparableConv2D(4, (3, 2), depth_multiplier=2),
            _separable,
        ),
        (
            _windowed("ConvLSTM2D", shape=(5, 3, 6, 7), inner_activation="sigmoid", activation="tanh"),
            tf_keras.layers.ConvLSTM2D(4, (3, 2), recurrent_activation="sigmoid"),
            _recurrent_convolution,
        ),
    ],
    ids=["deconvolution", "separable", "recurrent"],
)
def test_other_convolutions_in_the_order_of_theano(tmp_path, old, built, arrays):
    shape = old["config"]["batch_input_shape"][1:]
    channels = len(shape) - 3
    x = numbers(2, *shape)
    last = np.moveaxis(x, channels + 1, -1)
    reference = perturb(tf_keras.Sequential([tf_keras.layers.Input(last.shape[1:]), built]))
    held = [variable.numpy() for variable in built.weights]
    path = write(tmp_path / "a.h5", sequential(old), {"it": arrays(held)})
    _shown(path, np.moveaxis(outputs(reference, last)[0], -1, 1), x)
