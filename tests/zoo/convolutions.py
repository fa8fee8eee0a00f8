"""Convolutions and the layers that go with them."""

from __future__ import annotations

import keras
from keras import layers

from tests.zoo.registry import model


@model()
def convolutions_1d() -> keras.Model:
    x = keras.Input((12, 3), name="signal")
    y = layers.Conv1D(4, 3, padding="causal", dilation_rate=2, name="causal")(x)
    y = layers.SeparableConv1D(4, 3, depth_multiplier=2, name="separable")(y)
    y = layers.DepthwiseConv1D(3, name="depthwise")(y)
    y = layers.Conv1DTranspose(2, 3, strides=2, name="transpose")(y)
    y = layers.ZeroPadding1D(1, name="pad")(layers.Cropping1D(2, name="crop")(y))
    return keras.Model(x, layers.AveragePooling1D(2, name="pool")(y))


@model()
def convolutions_3d() -> keras.Model:
    x = keras.Input((5, 5, 5, 2), name="volume")
    y = layers.Conv3D(3, 2, name="conv")(x)
    y = layers.MaxPooling3D(2, name="pool")(y)
    y = layers.UpSampling3D(2, name="up")(y)
    y = layers.Conv3DTranspose(2, 2, name="transpose")(y)
    return keras.Model(x, layers.GlobalAveragePooling3D(name="average")(y))


@model()
def grouped_convolution() -> keras.Model:
    x = keras.Input((6, 6, 4), name="image")
    return keras.Model(x, layers.Conv2D(6, 3, groups=2, strides=2, padding="same", name="grouped")(x))


@model()
def mobile_block() -> keras.Model:
    x = keras.Input((6, 6, 3), name="image")
    y = layers.Conv2D(6, 1, use_bias=False, name="expand")(x)
    y = layers.BatchNormalization(scale=False, name="expand_bn")(y)
    y = layers.ReLU(6.0, name="relu6")(y)
    y = layers.ZeroPadding2D(((0, 1), (0, 1)), name="pad")(y)
    y = layers.DepthwiseConv2D(3, strides=2, use_bias=False, name="depthwise")(y)
    y = layers.BatchNormalization(center=False, epsilon=1e-2, name="depthwise_bn")(y)
    return keras.Model(x, layers.Conv2D(4, 1, name="project")(y))


@model()
def separable_convolution() -> keras.Model:
    x = keras.Input((6, 6, 3), name="image")
    return keras.Model(x, layers.SeparableConv2D(4, 3, depth_multiplier=2, name="separable")(x))


@model()
def transposed_convolution() -> keras.Model:
    x = keras.Input((3, 3, 4), name="code")
    y = layers.Conv2DTranspose(3, 3, strides=2, padding="same", output_padding=1, name="up_1")(x)
    y = layers.UpSampling2D(2, interpolation="bilinear", name="up_2")(y)
    return keras.Model(x, layers.Cropping2D(1, name="crop")(y))


@model()
def reshaping_layers() -> keras.Model:
    x = keras.Input((12,), name="x")
    y = layers.Reshape((3, -1), name="reshape")(x)
    y = layers.Permute((2, 1), name="permute")(y)
    y = layers.Dense(2, name="dense")(y)
    y = layers.RepeatVector(2, name="repeat")(layers.Flatten(name="flat")(y))
    return keras.Model(x, y)


@model()
def einsum_dense() -> keras.Model:
    x = keras.Input((5, 4), name="x")
    return keras.Model(x, layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de", name="heads")(x))
