"""`configure`: which arguments are set, in which places, and what is no setting."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from modelrecipe.engine.digest import TensorDigests
from modelrecipe.engine.proof import prove
from modelrecipe.errors import ProofError
from modelrecipe.formats import read_checkpoint
from modelrecipe.graph import Layer, update_layers
from modelrecipe.step import Change
from tests import zoo
from tests.running import differences, edit, load, refuse_edit, run, same_bits
from tests.zoo.custom import Scale

if TYPE_CHECKING:
    from pathlib import Path


def small() -> keras.Model:
    x = keras.Input((8,), name="x")
    y = layers.Dense(6, activation="relu", name="first")(x)
    y = layers.Dropout(0.5, name="drop")(y)
    y = layers.BatchNormalization(name="norm")(y)
    y = layers.LeakyReLU(negative_slope=0.2, name="leak")(y)
    return keras.Model(x, layers.Dense(3, name="head")(y), name="small")


def given(layer: Any, key: str) -> Any:
    return layer.get_config()[key]


def test_a_rate_is_set_and_nothing_else(tmp_path: Path):
    model = small()
    after = edit(tmp_path, model, "configure: {layers: {type: Dropout}, config: {rate: 0.3}}")
    assert differences(model, after) == ["~ drop.rate"]
    assert after.get_layer("drop").rate == 0.3


def test_the_change_says_old_and_new(tmp_path: Path):
    small().save(tmp_path / "m.keras")
    outcome = run(
        tmp_path,
        "load: m.keras",
        "configure: {layers: norm, config: {momentum: 0.9, epsilon: 1e-5, gamma_regularizer: {class: L2}}}",
        "configure: {layers: norm, config: {gamma_constraint: null, gamma_regularizer: null}}",
        "save: out.keras",
    )
    changes = [change for step in outcome.steps for change in step.changes]
    assert [change.what for change in changes] == [
        "momentum: 0.99 → 0.9, epsilon: 0.001 → 1e-05, gamma_regularizer: none → L2()",
        "gamma_regularizer: L2() → none",
    ]
    assert changes[0].settings == ("momentum", "epsilon", "gamma_regularizer")


def test_it_streams_without_keras_and_keeps_every_weight(tmp_path: Path):
    model = small()
    model.save(tmp_path / "m.keras")
    text = "version: 1\nsteps: [{load: m.keras}, {configure: {layers: drop, config: {rate: 0.1}}}, {save: out.keras}]\n"
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    code = (
        "import sys, modelrecipe\n"
        "outcome = modelrecipe.load_recipe('recipe.yaml').run()\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)\n"
        "print(outcome.outputs[0].how, outcome.outputs[0].proof.identical)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["streamed", str(len(model.weights))]
    assert differences(model, load(tmp_path / "out.keras")) == ["~ drop.rate"]


def test_old_hdf5_streams_too_and_keeps_its_optimizer(tmp_path: Path):
    model = small()
    model.compile(optimizer="adam", loss=keras.losses.MeanSquaredError())
    model.fit(np.zeros((2, 8)), np.zeros((2, 3)), verbose=0)
    model.save(tmp_path / "m.h5")
    outcome = run(tmp_path, "load: m.h5", "configure: {layers: leak, config: {negative_slope: 0.05}}", "save: out.h5")
    assert outcome.outputs[0].how == "streamed"
    after = load(tmp_path / "out.h5")
    assert differences(model, after) == ["~ leak.negative_slope"]
    with h5py.File(tmp_path / "out.h5") as file:
        assert "optimizer_weights" in file


def test_it_arrives_in_a_model_that_is_built(tmp_path: Path):
    model = small()
    after = edit(
        tmp_path,
        model,
        "configure: {layers: {type: Dense}, config: {kernel_regularizer: {class: L1, config: {l1: 0.01}}}}",
        "configure: {layers: first, config: {kernel_constraint: non_neg, activation: tanh, bias_initializer: ones}}",
        "insert: {after: drop, layer: {class: Identity, name: added}}",
    )
    assert differences(model, after) == [
        "+ added",
        "~ first.activation",
        "~ first.bias_initializer",
        "~ first.kernel_constraint",
        "~ first.kernel_regularizer",
        "~ head.kernel_regularizer",
    ]
    assert after.get_layer("first").kernel_constraint.__class__ is keras.constraints.NonNeg
    assert len(after.losses) == 2


def test_another_activation_gives_other_outputs_from_the_same_weights(tmp_path: Path):
    model = small()
    after = edit(tmp_path, model, "configure: {layers: first, config: {activation: swish}}")
    data = np.random.default_rng(0).normal(size=(4, 8)).astype("float32")
    model.get_layer("first").activation = keras.activations.swish
    assert same_bits(np.asarray(after(data)), np.asarray(model(data)))


def test_a_value_that_is_there_already_is_no_change(tmp_path: Path):
    small().save(tmp_path / "m.keras")
    outcome = run(tmp_path, "load: m.keras", "configure: {layers: drop, config: {rate: 0.5}}", "save: out.keras")
    assert outcome.steps[1].changes == ()


def test_what_a_wrapper_wraps_is_meant_in_both_directions(tmp_path: Path):
    model = zoo.ZOO["bidirectional"]()
    after = edit(tmp_path, model, "configure: {layers: both, config: {recurrent_dropout: 0.4}}")
    both = after.get_layer("both")
    assert [both.forward_layer.recurrent_dropout, both.backward_layer.recurrent_dropout] == [0.4, 0.4]
    assert [item.removeprefix("~ both.") for item in differences(model, after)] == ["backward_layer", "layer"]


@pytest.mark.parametrize("selected", ["step", "each"])
def test_one_object_that_is_wrapped_and_bare_is_changed_in_both_places(selected: str, tmp_path: Path):
    model = zoo.ZOO["one_layer_wrapped_and_bare"]()
    after = edit(tmp_path, model, f"configure: {{layers: {selected}, config: {{kernel_regularizer: l2}}}}")
    assert after.get_layer("each").layer is after.get_layer("step")
    assert differences(model, after) == ["~ each.layer", "~ step.kernel_regularizer"]
    assert len(after.losses) == 1


def test_a_model_stands_for_its_layers(tmp_path: Path):
    model = zoo.ZOO["nested_called_three_times"]()
    after = edit(tmp_path, model, "configure: {layers: inner, config: {activity_regularizer: l2}}")
    assert differences(model, after)
    assert all(item.endswith(".activity_regularizer") for item in differences(model, after))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{ratee: 0.3}", "4:40: configure.config: unknown argument 'ratee' of Dropout; did you mean 'rate'?"),
        ("{rate: high}", "4:46: configure.config.rate: argument 'rate' of Dropout must be a number, not 'high'"),
        (
            "{rate: 2}",
            "4:46: configure.config.rate: argument 'rate' of Dropout must be at least 0 and at most 1, not 2",
        ),
        (
            "{trainable: false}",
            "4:51: configure.config.trainable: argument 'trainable' of Dropout is no setting; use freeze or unfreeze",
        ),
        (
            "{dtype: float16}",
            "4:47: configure.config.dtype: argument 'dtype' of Dropout is no setting: it may change variables, shapes"
            " or the graph; use replace, as with: {class: Dropout, config: {dtype: ...}} and inherit: config",
        ),
    ],
)
def test_what_is_no_setting_or_no_value_of_one_is_refused(config: str, said: str, tmp_path: Path):
    assert refuse_edit(tmp_path, small(), f"configure: {{layers: drop, config: {config}}}") == said


@pytest.mark.parametrize("key", ["filters", "kernel_size", "strides", "padding", "use_bias", "data_format", "groups"])
def test_what_makes_variables_or_shapes_is_no_setting(key: str, tmp_path: Path):
    value = {"padding": "same", "use_bias": "false", "data_format": "channels_first"}.get(key, "1")
    said = refuse_edit(
        tmp_path, zoo.ZOO["residual"](), f"configure: {{layers: {{type: Conv2D}}, config: {{{key}: {value}}}}}"
    )
    assert f"argument '{key}' of Conv2D is no setting: it may change variables, shapes or the graph" in said


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            "{activation: glu}",
            "4:53: configure.config.activation: argument 'activation' of Dense cannot become 'glu',"
            " which gives another shape or needs arguments",
        ),
        (
            "{kernel_regularizer: {class: L3}}",
            "4:61: configure.config.kernel_regularizer: argument 'kernel_regularizer' of Dense is of an unknown"
            " class 'L3'",
        ),
        (
            "{lora_rank: 4}",
            "4:52: configure.config.lora_rank: argument 'lora_rank' of Dense is no setting;"
            " use enable_lora or merge_lora",
        ),
    ],
)
def test_values_that_would_break_the_layer_are_refused(config: str, said: str, tmp_path: Path):
    assert refuse_edit(tmp_path, small(), f"configure: {{layers: first, config: {config}}}") == said


def test_classes_that_are_not_known_are_refused(tmp_path: Path):
    x = keras.Input((8,), name="x")
    model = keras.Model(x, Scale(name="own")(x))
    assert refuse_edit(tmp_path, model, "configure: {layers: own, config: {initial: 2}}") == (
        "4:25: configure.layers: 'own' is a zoo>Scale, of whose arguments nothing is known;"
        " select layers of Keras' own classes"
    )


def test_a_change_that_no_step_names_is_found(tmp_path: Path):
    small().save(tmp_path / "m.keras")
    source = read_checkpoint(tmp_path / "m.keras")

    def other(layer: Layer) -> Layer:
        return replace(layer, config={**layer.config, "rate": 0.1})

    edited = replace(source, model=update_layers(source.model, {"drop": other}))
    change = Change(kind="~", layer="drop", key="drop", what="rate", settings=("rate",))
    assert prove(source, edited, edited, [change], TensorDigests()).changed == 0
    with pytest.raises(ProofError, match="'rate' of 'drop' changed, but no step names it"):
        prove(source, edited, edited, [replace(change, settings=("seed",))], TensorDigests())
