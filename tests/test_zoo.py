"""The zoo itself: its models build quickly, twice alike, and plain Keras reloads them but for the listed few."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest

from tests.zoo import (
    FUNCTIONAL,
    KERAS_CANNOT_RELOAD,
    KERAS_CHANGES_WEIGHTS,
    NEEDS_CUSTOM,
    OPAQUE,
    RELOADABLE,
    TAGS,
    ZOO,
    assert_same_outputs,
    outputs,
    sample_inputs,
    weights_by_path,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_the_zoo_holds_at_least_sixty_models():
    assert len(ZOO) >= 60


def test_groups_and_exceptions_name_models_of_the_zoo():
    assert {*FUNCTIONAL, *OPAQUE, *NEEDS_CUSTOM, *KERAS_CANNOT_RELOAD, *KERAS_CHANGES_WEIGHTS} <= set(ZOO)
    assert set(TAGS) == set(ZOO)


@pytest.fixture(scope="module")
def warm() -> None:
    """The first model of a process pays for TensorFlow's start."""
    outputs(ZOO["chain"](), np.zeros((1, 4), "float32"))


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("name", ZOO)
def test_builds_always_alike(name: str):
    model = ZOO[name]()
    assert_same_outputs(model, ZOO[name](), sample_inputs(model))


@pytest.mark.parametrize("name", RELOADABLE)
def test_keras_reloads_it_bit_by_bit(name: str, save: Callable[..., Path]):
    model = ZOO[name]()
    reloaded = keras.saving.load_model(save(model))
    assert_same_outputs(model, reloaded, sample_inputs(model))
    if name in KERAS_CHANGES_WEIGHTS:
        return
    before, after = weights_by_path(model), weights_by_path(reloaded)
    assert list(before) == list(after)
    assert all(np.array_equal(before[path], after[path]) for path in before)


@pytest.mark.parametrize("name", KERAS_CHANGES_WEIGHTS)
def test_keras_still_changes_these_weights(name: str, save: Callable[..., Path]):
    model = ZOO[name]()
    before, after = weights_by_path(model), weights_by_path(keras.saving.load_model(save(model)))
    assert any(not np.array_equal(before[path], after[path]) for path in before)


@pytest.mark.filterwarnings("ignore:Skipping nested container:UserWarning")
@pytest.mark.parametrize("name", KERAS_CANNOT_RELOAD)
def test_keras_still_cannot_reload_it(name: str, save: Callable[..., Path]):
    model = ZOO[name]()
    inputs = sample_inputs(model)
    with pytest.raises((NotImplementedError, ValueError, AssertionError)):
        assert_same_outputs(model, keras.saving.load_model(save(model)), inputs)


@pytest.mark.parametrize("name", RELOADABLE)
def test_tags_agree_with_the_configuration(name: str):
    model = ZOO[name]()
    config = model.to_json()
    assert ("layers" in model.get_config()) == (name in FUNCTIONAL)
    assert ("zoo>" in config) == (name in NEEDS_CUSTOM)
    assert model.compiled == ("compiled" in TAGS[name])
    assert ("keras.src.ops" in config) == ("operations" in TAGS[name])
    assert ('"trainable": false' in config) == ("frozen" in TAGS[name])
    if name in FUNCTIONAL and not isinstance(model, keras.Sequential):
        is_structured = any(isinstance(end, list | dict) for end in (model.input, model.output))
        assert is_structured == ("structured" in TAGS[name])


def test_perturbed_weights_are_unlike_each_other_and_variances_positive():
    weights = weights_by_path(ZOO["residual"]())
    assert all(len(np.unique(values)) == values.size for values in weights.values())
    assert (weights["bn_1/moving_variance"] > 0).all()


def test_outputs_leaves_states_as_they_were():
    model = ZOO["stateful_recurrence"]()
    inputs = sample_inputs(model)
    assert np.array_equal(outputs(model, inputs)[0], outputs(model, inputs)[0])


def test_sample_inputs_keeps_structure_and_types():
    inputs = sample_inputs(ZOO["integer_inputs"]())
    assert {key: str(values.dtype) for key, values in inputs.items()} == {k: k for k in ("int32", "int64", "uint8")}
    assert sample_inputs(ZOO["optional_input"]())["mask"] is None
    assert isinstance(sample_inputs(ZOO["single_element_lists"]()), list)


def test_a_changed_weight_is_seen_and_located():
    a, b = ZOO["chain"](), ZOO["chain"]()
    b.get_layer("head").bias.assign_add([1.0, 0.0, 0.0])
    with pytest.raises(AssertionError, match=r"output 0: \d+ of 9 numbers differ, first at \(0, 0\)"):
        assert_same_outputs(a, b, sample_inputs(a))


def test_nan_equals_nan():
    model = ZOO["no_layers"]()
    assert_same_outputs(model, model, np.full((1, 4), np.nan, "float32"))


def test_weights_are_named_by_path():
    assert list(weights_by_path(ZOO["nested_two_deep"]())) == [
        "middle/innermost/dense/kernel",
        "middle/innermost/dense/bias",
        "middle/innermost/norm/gamma",
        "middle/innermost/norm/beta",
        "middle/innermost/norm/moving_mean",
        "middle/innermost/norm/moving_variance",
        "middle/middle_dense/kernel",
        "middle/middle_dense/bias",
        "head/kernel",
        "head/bias",
    ]
