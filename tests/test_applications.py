"""The architectures of `keras.applications`: the table of names, and each one carried through edits and back."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest

from modelrecipe.applications import _COMMON, ARCHITECTURES
from tests.running import leaves, run, same_bits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOT_OFFERED = ("classifier_activation", "input_tensor", "name")


def constructors() -> dict[str, Callable[..., keras.Model]]:
    found = vars(keras.applications).items()
    return {name: value for name, value in found if inspect.isfunction(value) and name[0].isupper()}


def test_the_table_names_what_keras_has():
    assert set(ARCHITECTURES) == set(constructors())
    assert len(ARCHITECTURES) == 40


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_table_knows_every_argument(name: str):
    parameters = set(inspect.signature(constructors()[name]).parameters)
    assert {*_COMMON, *ARCHITECTURES[name]} - {"classifier_activation"} == parameters - set(NOT_OFFERED)


def convnext(depths: tuple[int, ...]) -> Callable[..., keras.Model]:
    """The graph of a large ConvNeXt with few channels."""
    from keras.src.applications.convnext import ConvNeXt

    return lambda: ConvNeXt(
        depths=list(depths), projection_dims=[8, 12, 16, 20], weights=None, input_shape=(64, 64, 3), name="convnext"
    )


def efficient_v2_large() -> keras.Model:
    from keras.src.applications.efficientnet_v2 import EfficientNetV2

    return EfficientNetV2(
        0.25, 1.0, 32, weights=None, include_top=False, input_shape=(64, 64, 3), name="efficientnetv2-l"
    )


def efficient_b7() -> keras.Model:
    from keras.src.applications.efficientnet import EfficientNet

    return EfficientNet(0.25, 3.1, 32, weights=None, include_top=False, input_shape=(64, 64, 3), name="b7")


def nasnet_large() -> keras.Model:
    from keras.src.applications.nasnet import NASNet

    return NASNet(
        input_shape=(64, 64, 3),
        penultimate_filters=96,
        num_blocks=2,
        stem_block_filters=8,
        weights=None,
        include_top=False,
        default_size=331,
    )


NARROW: dict[str, Callable[[], keras.Model]] = {
    "ConvNeXtBase": convnext((3, 3, 27, 3)),
    "ConvNeXtLarge": convnext((3, 3, 27, 3)),
    "ConvNeXtXLarge": convnext((3, 3, 27, 3)),
    "EfficientNetB7": efficient_b7,
    "EfficientNetV2L": efficient_v2_large,
    "NASNetLarge": nasnet_large,
}
"""Where full width would be more than 60 million parameters: the same graph with few channels."""

SMALL: dict[str, dict[str, Any]] = {
    "InceptionResNetV2": {"input_shape": (75, 75, 3)},
    "InceptionV3": {"input_shape": (75, 75, 3)},
    "NASNetMobile": {},
    "Xception": {"input_shape": (71, 71, 3)},
}


def built(name: str) -> keras.Model:
    """The architecture without its classifier on a small picture, every weight moved off its initial value."""
    keras.utils.set_random_seed(7)
    if name in NARROW:
        model = NARROW[name]()
    elif name == "NASNetMobile":
        model = keras.applications.NASNetMobile(weights=None)
    else:
        arguments = {"input_shape": (32, 32, 3), **SMALL.get(name, {})}
        model = constructors()[name](weights=None, include_top=False, **arguments)
    rng = np.random.default_rng(7)
    for weight in model.weights:
        # What `Normalization` uses is computed from its weights when it is loaded, and not when they are assigned.
        if len(weight.shape) == 1 and weight.name not in ("mean", "variance"):
            weight.assign(weight.numpy() + rng.uniform(0.0, 0.02, weight.shape))
    return model


RELU = (
    "replace: {layers: {type: layers.ReLU, config: {max_value: 6}, expect: '0..999'},"
    " with: {class: Activation, config: {activation: relu6}}}",
    "replace: {layers: {type: Activation, config: {activation: relu}, expect: '0..999'}, with: ReLU}",
    "insert: {after: '*', layer: Identity}",
)
BACK = (
    "remove: {layers: {type: Identity}}",
    "replace: {layers: {type: Activation, config: {activation: relu6}, expect: '0..999'},"
    " with: {class: ReLU, config: {max_value: 6}}}",
)


def assert_same(before: keras.Model, after: keras.Model, *, names: bool = True) -> None:
    inputs = np.random.default_rng(3).random((1, *before.input_shape[1:])).astype("float32")
    wanted = np.asarray(before(inputs, training=False))
    assert np.isfinite(wanted).all()
    assert np.array_equal(wanted, np.asarray(after(inputs, training=False)))
    assert len(before.weights) == len(after.weights)
    for one, other in zip(before.weights, after.weights, strict=True):
        assert same_bits(one.numpy(), other.numpy())
    if names:
        assert list(leaves(before)) == list(leaves(after))
        assert [layer.name for layer in before.layers] == [layer.name for layer in after.layers]
        assert [layer.trainable for layer in before.layers] == [layer.trainable for layer in after.layers]


FIRST = (
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "VGG19",
    "Xception",
)
"""One or two of each family, whose others differ in depth and width alone."""


@pytest.mark.slow
@pytest.mark.parametrize("name", FIRST)
def test_an_empty_recipe_and_edits_change_no_output(name: str, tmp_path: Path):
    model = built(name)
    model.save(tmp_path / "m.keras")
    run(tmp_path, "load: m.keras", "save: same.keras", *RELU, "save: edited.keras")
    assert_same(model, keras.saving.load_model(tmp_path / "same.keras", compile=False))
    edited = keras.saving.load_model(tmp_path / "edited.keras", compile=False)
    assert len(edited.layers) >= 2 * len(model.layers)
    assert_same(model, edited, names=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_edits_and_their_undoing_give_the_same_model(name: str, tmp_path: Path):
    model = built(name)
    model.save(tmp_path / "m.keras")
    outcome = run(tmp_path, "load: m.keras", *RELU, *BACK, "save: back.keras")
    assert outcome.outputs[0].how == "built"
    assert_same(model, keras.saving.load_model(tmp_path / "back.keras", compile=False))
