"""A small model around every layer class that Keras 2 has, as tf_keras makes it: the cases of `test_every_old_layer`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest import mock

import tensorflow as tf

from tests.old_case import Case, cases
from tests.old_keras import tf_keras

if TYPE_CHECKING:
    from collections.abc import Mapping

layers = tf_keras.layers

FLAT, SEQUENCE, IMAGE, VOLUME = (5,), (6, 4), (8, 8, 3), (4, 4, 4, 2)
VIDEO_1D, VIDEO, VIDEO_3D = (3, 6, 2), (3, 6, 6, 2), (2, 4, 4, 4, 2)


def _regularised() -> Mapping[str, Any]:
    return {
        "kernel_regularizer": tf_keras.regularizers.L1L2(l1=0.01, l2=0.02),
        "bias_regularizer": tf_keras.regularizers.L2(0.1),
        "kernel_constraint": tf_keras.constraints.MaxNorm(2.0, axis=[0]),
        "bias_constraint": "non_neg",
        "kernel_initializer": tf_keras.initializers.VarianceScaling(distribution="normal"),
        "bias_initializer": "ones",
        "activity_regularizer": tf_keras.regularizers.L1(0.03),
    }


DENSE = cases(
    "dense",
    FLAT,
    {
        "plain": lambda: layers.Dense(3),
        "regularised": lambda: layers.Dense(3, **_regularised()),
        **{
            f"activation-{name}": lambda name=name: layers.Dense(3, activation=name)
            for name in (
                *("elu", "exponential", "gelu", "hard_sigmoid", "linear", "mish", "relu", "selu", "sigmoid"),
                *("softmax", "softplus", "softsign", "swish", "tanh"),
            )
        },
        "activation-tf": lambda: layers.Dense(3, activation=tf_keras.activations.swish),
        "activation-layer": lambda: layers.Dense(3, activation=layers.LeakyReLU(alpha=0.2)),
        "sum-of-products": lambda: layers.EinsumDense("ab,bc->ac", output_shape=3, bias_axes="c"),
        "activity": lambda: layers.ActivityRegularization(0.1, 0.2),
        "alpha-dropout": lambda: layers.AlphaDropout(0.2),
        "dropout": lambda: layers.Dropout(0.2, noise_shape=(None, 1), seed=3),
        "gaussian-dropout": lambda: layers.GaussianDropout(0.2),
        "gaussian-noise": lambda: layers.GaussianNoise(0.2),
        "identity": lambda: layers.Identity(),
        "repeat": lambda: layers.RepeatVector(3),
        "reshape": lambda: layers.Reshape((5, 1)),
        "batch-normalization": lambda: layers.BatchNormalization(momentum=0.9, epsilon=0.01),
        "batch-normalization-plain": lambda: layers.BatchNormalization(center=False, scale=False),
        "spectral": lambda: _spectral,
    },
)
ACTIVATIONS = cases(
    "activation",
    SEQUENCE,
    {
        **{name: lambda name=name: layers.Activation(name) for name in ("relu", "softmax", "swish", "hard_sigmoid")},
        "elu": lambda: layers.ELU(0.7),
        "leaky": lambda: layers.LeakyReLU(alpha=0.2),
        "leaky-default": lambda: layers.LeakyReLU(),
        "prelu": lambda: layers.PReLU(shared_axes=[1]),
        "relu-all": lambda: layers.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.2),
        "relu-default": lambda: layers.ReLU(),
        "softmax-layer": lambda: layers.Softmax(),
        "softmax-axis": lambda: layers.Softmax(axis=1),
        "softmax-axes": lambda: layers.Softmax(axis=[1, 2]),
        "thresholded": lambda: layers.ThresholdedReLU(theta=0.6),
        "thresholded-0": lambda: layers.ThresholdedReLU(theta=0.0),
    },
)
MERGES = cases(
    "merge",
    SEQUENCE,
    {
        **{
            name.lower(): lambda name=name: getattr(layers, name)()
            for name in ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract")
        },
        "concatenate": lambda: layers.Concatenate(axis=1),
        "dot": lambda: layers.Dot(axes=2, normalize=True),
        "dot-pair": lambda: layers.Dot(axes=(1, 1)),
        "attention": lambda: layers.Attention(use_scale=True),
        "attention-concat": lambda: layers.Attention(score_mode="concat"),
        "additive-attention": lambda: layers.AdditiveAttention(),
        "multi-head": lambda: lambda pair: layers.MultiHeadAttention(2, 3)(pair[0], pair[1]),
        "multi-head-self": lambda: (
            lambda pair: layers.MultiHeadAttention(2, 3, value_dim=4)(query=pair[0], value=pair[1], key=pair[0])
        ),
    },
    inputs=2,
)
SEQUENCES = cases(
    "sequence",
    SEQUENCE,
    {
        "conv": lambda: layers.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu"),
        "conv-groups": lambda: layers.Conv1D(4, 3, groups=2),
        "conv-transposed": lambda: layers.Conv1DTranspose(3, 3, strides=2, padding="same"),
        "depthwise": lambda: layers.DepthwiseConv1D(3, depth_multiplier=2, use_bias=False),
        "separable": lambda: layers.SeparableConv1D(5, 3, depth_multiplier=2, activation="relu"),
        "average": lambda: layers.AveragePooling1D(2, padding="same"),
        "max": lambda: layers.MaxPooling1D(2, strides=1),
        "global-average": lambda: layers.GlobalAveragePooling1D(keepdims=True),
        "global-max": lambda: layers.GlobalMaxPooling1D(),
        "cropping": lambda: layers.Cropping1D((1, 2)),
        "padding": lambda: layers.ZeroPadding1D((1, 2)),
        "up": lambda: layers.UpSampling1D(3),
        "spatial-dropout": lambda: layers.SpatialDropout1D(0.3),
        "flatten": lambda: layers.Flatten(),
        "permute": lambda: layers.Permute((2, 1)),
        "masked": lambda: tf_keras.Sequential([layers.Masking(0.5), layers.LSTM(3)]),
        "layer-normalization": lambda: layers.LayerNormalization(axis=[1, 2], epsilon=0.01),
        "layer-normalization-last": lambda: layers.LayerNormalization(center=False),
        "group-normalization": lambda: layers.GroupNormalization(2),
        "unit-normalization": lambda: layers.UnitNormalization(axis=[1, 2]),
        "batch-normalization": lambda: layers.BatchNormalization(axis=1, fused=False),
        "local": lambda: layers.LocallyConnected1D(3, 2),
    },
)
RECURRENT = cases(
    "recurrent",
    SEQUENCE,
    {
        "simple": lambda: layers.SimpleRNN(3, return_sequences=True, dropout=0.1),
        "lstm": lambda: layers.LSTM(3, recurrent_dropout=0.1, implementation=1, unroll=True),
        "lstm-old": lambda: layers.LSTM(3, recurrent_activation="hard_sigmoid", unit_forget_bias=False),
        "lstm-state": lambda: layers.LSTM(3, return_state=True, go_backwards=True),
        "gru": lambda: layers.GRU(3, return_sequences=True, use_bias=False),
        "gru-reset-before": lambda: layers.GRU(3, reset_after=False),
        "cell": lambda: layers.RNN(layers.LSTMCell(3), return_sequences=True),
        "cells": lambda: layers.RNN([layers.GRUCell(3), layers.SimpleRNNCell(2)], return_state=True),
        "stacked": lambda: layers.RNN(layers.StackedRNNCells([layers.LSTMCell(3), layers.LSTMCell(2)])),
        "bidirectional": lambda: layers.Bidirectional(layers.LSTM(3), merge_mode="sum"),
        "bidirectional-pair": lambda: layers.Bidirectional(
            layers.GRU(3, return_sequences=True),
            backward_layer=layers.LSTM(3, return_sequences=True, go_backwards=True),
        ),
        "bidirectional-cells": lambda: layers.Bidirectional(
            layers.RNN([layers.LSTMCell(3), layers.GRUCell(3)], return_sequences=True)
        ),
        "bidirectional-state": lambda: layers.Bidirectional(layers.LSTM(3, return_state=True), merge_mode=None),
        "distributed": lambda: layers.TimeDistributed(layers.Dense(3, activation="relu")),
        "distributed-normalization": lambda: layers.TimeDistributed(layers.BatchNormalization()),
        "distributed-bidirectional": lambda: tf_keras.Sequential(
            [layers.Reshape((6, 4, 1)), layers.TimeDistributed(layers.Bidirectional(layers.LSTM(2)))]
        ),
        "distributed-model": lambda: layers.TimeDistributed(
            tf_keras.Sequential([layers.Dense(3), layers.BatchNormalization(), layers.Dense(2)])
        ),
        "initial-state": lambda: _with_state,
    },
)
IMAGES = cases(
    "image",
    IMAGE,
    {
        "conv": lambda: layers.Conv2D(4, 3, strides=2, padding="same", activation="elu"),
        "conv-transposed": lambda: layers.Conv2DTranspose(4, 3, strides=2, output_padding=1, padding="same"),
        "depthwise": lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, depthwise_regularizer="l2"),
        "separable": lambda: layers.SeparableConv2D(4, 3, dilation_rate=2),
        "average": lambda: layers.AveragePooling2D(3, strides=2, padding="same"),
        "max": lambda: layers.MaxPooling2D(),
        "global-average": lambda: layers.GlobalAveragePooling2D(),
        "global-max": lambda: layers.GlobalMaxPooling2D(keepdims=True),
        "cropping": lambda: layers.Cropping2D(((1, 2), (0, 1))),
        "padding": lambda: layers.ZeroPadding2D(((1, 2), (0, 1))),
        "up": lambda: layers.UpSampling2D(2),
        "up-bilinear": lambda: layers.UpSampling2D((2, 3), interpolation="bilinear"),
        **{
            f"up-{name}": lambda name=name: layers.UpSampling2D(2, interpolation=name)
            for name in ("area", "bicubic", "gaussian", "lanczos3", "lanczos5", "mitchellcubic")
        },
        "spatial-dropout": lambda: layers.SpatialDropout2D(0.3),
        "batch-normalization": lambda: layers.BatchNormalization(gamma_regularizer="l2", beta_constraint="unit_norm"),
        "batch-normalization-first": lambda: layers.BatchNormalization(axis=1),
        "batch-normalization-synchronized": lambda: layers.BatchNormalization(synchronized=True),
        "lstm": lambda: tf_keras.Sequential(
            [layers.Reshape((4, 4, 4, 3)), layers.ConvLSTM2D(2, 3, return_sequences=True)]
        ),
        "distributed": lambda: tf_keras.Sequential(
            [layers.Reshape((2, 4, 8, 3)), layers.TimeDistributed(layers.SeparableConv2D(3, 2))]
        ),
        "local": lambda: layers.LocallyConnected2D(3, 2),
        "rescaling": lambda: layers.Rescaling(1 / 127.5, offset=-1),
        "resizing": lambda: layers.Resizing(4, 5, interpolation="bilinear"),
        "resizing-crop": lambda: layers.Resizing(4, 6, crop_to_aspect_ratio=True),
        "resizing-nearest": lambda: layers.Resizing(4, 5, interpolation="nearest"),
        "center-crop": lambda: layers.CenterCrop(4, 5),
        "random-crop": lambda: layers.RandomCrop(4, 5),
        "brightness": lambda: layers.RandomBrightness(0.2),
        "contrast": lambda: layers.RandomContrast(0.2),
        "flip": lambda: layers.RandomFlip("horizontal", seed=1),
        "rotation": lambda: layers.RandomRotation(0.2),
        "translation": lambda: layers.RandomTranslation(0.2, 0.1),
        "zoom": lambda: layers.RandomZoom(0.2),
        "random-height": lambda: layers.RandomHeight(0.2),
        "random-width": lambda: layers.RandomWidth(0.2),
        "normalization": lambda: layers.Normalization(),
        "normalization-fixed": lambda: layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[2.0, 3.0, 4.0]),
        "normalization-invert": lambda: layers.Normalization(mean=1.0, variance=2.0, invert=True),
    },
)
VOLUMES = {
    **cases(
        "volume",
        VOLUME,
        {
            "conv": lambda: layers.Conv3D(3, 2),
            "conv-transposed": lambda: layers.Conv3DTranspose(3, 2, strides=2),
            "average": lambda: layers.AveragePooling3D(2),
            "max": lambda: layers.MaxPooling3D(2),
            "global-average": lambda: layers.GlobalAveragePooling3D(),
            "global-max": lambda: layers.GlobalMaxPooling3D(),
            "cropping": lambda: layers.Cropping3D(1),
            "padding": lambda: layers.ZeroPadding3D(1),
            "up": lambda: layers.UpSampling3D(2),
            "spatial-dropout": lambda: layers.SpatialDropout3D(0.3),
        },
    ),
    "volume-lstm-1d": Case(shapes=(VIDEO_1D,), make=lambda: layers.ConvLSTM1D(2, 3)),
    "volume-lstm-2d": Case(shapes=(VIDEO,), make=lambda: layers.ConvLSTM2D(2, 3, recurrent_activation="sigmoid")),
    "volume-lstm-2d-old": Case(shapes=(VIDEO,), make=lambda: layers.ConvLSTM2D(2, 3, padding="same")),
    "volume-lstm-3d": Case(shapes=(VIDEO_3D,), make=lambda: layers.ConvLSTM3D(2, 2)),
    "volume-lstm-both-ways": Case(shapes=(VIDEO,), make=lambda: layers.Bidirectional(layers.ConvLSTM2D(2, 3))),
}
INDICES = {
    f"index-{name}": Case(shapes=((7,),), make=make, integers=True)
    for name, make in {
        "embedding": lambda: layers.Embedding(6, 3, input_length=7, mask_zero=True),
        "embedding-lstm": lambda: tf_keras.Sequential([layers.Embedding(6, 3, mask_zero=True), layers.LSTM(2)]),
        "categories": lambda: layers.CategoryEncoding(6, output_mode="count"),
        "hashing": lambda: layers.Hashing(5),
        "hashing-salted": lambda: layers.Hashing(5, salt=[13, 37], output_mode="multi_hot"),
        "integers": lambda: layers.IntegerLookup(vocabulary=[1, 3, 5], output_mode="int"),
        "integers-hot": lambda: layers.IntegerLookup(vocabulary=[1, 3, 5], output_mode="multi_hot"),
        "discretization": lambda: layers.Discretization([1.0, 3.0]),
    }.items()
}
INDICES["index-crossing"] = Case(
    shapes=((1,), (1,)), make=lambda: lambda pair: layers.HashedCrossing(5)(tuple(pair)), integers=True
)


def _spectral(tensor: Any) -> Any:
    # tf_keras takes this class from whatever `tf.keras` is.
    with mock.patch.object(tf.compat.v2.keras.layers, "InputSpec", layers.InputSpec):
        return layers.SpectralNormalization(layers.Dense(3))(tensor)


def _with_state(tensor: Any) -> Any:
    sequence, first, second = layers.LSTM(3, return_sequences=True, return_state=True)(tensor)
    return layers.LSTM(3)(sequence, initial_state=[first, second])


CASES: dict[str, Case] = {
    **DENSE,
    **ACTIVATIONS,
    **MERGES,
    **SEQUENCES,
    **RECURRENT,
    **IMAGES,
    **VOLUMES,
    **INDICES,
}
