"""`unfreeze`: whose flag rises, what stays frozen, and BatchNormalization."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests import zoo
from tests.running import differences, edit, leaves, refuse_edit

if TYPE_CHECKING:
    from pathlib import Path

    import keras


def trainable(model: keras.Model) -> set[str]:
    """Paths of the layers with trainable weights, as an optimizer of the whole model sees them."""
    wanted = {id(weight) for weight in model.trainable_weights}
    return {path for path, layer in leaves(model).items() if any(id(weight) in wanted for weight in layer.weights)}


def test_unfreeze_raises_the_named_flags_and_leaves_batch_normalisation(tmp_path: Path):
    model = zoo.ZOO["residual"]()
    model.trainable = False
    opened = edit(tmp_path, model, "unfreeze: {layers: {from: bn_1}}")
    assert trainable(opened) == {"conv_2"}
    assert not opened.get_layer("bn_1").trainable


def test_batch_normalisation_trains_when_that_is_asked_for(tmp_path: Path):
    model = zoo.ZOO["residual"]()
    model.trainable = False
    opened = edit(tmp_path, model, "unfreeze: {layers: {from: bn_1}, batch_norm: train}")
    assert trainable(opened) == {"bn_1", "conv_2", "bn_2"}


def test_nothing_else_inside_a_frozen_model_begins_to_train(tmp_path: Path):
    model = zoo.ZOO["frozen_nested"]()
    opened = edit(tmp_path, model, "unfreeze: backbone/dense")
    assert trainable(opened) == {"backbone/dense", "head"}
    assert differences(model, opened) == ["~ backbone/dense flag"]


def test_a_whole_frozen_model_is_opened(tmp_path: Path):
    model = zoo.ZOO["frozen_nested"]()
    opened = edit(tmp_path, model, "unfreeze: {layers: backbone, batch_norm: train}")
    assert trainable(opened) == {"backbone/dense", "backbone/norm", "head"}
    assert differences(model, opened) == ["~ backbone/dense flag", "~ backbone/norm flag"]


def test_a_layer_three_deep_is_opened_alone(tmp_path: Path):
    model = zoo.ZOO["nested_three_deep"]()
    model.trainable = False
    opened = edit(tmp_path, model, "unfreeze: level_1/level_2/level_3/dense")
    assert trainable(opened) == {"level_1/level_2/level_3/dense"}


def test_moving_statistics_stay_still_under_fit(tmp_path: Path):
    model = zoo.ZOO["residual"]()
    model.trainable = False
    opened = edit(tmp_path, model, "unfreeze: '*'")
    before = zoo.weights_by_path(opened)
    opened.compile("sgd", "mse")
    inputs = zoo.sample_inputs(opened)
    opened.fit(inputs, np.zeros((len(inputs), 4), "float32"), epochs=2, verbose=0)
    after = zoo.weights_by_path(opened)
    moved = {path for path in before if not np.array_equal(before[path], after[path])}
    assert moved == {"conv_1/kernel", "conv_2/kernel"}


def test_no_number_changes(tmp_path: Path):
    model = zoo.ZOO["wholly_frozen"]()
    opened = edit(tmp_path, model, "unfreeze: {layers: '*', batch_norm: train}")
    assert all(line.endswith(" flag") for line in differences(model, opened))
    zoo.assert_same_outputs(model, opened, zoo.sample_inputs(model))


def test_freeze_then_unfreeze_is_where_one_began(tmp_path: Path):
    model = zoo.ZOO["dense_concat"]()
    assert differences(model, edit(tmp_path, model, "freeze: '*'", "unfreeze: '*'")) == []


def test_a_selector_that_misses_is_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), "unfreeze: {layers: frist}") == (
        "4:24: unfreeze.layers.name: no layer matches name 'frist'; nearest layers: 'first'"
    )
