"""`freeze`: whose flag falls, and that nothing else changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
from keras import layers

from modelrecipe.edit import flags
from tests import zoo
from tests.running import differences, edit, leaves, load, refuse_edit, run

if TYPE_CHECKING:
    from pathlib import Path


def test_freeze_lowers_the_named_flags_alone(tmp_path: Path):
    model = zoo.ZOO["residual"]()
    frozen = edit(tmp_path, model, "freeze: 'conv_*'")
    assert differences(model, frozen) == ["~ conv_1 flag", "~ conv_2 flag"]
    zoo.assert_same_outputs(model, frozen, zoo.sample_inputs(model))


def test_a_range_freezes_everything_up_to_a_layer(tmp_path: Path):
    model = zoo.ZOO["image_classifier"]()
    frozen = edit(tmp_path, model, "freeze: {layers: {until: relu}}")
    assert [name for name, layer in leaves(frozen).items() if not layer.trainable] == ["conv", "bn", "relu"]


def test_a_selected_model_stands_for_its_leaves(tmp_path: Path):
    model = zoo.ZOO["nested_three_deep"]()
    frozen = edit(tmp_path, model, "freeze: level_1")
    found = {path for path, layer in leaves(frozen).items() if not layer.trainable}
    assert {"level_1/dense_1", "level_1/level_2/dense_2", "level_1/level_2/level_3/norm"} <= found
    assert "head" not in found
    assert [weight.path for weight in frozen.trainable_weights] == ["head/kernel", "head/bias"]


def test_a_frozen_layer_stays_as_it_is_under_fit(tmp_path: Path):
    frozen = edit(tmp_path, zoo.ZOO["residual"](), "freeze: {layers: {until: bn_1}}")
    before = zoo.weights_by_path(frozen)
    frozen.compile("sgd", "mse")
    inputs = zoo.sample_inputs(frozen)
    frozen.fit(inputs, np.zeros((len(inputs), 4), "float32"), epochs=2, verbose=0)
    after = zoo.weights_by_path(frozen)
    moved = {path for path in before if not np.array_equal(before[path], after[path])}
    assert {path.partition("/")[0] for path in moved} == {"conv_2", "bn_2"}


def test_a_layer_of_the_same_recipe_can_be_frozen(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    added = "insert: {after: first, layer: {class: Dense, config: {units: 8}, name: added}}"
    frozen = edit(tmp_path, model, added, "freeze: added")
    assert not frozen.get_layer("added").trainable
    assert differences(model, frozen) == ["+ added"]


def test_freezing_what_is_frozen_changes_nothing(tmp_path: Path):
    model = zoo.ZOO["frozen_leaf"]()
    once = edit(tmp_path, model, "freeze: '*'")
    outcome = run(tmp_path, "load: out.keras", "freeze: '*'", "save: again.keras")
    assert outcome.steps[1].changes == ()
    assert differences(once, load(tmp_path / "again.keras")) == []


def test_a_wrapper_freezes_what_it_wraps(tmp_path: Path):
    x = keras.Input((5, 4), name="x")
    y = layers.TimeDistributed(layers.Dense(3, name="inner"), name="each")(x)
    model = keras.Model(x, layers.Bidirectional(layers.LSTM(2), name="both")(y))
    assert edit(tmp_path, model, "freeze: '*'").trainable_weights == []


def test_a_shared_layer_is_frozen_once_for_all_calls(tmp_path: Path):
    model = zoo.ZOO["shared_at_depths"]()
    model.save(tmp_path / "m.keras")
    outcome = run(tmp_path, "load: m.keras", "freeze: a", "save: out.keras")
    assert [change.layer for change in outcome.steps[1].changes] == ["a"]
    assert differences(model, load(tmp_path / "out.keras")) == ["~ a flag"]


def test_it_declines_a_layer_that_forgets_its_flag(tmp_path: Path):
    model = zoo.ZOO["attention_by_keyword"]()
    assert refuse_edit(tmp_path, model, "freeze: '*'") == (
        "4:13: freeze.layers: 'attention' is a MultiHeadAttention, whose inner layers Keras would train again once the"
        " file is loaded; leave it out, as {not: {type: MultiHeadAttention}}, or freeze it in Python after loading"
    )


def test_it_declines_a_wrapped_layer_that_forgets_its_flag(tmp_path: Path):
    x = keras.Input((6, 5, 4, 3), name="x")
    model = keras.Model(x, layers.TimeDistributed(layers.ConvLSTM1D(2, 2), name="each")(x))
    assert "'each' is a ConvLSTM1D, whose inner layers" in refuse_edit(tmp_path, model, "freeze: each")


COMPOSITE = {
    "Bidirectional": ((5, 4), lambda x: layers.Bidirectional(layers.GRU(2))(x)),
    "ConvLSTM1D": ((5, 4, 3), lambda x: layers.ConvLSTM1D(2, 2)(x)),
    "ConvLSTM2D": ((3, 4, 4, 3), lambda x: layers.ConvLSTM2D(2, 2)(x)),
    "ConvLSTM3D": ((2, 4, 4, 4, 3), lambda x: layers.ConvLSTM3D(2, 2)(x)),
    "GRU": ((5, 4), lambda x: layers.GRU(2)(x)),
    "GroupedQueryAttention": ((5, 4), lambda x: layers.GroupQueryAttention(2, 2, 2)(x, x)),
    "LSTM": ((5, 4), lambda x: layers.LSTM(2)(x)),
    "MultiHeadAttention": ((5, 4), lambda x: layers.MultiHeadAttention(2, 2)(x, x)),
    "RNN": ((5, 4), lambda x: layers.RNN([layers.LSTMCell(2), layers.GRUCell(2)])(x)),
    "SimpleRNN": ((5, 4), lambda x: layers.SimpleRNN(2)(x)),
    "SpectralNormalization": ((4,), lambda x: layers.SpectralNormalization(layers.Dense(2))(x)),
    "TimeDistributed": ((5, 4), lambda x: layers.TimeDistributed(layers.Dense(2))(x)),
}


@pytest.mark.parametrize("name", COMPOSITE)
def test_keras_still_forgets_the_flags_of_these_and_no_other(name: str, tmp_path: Path):
    shape, call = COMPOSITE[name]
    x = keras.Input(shape)
    model = keras.Model(x, call(x))
    model.layers[1].trainable = False
    model.save(tmp_path / "m.keras")
    assert (load(tmp_path / "m.keras").trainable_weights != []) == (name in flags._FORGETFUL)


@pytest.mark.parametrize(("chosen", "left"), [("step", "each"), ("each", "step")])
def test_a_layer_that_stands_in_a_wrapper_too_is_frozen_at_both_places_or_at_none(
    chosen: str, left: str, tmp_path: Path
):
    model = zoo.ZOO["one_layer_wrapped_and_bare"]()
    assert refuse_edit(tmp_path, model, f"freeze: {chosen}") == (
        f"4:13: freeze.layers: '{chosen}' and '{left}' hold one and the same layer, and Keras keeps one flag for both;"
        f" select both, as {{any: ['{chosen}', '{left}']}}"
    )
    frozen = edit(tmp_path, model, "freeze: {layers: {any: [step, each]}}")
    assert frozen.trainable_weights == []
