"""`remove`: what goes, what goes with it, and that the rest stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import layers

from tests import zoo
from tests.running import differences, edit, names, refuse_edit, run

if TYPE_CHECKING:
    from pathlib import Path


def only_gone(before: keras.Model, after: keras.Model) -> list[str]:
    """Names of layers that went; fails when anything else differs."""
    found = differences(before, after)
    assert all(line.startswith("- ") for line in found), found
    return [line.removeprefix("- ") for line in found]


def test_a_layer_in_the_middle_is_bypassed(tmp_path: Path):
    model = zoo.ZOO["image_classifier"]()
    after = edit(tmp_path, model, "remove: drop")
    assert only_gone(model, after) == ["drop"]
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


def test_the_model_ends_where_the_last_layers_began(tmp_path: Path):
    model = zoo.ZOO["image_classifier"]()
    after = edit(tmp_path, model, "remove: {layers: {from: drop}}")
    assert only_gone(model, after) == ["drop", "predictions"]
    assert after.output_shape == (None, 36)
    inner = keras.Model(model.input, model.get_layer("flat").output)
    zoo.assert_same_outputs(inner, after, zoo.sample_inputs(model))


def test_neighbours_are_removed_together(tmp_path: Path):
    model = zoo.ZOO["very_long_chain"]()
    after = edit(tmp_path, model, "remove: {layers: {index: [3, 4, 5, 6]}}")
    assert len(only_gone(model, after)) == 4


def test_a_layer_in_a_branch_is_bypassed_at_a_merge(tmp_path: Path):
    model = zoo.ZOO["residual"]()
    after = edit(tmp_path, model, "remove: {layers: {any: [relu_1, bn_2]}}")
    assert only_gone(model, after) == ["bn_2", "relu_1"]


def test_a_shared_layer_is_bypassed_at_every_call(tmp_path: Path):
    model = zoo.ZOO["shared_at_depths"]()
    after = edit(tmp_path, model, "remove: b")
    assert only_gone(model, after) == ["b"]
    a = model.get_layer("a")
    inputs = zoo.sample_inputs(model)
    assert np.array_equal(zoo.outputs(after, inputs)[0], np.asarray(a(a(inputs))))


def test_a_whole_nested_model_goes_with_all_inside(tmp_path: Path):
    model = zoo.ZOO["nested_once"]()
    assert only_gone(model, edit(tmp_path, model, "remove: inner")) == ["inner/block_in", "inner/dense", "inner/norm"]


def test_a_layer_three_deep_is_bypassed(tmp_path: Path):
    model = zoo.ZOO["nested_three_deep"]()
    assert only_gone(model, edit(tmp_path, model, "remove: level_1/level_2/dense_2")) == ["level_1/level_2/dense_2"]


def test_a_sequential_model_stays_one(tmp_path: Path):
    model = zoo.ZOO["sequential"]()
    after = edit(tmp_path, model, "remove: head")
    assert type(after) is keras.Sequential
    assert (names(after), after.output_shape) == (["first"], (None, 8))


def test_what_no_output_needs_goes_too_and_is_told(tmp_path: Path):
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    gate = layers.Dense(4, name="gate")(layers.Dense(4, name="before_gate")(b))
    attended = layers.Attention(name="attention")([a[:, None], gate[:, None]])
    model = keras.Model([a, b], layers.Dense(2, name="head")(layers.Dense(4, name="side")(a)) + attended[:, 0, :2])
    model.save(tmp_path / "m.keras")
    outcome = run(tmp_path, "load: m.keras", "remove: {layers: side}", "save: out.keras")
    assert [change.layer for change in outcome.steps[1].changes] == ["side"]


def test_a_mask_that_the_layer_gave_goes_with_it(tmp_path: Path):
    x = keras.Input((5, 3), name="x")
    y = layers.Masking(name="masking")(x)
    model = keras.Model(x, layers.LSTM(2, name="lstm")(y))
    after = edit(tmp_path, model, "remove: masking")
    plain = layers.LSTM(2)
    plain.build((None, 5, 3))
    plain.set_weights(model.get_layer("lstm").get_weights())
    inputs = np.array(zoo.sample_inputs(model))
    inputs[:, 2:] = 0
    assert np.array_equal(zoo.outputs(after, inputs)[0], np.asarray(plain(inputs)))


def test_flags_of_the_rest_survive(tmp_path: Path):
    model = zoo.ZOO["image_classifier"]()
    model.get_layer("conv").trainable = False
    after = edit(tmp_path, model, "remove: relu")
    assert only_gone(model, after) == ["relu"]
    assert not after.get_layer("conv").trainable


def test_a_merge_is_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["residual"](), "remove: add") == (
        "4:13: remove.layers: 'add' (Add) takes 2 inputs, so no single tensor goes on in its place;"
        " name one of the layers before it: bn_2, image"
    )


def test_an_input_is_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), "remove: features") == (
        "4:13: remove.layers: 'features' is an input of the model and cannot be removed; remove what follows it"
    )


def test_an_attention_layer_that_reads_by_keyword_is_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["attention_by_keyword"](), "remove: attention") == (
        "4:13: remove.layers: 'attention' (MultiHeadAttention) takes 3 inputs, so no single tensor goes on in its"
        " place; name one of the layers before it: k, q, v"
    )


def test_a_shape_that_no_longer_fits_downstream_is_refused_with_both_layers(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), "remove: second") == (
        "4:13: remove: 'first' outputs (None, 8), but 'head' (Dense) was built for (None, 6): its kernel is (6, 3) and"
        " would have to be (8, 3); give what stands before it an output of (None, 6), or replace 'head' too"
    )


def test_half_of_a_shared_layer_is_refused(tmp_path: Path):
    model = zoo.ZOO["layer_inside_and_outside"]()
    assert refuse_edit(tmp_path, model, "remove: inner/shared") == (
        "4:13: remove.layers: 'inner/shared' and 'shared' are one shared layer, but only the first is selected;"
        " select both, as {any: ['inner/shared', 'shared']}"
    )


def test_a_subclassed_model_is_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["subclassed"](), "remove: '*'") == (
        "4:13: remove: the model is a subclassed 'zoo>Classifier', whose file lists no layers, so 'remove' has nothing"
        " to hold on to; rebuild it as a functional model; weights can be edited as it is (rescale)"
    )
