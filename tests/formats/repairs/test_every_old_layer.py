"""Every layer class of Keras 2, written by tf_keras and opened here, computes the same in plain Keras 3."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any

import keras
import pytest

from modelrecipe.formats import read_checkpoint
from modelrecipe.formats.repair import inner_layers
from tests.old_keras import assert_same_numbers, convert, perturb, tf_keras, write
from tests.old_layers import CASES
from tests.running import refuse

if TYPE_CHECKING:
    from pathlib import Path

REFUSED = {
    "sequence-local": "the class 'LocallyConnected1D' of 'x' is none of Keras' own",
    "image-local": "the class 'LocallyConnected2D' of 'x' is none of Keras' own",
    "image-random-height": "the class 'RandomHeight' of 'x' is none of Keras' own",
    "image-random-width": "the class 'RandomWidth' of 'x' is none of Keras' own",
    "image-up-gaussian": "'x' (UpSampling2D) interpolates by 'gaussian', which Keras 3 cannot",
    "image-up-mitchellcubic": "'x' (UpSampling2D) interpolates by 'mitchellcubic', which Keras 3 cannot",
}
OPENED = [name for name in CASES if name not in REFUSED]
# Feature columns are code, and the others are no layers of their own; strings have a test of theirs.
LEFT_OUT = {
    "AbstractRNNCell",
    "DenseFeatures",
    "InputSpec",
    "Lambda",
    "Layer",
    "Wrapper",
    "StringLookup",
    "TextVectorization",
}


@pytest.fixture(autouse=True)
def _without_warnings_of_tf_keras() -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="tf_keras")
        yield


def reread(file: Path) -> Any:
    """The model as tf_keras reads it: what a layer derives from its weights is derived from those of the file."""
    return tf_keras.models.load_model(file, compile=False)


@pytest.mark.parametrize("name", OPENED)
@pytest.mark.parametrize("container", ["h5", pytest.param("keras", marks=pytest.mark.slow)])
def test_a_layer_of_keras_2_computes_the_same_in_keras_3(container: str, name: str, tmp_path: Path) -> None:
    case = CASES[name]
    file = write(perturb(case.model()), tmp_path / f"old.{container}")
    new = convert(file)
    old = perturb(case.model()) if name == "dense-spectral" else reread(file)
    inputs = case.inputs()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        given = new(inputs)
    assert isinstance(given, list | tuple) is isinstance(old(inputs), list | tuple)
    assert_same_numbers(old, new, inputs)


@pytest.mark.parametrize("name", REFUSED)
def test_a_layer_without_counterpart_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    layer = case.make()
    layer._name = "x"
    source = tf_keras.Input(case.shapes[0])
    write(tf_keras.Model(source, layer(source)), tmp_path / "old.h5")
    error = refuse(tmp_path, "load: old.h5", "save: new.keras")
    assert REFUSED[name] in str(error)
    assert "load: {path: ..., replace: {x: {class: " in str(error)


def test_every_class_of_keras_2_has_a_case(tmp_path: Path) -> None:
    used: set[str] = set()
    for name, case in CASES.items():
        config = tf_keras.layers.serialize(case.model(), use_legacy_format=True)
        used |= {name, *(layer["class_name"] for layer in inner_layers(config))}
    classes = {
        item.__name__
        for item in vars(tf_keras.layers).values()
        if inspect.isclass(item) and issubclass(item, tf_keras.layers.Layer)
    }
    assert classes - used - LEFT_OUT == set()


def test_a_model_of_keras_2_takes_and_gives_its_only_tensor_itself(tmp_path: Path) -> None:
    inner_source = tf_keras.Input((4,))
    inner = tf_keras.Model([inner_source], [tf_keras.layers.Dense(3)(inner_source)], name="inner")
    model = perturb(tf_keras.Sequential([tf_keras.Input((4,)), inner, tf_keras.layers.Dense(2)]))
    new = convert(write(model, tmp_path / "old.h5"))
    assert isinstance(new.get_layer("inner").input, keras.KerasTensor)
    assert_same_numbers(model, new, CASES["dense-plain"].inputs()[:, :4])


def test_a_file_that_plain_keras_reads_as_it_is_needs_no_repair(tmp_path: Path) -> None:
    names = ("dense-plain", "sequence-conv", "image-conv", "image-batch-normalization", "activation-leaky")
    for name in names:
        origin = read_checkpoint(write(CASES[name].model(), tmp_path / "old.h5")).origin
        assert origin is not None
        assert origin.repairs == ()
