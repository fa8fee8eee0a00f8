"""`replace`: what the new layer takes over, what it does not, and that the rest stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
from keras import layers

from tests import zoo
from tests.running import differences, edit, names, refuse_edit, run, same_bits

if TYPE_CHECKING:
    from pathlib import Path


def test_pooling_is_exchanged_under_the_old_name(tmp_path: Path):
    model = zoo.ZOO["image_classifier"]()
    after = edit(
        tmp_path, model, "replace: {layers: {type: MaxPooling2D, expect: 1}, with: AveragePooling2D, inherit: config}"
    )
    assert differences(model, after) == ["~ pool class"]
    assert type(after.get_layer("pool")) is layers.AveragePooling2D
    assert after.get_layer("pool").pool_size == model.get_layer("pool").pool_size
    assert names(after) == names(model)


def test_a_head_for_other_classes_begins_anew(tmp_path: Path):
    model = zoo.ZOO["image_classifier"]()
    head = "{class: Dense, config: {units: 5, activation: softmax}}"
    after = edit(tmp_path, model, f"replace: {{layers: predictions, with: {head}, weights: fresh}}")
    found = [line for line in differences(model, after) if not line.startswith("~ predictions")]
    assert found == []
    assert after.output_shape == (None, 5)


def test_numbers_are_kept_when_they_shall(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    after = edit(
        tmp_path,
        model,
        "replace: {layers: first, with: {class: Dense, config: {activation: tanh}}, inherit: [units, use_bias], weights: keep}",
    )
    assert differences(model, after) == ["~ first.activation"]


def test_without_a_bias_the_kernel_is_kept_and_the_bias_goes(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    step = "replace: {layers: first, with: {class: Dense, config: {use_bias: false}}, inherit: config, weights: keep}"
    model.save(tmp_path / "m.keras")
    outcome = run(tmp_path, "load: m.keras", step, "save: out.keras")
    after = keras.saving.load_model(tmp_path / "out.keras")
    assert same_bits(after.get_layer("first").kernel.numpy(), model.get_layer("first").kernel.numpy())
    assert len(after.get_layer("first").weights) == 1
    assert outcome.steps[1].changes[0].what == "Dense → Dense, kernel kept, bias dropped"


def test_a_config_key_is_changed_and_all_others_inherited(tmp_path: Path):
    model = zoo.ZOO["residual"]()
    step = "replace: {layers: 'bn_*', with: {class: BatchNormalization, config: {momentum: 0.9}}, inherit: config, weights: keep}"
    assert differences(model, edit(tmp_path, model, step)) == ["~ bn_1.momentum", "~ bn_2.momentum"]


def test_a_frozen_flag_survives_when_weights_are_kept(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    model.get_layer("first").trainable = False
    step = "replace: {layers: first, with: {class: Dense, config: {activation: elu}}, inherit: config, weights: keep}"
    assert differences(model, edit(tmp_path, model, step)) == ["~ first.activation"]


def test_fresh_weights_train_in_place_of_frozen_ones(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    model.trainable = False
    step = "replace: {layers: head, with: {class: Dense, config: {units: 3}}, weights: fresh}"
    after = edit(tmp_path, model, step, "unfreeze: head")
    assert [weight.path for weight in after.trainable_weights] == ["head/kernel", "head/bias"]


def test_a_chain_takes_one_place(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    dense = "{class: Dense, weights: fresh, config: {units: %d}}"
    after = edit(tmp_path, model, f"replace: {{layers: head, with: [{dense % 5}, BatchNormalization, {dense % 3}]}}")
    assert names(after) == ["features", "first", "second", "head_dense", "head_batch_normalization", "head"]


def test_the_dtype_policy_stays(tmp_path: Path):
    model = zoo.ZOO["mixed_float16"]()
    old = next(layer for layer in model.layers if type(layer) is layers.Dense)
    after = edit(
        tmp_path,
        model,
        f"replace: {{layers: {old.name}, with: {{class: Dense, config: {{units: {old.units}}}}}, weights: keep}}",
    )
    assert after.get_layer(old.name).dtype_policy == old.dtype_policy


def test_a_shared_layer_is_replaced_by_one_shared_layer(tmp_path: Path):
    model = zoo.ZOO["shared_twice"]()
    step = "replace: {layers: tower, with: {class: Dense, config: {units: 3, activation: relu}}, weights: keep}"
    after = edit(tmp_path, model, step)
    assert differences(model, after) == ["~ tower.activation"]
    assert len(after.get_layer("tower")._inbound_nodes) == 2


def test_one_call_of_a_shared_layer_is_replaced(tmp_path: Path):
    model = zoo.ZOO["shared_at_depths"]()
    step = "replace: {layers: a, with: {class: Dense, config: {units: 4}, name: other}, weights: fresh, calls: [1]}"
    after = edit(tmp_path, model, step)
    assert differences(model, after) == ["+ other"]
    inputs = zoo.sample_inputs(model)
    a, b, other = (after.get_layer(name) for name in ("a", "b", "other"))
    assert np.array_equal(zoo.outputs(after, inputs)[0], np.asarray(other(b(a(b(inputs))))))


def test_a_layer_three_deep_is_replaced(tmp_path: Path):
    model = zoo.ZOO["nested_three_deep"]()
    step = "replace: {layers: level_1/level_2/level_3/norm, with: {class: LayerNormalization}, weights: fresh}"
    after = edit(tmp_path, model, step)
    assert differences(model, after) == ["~ level_1/level_2/level_3/norm class"]


def test_a_whole_nested_model_is_replaced_by_a_layer(tmp_path: Path):
    model = zoo.ZOO["nested_once"]()
    after = edit(tmp_path, model, "replace: {layers: inner, with: Identity}")
    assert differences(model, after) == ["+ inner", "- inner/block_in", "- inner/dense", "- inner/norm"]


def test_a_bare_operation_is_replaced_by_a_layer(tmp_path: Path):
    x = keras.Input((4,), name="x")
    model = keras.Model(x, keras.ops.relu(layers.Dense(3, name="d")(x)))
    after = edit(tmp_path, model, "replace: {layers: {type: ops.Relu}, with: ReLU}")
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))
    assert type(after.layers[-1]) is layers.ReLU


def test_a_merge_operation_is_replaced_by_a_merge_layer_and_back(tmp_path: Path):
    x = keras.Input((4,), name="x")
    y = layers.Dense(4, name="d")(x)
    model = keras.Model(x, y + x)
    after = edit(tmp_path, model, "replace: {layers: {type: ops.Add}, with: Add}")
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))
    back = edit(tmp_path, after, "replace: {layers: {type: layers.Add}, with: ops.Add}")
    zoo.assert_same_outputs(model, back, zoo.sample_inputs(model))


def test_a_mask_of_a_replaced_embedding_is_computed_anew(tmp_path: Path):
    x = keras.Input((5,), dtype="int32", name="x")
    y = layers.Embedding(6, 3, mask_zero=True, name="emb")(x)
    model = keras.Model(x, layers.LSTM(2, name="lstm")(y))
    step = (
        "replace: {layers: emb, with: {class: Embedding, config: {mask_zero: false}}, inherit: config, weights: keep}"
    )
    after = edit(tmp_path, model, step)
    ids = np.array([[1, 2, 0, 0, 0]], "int32")
    unmasked = layers.LSTM(2)
    unmasked.build((None, 5, 3))
    unmasked.set_weights(model.get_layer("lstm").get_weights())
    wanted = unmasked(keras.ops.convert_to_tensor(np.asarray(model.get_layer("emb")(ids))))
    assert np.array_equal(zoo.outputs(after, ids)[0], np.asarray(wanted))
    assert not any("NotEqual" in type(operation).__name__ for operation in after.operations)


def test_a_layer_of_another_mask_masks_by_its_own_rule(tmp_path: Path):
    model = zoo.ZOO["masked_lstm"]()
    old = next(layer for layer in model.layers if type(layer) is layers.Embedding)
    step = f"replace: {{layers: {old.name}, with: {{class: Embedding}}, inherit: config, weights: keep}}"
    after = edit(tmp_path, model, step)
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


def test_the_name_of_another_place_is_free_to_the_new_layer(tmp_path: Path):
    after = edit(
        tmp_path, zoo.ZOO["image_classifier"](), "replace: {layers: relu, with: {class: ELU, name: '{name}_elu'}}"
    )
    assert "relu_elu" in names(after)


KEEPS = "write weights: keep to take them over, or weights: fresh to begin anew"


def test_weights_that_would_fit_must_be_decided_about(tmp_path: Path):
    step = "replace: {layers: head, with: {class: Dense, config: {units: 3}}}"
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), step) == (
        f"4:14: replace.weights: the weights of 'head' fit the new Dense; {KEEPS}"
    )


def test_weights_that_fit_in_part_must_be_decided_about(tmp_path: Path):
    step = "replace: {layers: head, with: {class: Dense, config: {units: 3, use_bias: false}}}"
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), step) == (
        f"4:14: replace.weights: the weights of 'head' fit the new Dense; {KEEPS}"
    )


def test_weights_that_cannot_be_kept_are_refused(tmp_path: Path):
    step = "replace: {layers: head, with: {class: Dense, config: {units: 5}}, weights: keep}"
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), step) == (
        "4:80: replace.weights: 'head' has no weights of its shapes for the new Dense to keep;"
        " write weights: fresh; it has kernel (6, 3), bias (3)"
    )


def test_a_weight_that_the_old_layer_lacks_cannot_be_kept(tmp_path: Path):
    step = "replace: {layers: first, with: BatchNormalization, weights: keep}"
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), step) == (
        "4:65: replace.weights: 'first' has no weight 'gamma' for the new BatchNormalization to keep;"
        " write weights: fresh; it has kernel (4, 8), bias (8)"
    )


def test_weights_of_a_chain_must_name_their_layer(tmp_path: Path):
    step = "replace: {layers: head, with: [{class: Dense, config: {units: 3}}, ReLU], weights: keep}"
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), step) == (
        "4:88: replace.weights: a chain has several layers that could keep the weights;"
        " write weights: keep in one layer of the chain, and fresh here"
    )


def test_a_call_that_does_not_exist_is_refused(tmp_path: Path):
    step = "replace: {layers: first, with: {class: ELU, name: other}, calls: [1]}"
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), step) == (
        "4:36: replace.with: 'first' has no call 1; it is called 1 time; count calls from 0"
    )


def test_an_input_is_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), "replace: {layers: features, with: ReLU}") == (
        "4:39: replace.with: 'features' is an input of the model and cannot be replaced"
    )


def test_a_tensor_argument_without_a_place_is_refused(tmp_path: Path):
    step = "replace: {layers: attention, with: Add, weights: fresh}"
    said = refuse_edit(tmp_path, zoo.ZOO["attention_by_keyword"](), step)
    assert said.startswith("4:40: replace.with: 'attention' is called with the tensor '")
    assert said.endswith("first")


def test_an_argument_that_cannot_be_inherited_is_refused(tmp_path: Path):
    step = "replace: {layers: first, with: {class: ELU}, inherit: [unit]}"
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), step) == (
        "4:36: replace.with.inherit: 'first' has no argument 'unit' to inherit; did you mean 'units'?"
    )


def test_a_new_shape_that_breaks_a_layer_downstream_is_refused_with_both(tmp_path: Path):
    step = "replace: {layers: first, with: {class: Dense, config: {units: 7}}, weights: fresh}"
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), step) == (
        "4:14: replace: 'first' outputs (None, 7), but 'second' (Dense) was built for (None, 8): its kernel is (8, 6)"
        " and would have to be (7, 6); give what stands before it an output of (None, 8), or replace 'second' too"
    )


def test_a_width_that_keras_would_stretch_silently_is_refused(tmp_path: Path):
    a = keras.Input((4,), name="a")
    model = keras.Model(a, layers.Multiply(name="mul")([layers.Dense(4, name="gate")(a), a]))
    step = "replace: {layers: gate, with: {class: Dense, config: {units: 1}}, weights: fresh}"
    assert refuse_edit(tmp_path, model, step) == (
        "4:14: replace: 'gate' outputs (None, 1), but 'mul' (Multiply) combines it with (None, 4) of 'a', and Keras"
        " would broadcast it silently; it was (None, 4) before; give the new layer an output of that shape"
    )


@pytest.mark.parametrize("weights", ["keep", "fresh"])
def test_a_half_of_a_layer_in_two_models_is_refused(weights: str, tmp_path: Path):
    model = zoo.ZOO["layer_inside_and_outside"]()
    step = f"replace: {{layers: shared, with: {{class: Dense, config: {{units: 4}}}}, weights: {weights}}}"
    assert refuse_edit(tmp_path, model, step.replace("layers: shared", "layers: inner/shared")).startswith(
        "4:23: replace.layers: 'inner/shared' and 'shared' are one shared layer, but only the first is selected"
    )


def test_a_subclassed_model_is_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["subclassed"](), "replace: {layers: '*', with: ReLU}") == (
        "4:14: replace: the model is a subclassed 'zoo>Classifier', whose file lists no layers, so 'replace' has nothing"
        " to hold on to; rebuild it as a functional model; weights can be edited as it is (rescale)"
    )


def called_twice() -> keras.Model:
    x = keras.Input((4,), name="x")
    dense = layers.Dense(4, name="d")
    return keras.Model(x, dense(dense(x)))


def test_weights_cannot_belong_to_the_layer_that_stays_and_to_the_new_one(tmp_path: Path):
    step = "replace: {layers: d, with: {class: Dense, config: {units: 4}}, weights: keep, calls: [1]}"
    assert refuse_edit(tmp_path, called_twice(), step) == (
        "4:90: replace.calls: 'd' stays for its other calls, so the new layer cannot have its weights;"
        " write weights: fresh, or calls: all"
    )


def test_all_calls_by_number_keep_the_weights(tmp_path: Path):
    model = called_twice()
    new = "{class: Dense, name: d, config: {units: 4, activation: relu}}"
    after = edit(tmp_path, model, f"replace: {{layers: d, with: {new}, weights: keep, calls: [0, 1]}}")
    assert differences(model, after) == ["~ d.activation"]


def test_two_layers_of_a_chain_cannot_keep_the_same_weights(tmp_path: Path):
    new = "{class: Dense, config: {units: 4}, weights: keep}"
    assert refuse_edit(tmp_path, called_twice(), f"replace: {{layers: d, with: [{new}, {new}]}}") == (
        "4:128: replace.with.weights: only one layer of the chain can keep the weights of 'd';"
        " write weights: fresh in the others"
    )


def test_keeping_needs_every_weight_to_fit(tmp_path: Path):
    x = keras.Input((8, 8, 3), name="x")
    model = keras.Model(x, layers.Conv2D(4, 3, name="c")(x))
    new = "{class: Conv2D, config: {filters: 4, kernel_size: 5}}"
    assert refuse_edit(tmp_path, model, f"replace: {{layers: c, with: {new}, weights: keep}}") == (
        "4:96: replace.weights: 'c' has no weight 'kernel' of shape (5, 5, 3, 4) for the new Conv2D to keep;"
        " write weights: fresh; it has kernel (3, 3, 3, 4), bias (4)"
    )


def test_keeping_needs_the_same_type_of_numbers(tmp_path: Path):
    new = "{class: Dense, config: {units: 4, dtype: float16}}"
    assert refuse_edit(tmp_path, called_twice(), f"replace: {{layers: d, with: {new}, weights: keep}}") == (
        "4:93: replace.weights: 'kernel' of 'd' is float32, but the new Dense holds float16;"
        " leave out dtype, or write weights: fresh"
    )


def test_an_input_given_by_keyword_stays_the_input(tmp_path: Path):
    x = keras.Input((4,), name="x")
    model = keras.Model(x, layers.Dense(2, name="head")(layers.ReLU(name="act")(inputs=x)))
    assert names(edit(tmp_path, model, "replace: {layers: act, with: ELU}")) == ["x", "act", "head"]
    assert names(edit(tmp_path, model, "remove: act")) == ["x", "head"]
    assert names(edit(tmp_path, model, "insert: {before: act, layer: ELU}")) == ["x", "act_elu", "act", "head"]


def test_a_class_of_one_output_is_refused_where_a_second_is_used(tmp_path: Path):
    x = keras.Input((5, 4), name="x")
    first, state, _ = layers.LSTM(3, return_sequences=True, return_state=True, name="l")(x)
    step = "replace: {layers: l, with: {class: Dense, config: {units: 3}}, weights: fresh}"
    assert refuse_edit(tmp_path, keras.Model(x, [first, state]), step) == (
        "4:32: replace.with: output 1 of 'l' is used, but the new Dense gives one only;"
        " replace or remove what takes that output first"
    )
