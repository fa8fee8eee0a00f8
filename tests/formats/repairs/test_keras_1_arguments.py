"""Every class that Keras 1 shares with Keras 3, by the arguments that it wrote."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from modelrecipe.formats.repair import Writer, inner_layers, name_of
from modelrecipe.formats.repairs import mend_config
from tests.keras_1 import layer, model, node, sequential

_KERAS_1 = Writer(version=(1, 2, 2), backend="tensorflow")
_L2 = {"name": "L1L2Regularizer", "l1": 0.0, "l2": 0.5}
_L2_NOW = {
    "module": "keras.regularizers",
    "class_name": "L1L2",
    "config": {"l1": 0.0, "l2": 0.5},
    "registered_name": None,
}
_MAX = {"name": "MaxNorm", "m": 2, "axis": 0}
_MAX_NOW = {
    "module": "keras.constraints",
    "class_name": "MaxNorm",
    "config": {"max_value": 2, "axis": 0},
    "registered_name": None,
}
_KERNEL = {"init": "he_normal", "W_regularizer": _L2, "b_regularizer": None, "W_constraint": _MAX, "b_constraint": None}
_KERNEL_NOW = {
    "kernel_initializer": "he_normal",
    "kernel_regularizer": _L2_NOW,
    "bias_regularizer": None,
    "kernel_constraint": _MAX_NOW,
    "bias_constraint": None,
}
_WINDOW = {"nb_filter": 4, "nb_row": 3, "nb_col": 2, "border_mode": "same", "bias": True, "activation": "relu"}
_WINDOW_NOW = {"filters": 4, "kernel_size": [3, 2], "padding": "same", "use_bias": True, "activation": "relu"}
_RNN = {"output_dim": 5, "inner_init": "orthogonal", "init": "glorot_uniform", "dropout_W": 0.1, "dropout_U": 0.2}
_RNN |= {"U_regularizer": _L2, "consume_less": "gpu", "input_dim": 3, "input_length": None, "unroll": False}
_RNN_NOW = {"units": 5, "recurrent_initializer": "orthogonal", "kernel_initializer": "glorot_uniform", "dropout": 0.1}
_RNN_NOW |= {"recurrent_dropout": 0.2, "recurrent_regularizer": _L2_NOW, "unroll": False}
_GATED = {"inner_activation": "hard_sigmoid"}
_GATED_NOW = {"recurrent_activation": "hard_sigmoid"}

CASES: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("Dense", _KERNEL | {"output_dim": 4, "input_dim": 3, "bias": False}, "Dense", _KERNEL_NOW | {"units": 4, "use_bias": False}),
    ("TimeDistributedDense", {"output_dim": 4, "input_dim": 3, "input_length": 7}, "Dense", {"units": 4}),
    ("Convolution2D", _WINDOW | {"subsample": [2, 1], "dim_ordering": "th"}, "Conv2D",
     _WINDOW_NOW | {"strides": [2, 1], "data_format": "channels_first"}),
    ("AtrousConvolution2D", _WINDOW | {"subsample": [1, 1], "atrous_rate": [2, 2], "dim_ordering": "tf"}, "Conv2D",
     _WINDOW_NOW | {"strides": [1, 1], "dilation_rate": [2, 2], "data_format": "channels_last"}),
    ("SeparableConvolution2D", _WINDOW | {"subsample": [1, 1], "depth_multiplier": 2, "depthwise_regularizer": _L2},
     "SeparableConv2D", _WINDOW_NOW | {"strides": [1, 1], "depth_multiplier": 2, "depthwise_regularizer": _L2_NOW}),
    ("Deconvolution2D", _WINDOW | {"subsample": [2, 2], "output_shape": [None, 8, 6, 4]}, "Conv2DTranspose",
     _WINDOW_NOW | {"strides": [2, 2]}),
    ("Convolution3D", {"nb_filter": 2, "kernel_dim1": 3, "kernel_dim2": 2, "kernel_dim3": 1, "subsample": [1, 1, 1]},
     "Conv3D", {"filters": 2, "kernel_size": [3, 2, 1], "strides": [1, 1, 1]}),
    ("Convolution1D", {"nb_filter": 2, "filter_length": 3, "subsample_length": 2, "input_dim": 4, "input_length": None},
     "Conv1D", {"filters": 2, "kernel_size": 3, "strides": 2}),
    ("AtrousConvolution1D", {"nb_filter": 2, "filter_length": 3, "atrous_rate": 2}, "Conv1D",
     {"filters": 2, "kernel_size": 3, "dilation_rate": 2}),
    ("ConvLSTM2D", _GATED | {"nb_filter": 4, "nb_row": 3, "nb_col": 3, "inner_init": "orthogonal", "forget_bias_init": "one"},
     "ConvLSTM2D", _GATED_NOW | {"filters": 4, "kernel_size": [3, 3], "recurrent_initializer": "orthogonal",
                                 "unit_forget_bias": True}),
    ("SimpleRNN", _RNN, "SimpleRNN", _RNN_NOW),
    ("LSTM", _RNN | _GATED | {"forget_bias_init": "zero"}, "LSTM", _RNN_NOW | _GATED_NOW | {"unit_forget_bias": False}),
    ("GRU", _RNN | _GATED, "GRU", _RNN_NOW | _GATED_NOW | {"reset_after": False}),
    ("Embedding", {"input_dim": 9, "output_dim": 4, "init": "uniform", "input_length": 3, "dropout": 0.1, "mask_zero": True},
     "Embedding", {"input_dim": 9, "output_dim": 4, "embeddings_initializer": "random_uniform", "mask_zero": True}),
    ("MaxPooling1D", {"pool_length": 2, "stride": None, "border_mode": "valid"}, "MaxPooling1D",
     {"pool_size": 2, "strides": None, "padding": "valid"}),
    ("AveragePooling2D", {"pool_size": [2, 2], "strides": [1, 1], "border_mode": "same", "dim_ordering": "th"},
     "AveragePooling2D", {"pool_size": [2, 2], "strides": [1, 1], "padding": "same", "data_format": "channels_first"}),
    ("GlobalMaxPooling2D", {"dim_ordering": "tf"}, "GlobalMaxPooling2D", {"data_format": "channels_last"}),
    ("UpSampling1D", {"length": 3}, "UpSampling1D", {"size": 3}),
    ("ZeroPadding2D", {"padding": [1, 2, 3, 4]}, "ZeroPadding2D", {"padding": [[1, 2], [3, 4]]}),
    ("ZeroPadding2D", {"padding": {"top_pad": 1, "right_pad": 2}}, "ZeroPadding2D", {"padding": [[1, 0], [0, 2]]}),
    ("ZeroPadding1D", {"padding": {"left_pad": 1}}, "ZeroPadding1D", {"padding": [1, 0]}),
    ("BatchNormalization", {"mode": 0, "axis": 1, "epsilon": 0.1, "momentum": 0.9, "gamma_regularizer": _L2},
     "BatchNormalization", {"axis": 1, "epsilon": 0.1, "momentum": 0.9, "gamma_regularizer": _L2_NOW}),
    ("Dropout", {"p": 0.3}, "Dropout", {"rate": 0.3}),
    ("SpatialDropout2D", {"p": 0.3}, "SpatialDropout2D", {"rate": 0.3}),
    ("GaussianDropout", {"p": 0.3}, "GaussianDropout", {"rate": 0.3}),
    ("GaussianNoise", {"sigma": 0.3}, "GaussianNoise", {"stddev": 0.3}),
    ("PReLU", {"init": "zero"}, "PReLU", {"alpha_initializer": "zeros"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "given", "new", "expected"), CASES, ids=[f"{case[0]}-{n}" for n, case in enumerate(CASES)]
)
def test_arguments_get_todays_names_and_keras_takes_them(old, given, new, expected):
    mended, _ = mend_config(sequential(sequential(layer(old, "it", **given))), _KERAS_1)
    found = next(item for item in inner_layers(mended) if name_of(item) == "it")
    assert found["class_name"] == new
    assert {key: value for key, value in found["config"].items() if key != "trainable"} == {"name": "it", **expected}
    getattr(keras.layers, new).from_config(found["config"])


def test_layers_that_do_not_say_where_channels_stand_follow_the_others():
    inner = model({"x": [None, 3, 8, 8]}, [layer("ZeroPadding2D", "pad", node("x"), padding=[1, 1])], "pad")
    conv = layer("Convolution2D", "conv", nb_filter=2, nb_row=3, nb_col=3, dim_ordering="th")
    mended, applied = mend_config(sequential(inner, conv), _KERAS_1)
    found = next(item for item in inner_layers(mended) if name_of(item) == "pad")
    assert found["config"]["data_format"] == "channels_first"
    assert "keras-1-orderings" in [item.repair for item in applied]


def test_what_is_of_another_keras_is_left_alone():
    given = {"class_name": "Sequential", "config": {"name": "m", "layers": [layer("Dropout", "it", rate=0.5)]}}
    for writer in (Writer(), Writer(version=(2, 1, 0))):
        assert mend_config(given, writer) == (given, ())
