"""`insert`: where new layers stand, what they are called, and that all others stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
from keras import layers

from tests import zoo
from tests.running import differences, edit, names, refuse_edit

if TYPE_CHECKING:
    from pathlib import Path


def only_added(before: keras.Model, after: keras.Model) -> list[str]:
    """Names of added layers; fails when anything else differs."""
    found = differences(before, after)
    assert all(line.startswith("+ ") for line in found), found
    return [line.removeprefix("+ ") for line in found]


def test_a_layer_stands_behind_the_selected_one(tmp_path: Path):
    model = zoo.ZOO["image_classifier"]()
    after = edit(tmp_path, model, "insert: {after: conv, layer: {class: SpatialDropout2D, config: {rate: 0.1}}}")
    assert names(after)[1:4] == ["conv", "conv_spatial_dropout2d", "bn"]
    assert only_added(model, after) == ["conv_spatial_dropout2d"]
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


def test_a_layer_stands_in_front_of_the_selected_one(tmp_path: Path):
    model = zoo.ZOO["image_classifier"]()
    after = edit(tmp_path, model, "insert: {before: predictions, layer: {class: Rescaling, config: {scale: 2.0}}}")
    assert names(after)[-2:] == ["predictions_rescaling", "predictions"]
    assert only_added(model, after) == ["predictions_rescaling"]


def test_what_it_computes_reaches_the_next_layer(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    after = edit(tmp_path, model, "insert: {before: second, layer: {class: Rescaling, config: {scale: 0.5}}}")
    inputs = zoo.sample_inputs(model)
    inner = model.get_layer("first")(inputs) * 0.5
    wanted = model.get_layer("head")(model.get_layer("second")(inner))
    assert np.array_equal(zoo.outputs(after, inputs)[0], np.asarray(wanted))


def test_a_chain_stands_in_the_order_written(tmp_path: Path):
    chain = "[{class: Dense, config: {units: 8}, name: wide}, ReLU, {class: Dropout, config: {rate: 0.2}, name: '{name}_drop'}]"
    after = edit(tmp_path, zoo.ZOO["chain"](), f"insert: {{after: first, layer: {chain}}}")
    assert names(after) == ["features", "first", "wide", "first_re_lu", "first_drop", "second", "head"]


def test_two_layers_of_one_class_in_a_chain_have_names_of_their_own(tmp_path: Path):
    after = edit(tmp_path, zoo.ZOO["chain"](), "insert: {after: first, layer: [ReLU, ReLU]}")
    assert names(after)[1:4] == ["first", "first_re_lu", "first_re_lu_1"]


def test_behind_an_input_every_consumer_gets_it(tmp_path: Path):
    model = zoo.ZOO["residual"]()
    after = edit(tmp_path, model, "insert: {after: image, layer: {class: Rescaling, config: {scale: 0.5}}}")
    inputs = zoo.sample_inputs(model)
    assert np.array_equal(zoo.outputs(after, inputs)[0], zoo.outputs(model, inputs * np.float32(0.5))[0])


def test_behind_an_output_the_model_ends_with_it(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    after = edit(tmp_path, model, "insert: {after: head, layer: {class: Rescaling, config: {scale: 2.0}}}")
    inputs = zoo.sample_inputs(model)
    assert after.outputs[0]._keras_history.operation.name == "head_rescaling"
    assert np.array_equal(zoo.outputs(after, inputs)[0], zoo.outputs(model, inputs)[0] * 2)


def test_keys_of_dictionary_outputs_stay(tmp_path: Path):
    model = zoo.ZOO["dict_in_dict_out"]()
    after = edit(tmp_path, model, "insert: {after: {role: output}, layer: Identity}")
    assert (set(after.input), set(after.output)) == (set(model.input), set(model.output))
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


def test_in_front_of_one_consumer_others_are_not_reached(tmp_path: Path):
    model = zoo.ZOO["parallel_branches"]()
    after = edit(tmp_path, model, "insert: {before: conv_3, layer: {class: Rescaling, config: {scale: 0.0}}}")
    inputs = zoo.sample_inputs(model)
    before, now = zoo.outputs(model, inputs)[0], zoo.outputs(after, inputs)[0]
    assert np.array_equal(before[..., :2], now[..., :2])
    assert not np.array_equal(before[..., 2:4], now[..., 2:4])
    assert np.array_equal(before[..., 4:], now[..., 4:])


def test_one_stateless_layer_serves_every_call_of_a_shared_one(tmp_path: Path):
    model = zoo.ZOO["shared_at_depths"]()
    after = edit(tmp_path, model, "insert: {after: a, layer: Identity}")
    assert only_added(model, after) == ["a_identity"]
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


def test_each_call_gets_a_layer_of_its_own(tmp_path: Path):
    model = zoo.ZOO["shared_at_depths"]()
    after = edit(tmp_path, model, "insert: {after: a, layer: {class: Dense, config: {units: 4}}, calls: each}")
    assert only_added(model, after) == ["a_dense", "a_dense_1"]
    kernels = [after.get_layer(name).kernel.numpy() for name in ("a_dense", "a_dense_1")]
    assert not np.array_equal(*kernels)


def test_behind_each_call_stands_the_copy_of_that_call(tmp_path: Path):
    x = keras.Input((3,), name="x")
    shared = layers.Dense(3, name="shared")
    model = keras.Model(x, [shared(x), shared(shared(x)), shared(layers.ReLU(name="r")(x))])
    config = "{units: 3, kernel_initializer: glorot_normal}"
    after = edit(tmp_path, model, f"insert: {{after: shared, layer: {{class: Dense, config: {config}}}, calls: each}}")
    copies = ["shared_dense", "shared_dense_1", "shared_dense_2", "shared_dense_3"]
    assert only_added(model, after) == copies
    inputs = zoo.sample_inputs(model)
    a, b, c, d = (after.get_layer(name) for name in copies)
    wanted = [a(shared(inputs)), c(shared(b(shared(inputs)))), d(shared(layers.ReLU()(inputs)))]
    assert len({copy.kernel.numpy().tobytes() for copy in (a, b, c, d)}) == 4
    for now, right in zip(zoo.outputs(after, inputs), wanted, strict=True):
        np.testing.assert_allclose(now, np.asarray(right), rtol=1e-6)


def test_all_calls_share_one_layer_with_weights(tmp_path: Path):
    model = zoo.ZOO["siamese"]()
    after = edit(tmp_path, model, "insert: {after: tower, layer: {class: Dense, config: {units: 3}}, calls: once}")
    assert only_added(model, after) == ["tower_dense"]
    assert len(after.get_layer("tower_dense")._inbound_nodes) == 2


def test_a_layer_goes_into_a_nested_model(tmp_path: Path):
    model = zoo.ZOO["nested_three_deep"]()
    after = edit(tmp_path, model, "insert: {after: level_1/level_2/level_3/dense, layer: Identity}")
    assert only_added(model, after) == ["level_1/level_2/level_3/dense_identity"]
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


def test_a_layer_goes_into_a_sequential_model_which_stays_one(tmp_path: Path):
    model = zoo.ZOO["sequential"]()
    after = edit(tmp_path, model, "insert: {after: first, layer: {class: BatchNormalization}}")
    assert type(after) is keras.Sequential
    assert names(after) == ["first", "first_batch_normalization", "head"]


def test_masks_travel_through_an_inserted_layer(tmp_path: Path):
    model = zoo.ZOO["masked_lstm"]()
    after = edit(tmp_path, model, "insert: {after: {type: Embedding}, layer: {class: Dropout, config: {rate: 0.5}}}")
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


def test_the_dtype_policy_is_that_of_the_neighbour(tmp_path: Path):
    model = zoo.ZOO["mixed_float16"]()
    after = edit(tmp_path, model, "insert: {after: {has: kernel, first: 1}, layer: {class: ReLU, name: added}}")
    assert after.get_layer("added").dtype_policy.name == "mixed_float16"


@pytest.mark.parametrize("flag", [True, False])
def test_existing_flags_stay_and_the_new_layer_trains(flag: bool, tmp_path: Path):
    model = zoo.ZOO["chain"]()
    model.get_layer("first").trainable = flag
    after = edit(tmp_path, model, "insert: {after: first, layer: {class: Dense, config: {units: 8}, name: added}}")
    assert after.get_layer("first").trainable is flag
    assert after.get_layer("added").trainable


def test_a_layer_with_weights_behind_several_calls_is_refused(tmp_path: Path):
    step = "insert: {after: a, layer: {class: Dense, config: {units: 4}}}"
    assert refuse_edit(tmp_path, zoo.ZOO["shared_at_depths"](), step) == (
        "4:13: insert.calls: 'a' gives 2 tensors, and the new layer has weights;"
        " write calls: each (a layer for every call) or calls: once (one layer for all)"
    )


def test_a_name_that_is_taken_is_refused(tmp_path: Path):
    step = "insert: {after: first, layer: {class: ReLU, name: head}}"
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), step) == (
        "4:21: insert.after: there is a layer 'head' already; give the new layer another name; it may hold {name}"
    )


def test_one_name_for_several_places_is_refused(tmp_path: Path):
    step = "insert: {after: {type: Dense}, layer: {class: ReLU, name: act}}"
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), step) == (
        "4:21: insert.after: there is a layer 'act' already; give the new layer another name; it may hold {name}"
    )


def test_before_an_input_is_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), "insert: {before: features, layer: ReLU}") == (
        "4:22: insert.before: nothing can stand before the input 'features'; write after: features"
    )


def test_before_a_merge_is_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["residual"](), "insert: {before: add, layer: ReLU}") == (
        "4:22: insert.before: 'add' (Add) takes 2 inputs, so no single tensor goes on in its place;"
        " name one of the layers before it: bn_2, image"
    )


def test_half_of_a_layer_that_stands_in_two_models_is_refused(tmp_path: Path):
    model = zoo.ZOO["layer_inside_and_outside"]()
    assert refuse_edit(tmp_path, model, "insert: {after: inner/shared, layer: ReLU}") == (
        "4:21: insert.after: 'inner/shared' and 'shared' are one shared layer, but only the first is selected;"
        " select both, as {any: ['inner/shared', 'shared']}"
    )


def test_a_subclassed_model_is_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["subclassed"](), "insert: {after: '*', layer: ReLU}") == (
        "4:13: insert: the model is a subclassed 'zoo>Classifier', whose file lists no layers, so 'insert' has nothing"
        " to hold on to; rebuild it as a functional model; weights can be edited as it is (rescale)"
    )


def test_an_operation_can_be_inserted(tmp_path: Path):
    x = keras.Input((4,), name="x")
    model = keras.Model(x, layers.Dense(3, name="d")(x))
    after = edit(tmp_path, model, "insert: {after: d, layer: ops.Abs}")
    inputs = zoo.sample_inputs(model)
    assert np.array_equal(zoo.outputs(after, inputs)[0], np.abs(zoo.outputs(model, inputs)[0]))


def test_a_mask_is_computed_from_what_stands_before_the_layer_now(tmp_path: Path):
    x = keras.Input((5,), dtype="int32", name="x")
    embedding = layers.Embedding(9, 4, mask_zero=True, name="e")
    lstm = layers.LSTM(3, name="l")
    after = edit(tmp_path, keras.Model(x, lstm(embedding(x))), "insert: {before: e, layer: ops.Relu}")
    wanted = keras.Model(x, lstm(embedding(keras.ops.relu(x))))
    numbers = np.array([[1, 2, -3, -4, -5]])
    np.testing.assert_array_equal(after.predict(numbers, verbose=0), wanted.predict(numbers, verbose=0))


def test_nothing_stands_behind_an_output_that_nothing_takes(tmp_path: Path):
    x, unused = keras.Input((4,), name="x"), keras.Input((3,), name="unused")
    model = keras.Model([x, unused], layers.Dense(2, name="head")(x))
    assert refuse_edit(tmp_path, model, "insert: {after: unused, layer: ReLU}") == (
        "4:21: insert.after: nothing takes the output of 'unused', so nothing can stand behind it; leave it out"
    )


def test_a_bare_operation_in_a_sequential_model_is_refused(tmp_path: Path):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="d")])
    assert refuse_edit(tmp_path, model, "insert: {after: d, layer: ops.Relu}") == (
        "4:21: insert.after: 'd_relu' (ops.Relu) cannot stand in a Sequential model, which holds layers only;"
        " write a layer class instead of a bare operation"
    )
