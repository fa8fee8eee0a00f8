"""Surgery where calls are unusual: keywords, masks, several outputs, reuse at different depths, mixed policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
from keras import layers

from tests import zoo
from tests.running import differences, edit, refuse, refuse_edit, told

if TYPE_CHECKING:
    from pathlib import Path


def attention() -> keras.Model:
    """Query and value come by keyword from layers of their own."""
    x = keras.Input((5, 4), name="x")
    query, value = layers.Dense(4, name="to_query")(x), layers.Dense(4, name="to_value")(x)
    y = layers.MultiHeadAttention(2, 2, name="attention")(query=query, value=value, use_causal_mask=True)
    return keras.Model(x, layers.Dense(2, name="head")(y))


def test_keyword_tensors_follow_an_insertion(tmp_path: Path):
    model = attention()
    after = edit(tmp_path, model, "insert: {after: to_value, layer: {class: Rescaling, config: {scale: 0.5}}}")
    assert differences(model, after) == ["+ to_value_rescaling"]
    part = keras.Model(model.input, [model.get_layer(name).output for name in ("to_query", "to_value")])
    query, value = part(zoo.sample_inputs(model))
    attended = model.get_layer("attention")(query=query, value=value * 0.5, use_causal_mask=True)
    wanted = np.asarray(model.get_layer("head")(attended))
    assert np.array_equal(zoo.outputs(after, zoo.sample_inputs(model))[0], wanted)


def test_keyword_settings_of_a_call_survive_a_replacement(tmp_path: Path):
    model = attention()
    step = "replace: {layers: attention, with: MultiHeadAttention, inherit: config, weights: keep}"
    after = edit(tmp_path, model, step)
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


def test_a_keyword_tensor_is_removed_to_what_fed_it(tmp_path: Path):
    model = attention()
    after = edit(tmp_path, model, "remove: to_value")
    assert differences(model, after) == ["- to_value"]


def test_training_false_of_a_nested_call_survives(tmp_path: Path):
    model = zoo.ZOO["nested_in_inference"]()
    after = edit(tmp_path, model, "insert: {after: head, layer: Identity}")
    inputs = zoo.sample_inputs(model)
    assert np.array_equal(np.asarray(model(inputs, training=True)), np.asarray(after(inputs, training=True)))


def embedded(*, mask_zero: bool) -> keras.Model:
    x = keras.Input((5,), dtype="int32", name="x")
    y = layers.Embedding(6, 4, mask_zero=mask_zero, name="emb")(x)
    y = layers.LSTM(3, return_sequences=True, name="lstm")(y)
    return keras.Model(x, layers.GlobalAveragePooling1D(name="mean")(y))


@pytest.mark.parametrize("now", [True, False])
@pytest.mark.parametrize("was", [True, False])
def test_a_mask_is_that_of_the_new_embedding(was: bool, now: bool, tmp_path: Path):
    model = embedded(mask_zero=was)
    config = f"{{mask_zero: {str(now).lower()}}}"
    step = f"replace: {{layers: emb, with: {{class: Embedding, config: {config}}}, inherit: config, weights: keep}}"
    after = edit(tmp_path, model, step)
    wanted = embedded(mask_zero=now)
    wanted.set_weights(model.get_weights())
    zoo.assert_same_outputs(wanted, after, zoo.sample_inputs(model))


@pytest.mark.filterwarnings("ignore:Layer 'c' .of type Conv1D. was passed an input with a mask")
def test_a_mask_stops_where_a_layer_that_gives_none_is_put(tmp_path: Path):
    model = embedded(mask_zero=True)
    after = edit(
        tmp_path, model, "insert: {after: emb, layer: {class: Conv1D, config: {filters: 4, kernel_size: 1}, name: c}}"
    )
    x = keras.Input((5,), dtype="int32", name="x")
    y = layers.Conv1D(4, 1, name="c")(layers.Embedding(6, 4, mask_zero=True, name="emb")(x))
    y = layers.LSTM(3, return_sequences=True, name="lstm")(y)
    wanted = keras.Model(x, layers.GlobalAveragePooling1D(name="mean")(y))
    wanted.set_weights(after.get_weights())
    zoo.assert_same_outputs(wanted, after, zoo.sample_inputs(model))


def test_a_removed_embedding_of_floats_leaves_no_mask(tmp_path: Path):
    x = keras.Input((5, 4), name="x")
    y = layers.Masking(name="masking")(x)
    y = layers.LSTM(3, return_sequences=True, name="one")(y)
    model = keras.Model(x, layers.LSTM(2, name="two")(y))
    after = edit(tmp_path, model, "remove: masking")
    y = layers.LSTM(2, name="two")(layers.LSTM(3, return_sequences=True, name="one")(x))
    wanted = keras.Model(x, y)
    wanted.set_weights(model.get_weights())
    inputs = np.array(zoo.sample_inputs(model))
    inputs[:, 3:] = 0
    zoo.assert_same_outputs(wanted, after, inputs)


def test_states_of_a_recurrent_layer_are_still_taken_one_by_one(tmp_path: Path):
    model = zoo.ZOO["encoder_decoder"]()
    after = edit(tmp_path, model, "insert: {before: {role: output}, layer: Identity}")
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


def test_a_layer_whose_outputs_are_used_one_by_one_is_not_bypassed(tmp_path: Path):
    model = zoo.ZOO["returned_states"]()
    name = next(layer.name for layer in model.layers if isinstance(layer, layers.LSTM))
    assert refuse_edit(tmp_path, model, f"remove: {name}") == (
        f"4:13: remove.layers: several outputs of '{name}' are used, so no single tensor can take their place"
    )


def test_a_replacement_that_gives_fewer_outputs_is_refused(tmp_path: Path):
    x = keras.Input((5, 4), name="x")
    whole, last, _ = layers.LSTM(3, return_sequences=True, return_state=True, name="lstm")(x)
    model = keras.Model(x, [whole, last])
    model.save(tmp_path / "m.keras")
    step = "replace: {layers: lstm, with: {class: GRU, config: {units: 3}}, weights: fresh}"
    said = told(refuse(tmp_path, "load: m.keras", step, "save: out.keras"))
    assert said == (
        "4:14: replace: the model takes output 1 of 'lstm', which gives fewer outputs; replace it by a layer that gives"
        " as many"
    )


def test_one_model_called_three_times_is_edited_once(tmp_path: Path):
    model = zoo.ZOO["nested_called_three_times"]()
    step = "replace: {layers: inner/norm, with: {class: BatchNormalization, config: {epsilon: 0.1}}, inherit: config, weights: keep}"
    after = edit(tmp_path, model, step)
    assert differences(model, after) == ["~ inner/norm.epsilon"]
    assert len(after.get_layer("inner")._inbound_nodes) >= 3


def test_a_layer_that_is_also_used_outside_a_nested_model_is_edited_in_both_places(tmp_path: Path):
    model = zoo.ZOO["one_layer_wrapped_and_bare"]()
    after = edit(tmp_path, model, "insert: {after: {role: output}, layer: Identity}")
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


def test_flags_survive_a_rebuild_at_every_depth(tmp_path: Path):
    model = zoo.ZOO["nested_three_deep"]()
    model.get_layer("level_1").get_layer("level_2").get_layer("level_3").get_layer("dense").trainable = False
    model.get_layer("level_1").get_layer("dense_1").trainable = False
    after = edit(tmp_path, model, "insert: {after: head, layer: Identity}")
    assert differences(model, after) == ["+ head_identity"]


@pytest.mark.parametrize(
    "name", ["mixed_float16", "mixed_bfloat16", "policies_inside_nested", "float64_inside_float32"]
)
def test_policies_survive_a_rebuild(name: str, tmp_path: Path):
    model = zoo.ZOO[name]()
    after = edit(tmp_path, model, "insert: {after: {role: output}, layer: Identity}")
    assert all(line.startswith("+ ") for line in differences(model, after))
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


def test_random_layers_still_draw(tmp_path: Path):
    model = zoo.ZOO["image_classifier"]()
    after = edit(tmp_path, model, "insert: {after: relu, layer: {class: Dropout, config: {rate: 0.5, seed: 3}}}")
    inputs = zoo.sample_inputs(model)
    assert not np.array_equal(np.asarray(after(inputs, training=True)), np.asarray(after(inputs, training=True)))


def test_several_structural_steps_build_what_one_by_one_would(tmp_path: Path):
    model = zoo.ZOO["residual"]()
    steps = (
        "insert: {after: image, layer: {class: Rescaling, config: {scale: 0.5}}}",
        "replace: {layers: relu_1, with: ELU}",
        "remove: bn_2",
        "rename: {layers: gap, to: pooled}",
        "freeze: conv_1",
    )
    together = edit(tmp_path, model, *steps)
    one_by_one = model
    for step in steps:
        one_by_one = edit(tmp_path, one_by_one, step)
    assert differences(one_by_one, together) == []
    zoo.assert_same_outputs(one_by_one, together, zoo.sample_inputs(model))
