"""`rescale`: which numbers are multiplied, and in which type."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
from keras import layers

from tests import zoo
from tests.running import differences, edit, load, refuse, refuse_edit, run, same_bits, told, write_recipe

if TYPE_CHECKING:
    from pathlib import Path


def test_rescale_leaves_the_bias_alone(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    scaled = edit(tmp_path, model, "rescale: {layers: second, weights: kernel, factor: 0.8}")
    assert differences(model, scaled) == ["~ second/kernel"]
    wanted = model.get_layer("second").kernel.numpy() * np.float32(0.8)
    assert same_bits(scaled.get_layer("second").kernel.numpy(), wanted)


def test_without_weights_moving_statistics_are_left_alone(tmp_path: Path):
    model = zoo.ZOO["residual"]()
    assert differences(model, edit(tmp_path, model, "rescale: {layers: bn_1, factor: 0.5}")) == [
        "~ bn_1/beta",
        "~ bn_1/gamma",
    ]


def test_moving_statistics_are_scaled_when_named(tmp_path: Path):
    model = zoo.ZOO["residual"]()
    scaled = edit(tmp_path, model, "rescale: {layers: bn_1, weights: moving_variance, factor: 4}")
    assert differences(model, scaled) == ["~ bn_1/moving_variance"]


def test_a_model_stands_for_its_layers_and_a_shared_one_is_scaled_once(tmp_path: Path):
    model = zoo.ZOO["nested_called_three_times"]()
    scaled = edit(tmp_path, model, "rescale: {layers: inner, weights: kernel, factor: 0.5}")
    assert differences(model, scaled) == ["~ inner/dense/kernel"]
    assert same_bits(
        scaled.get_layer("inner").get_layer("dense").kernel.numpy(),
        model.get_layer("inner").get_layer("dense").kernel.numpy() * np.float32(0.5),
    )


def test_factors_of_several_steps_multiply_in_their_order(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    step = "rescale: {layers: head, weights: bias, factor: 0.1}"
    scaled = edit(tmp_path, model, step, step)
    wanted = model.get_layer("head").bias.numpy() * np.float32(0.1) * np.float32(0.1)
    assert same_bits(scaled.get_layer("head").bias.numpy(), wanted)


@pytest.mark.parametrize("name", ["bfloat16", "float16", "mixed_bfloat16", "float64_inside_float32"])
def test_the_product_is_taken_in_the_weights_own_type(name: str, tmp_path: Path):
    model = zoo.ZOO[name]()
    scaled = edit(tmp_path, model, "rescale: {layers: {has: kernel, first: 1}, weights: kernel, factor: 0.3}")
    [changed] = [line.removeprefix("~ ") for line in differences(model, scaled)]
    before, after = zoo.weights_by_path(model)[changed], zoo.weights_by_path(scaled)[changed]
    assert before.dtype == after.dtype
    assert same_bits(before * np.asarray(0.3).astype(before.dtype), after)


def test_variables_of_inner_layers_are_named_by_glob(tmp_path: Path):
    model = zoo.ZOO["attention_by_keyword"]()
    model.save(tmp_path / "m.keras")
    outcome = run(
        tmp_path, "load: m.keras", "rescale: {layers: attention, weights: 'query/*', factor: 0}", "save: out.keras"
    )
    [change] = outcome.steps[1].changes
    assert (change.weights, change.what) == (("query/kernel", "query/bias"), "query/kernel, query/bias × 0")
    after = load(tmp_path / "out.keras").get_layer("attention")
    zeros = [weight.path.rpartition("attention/")[2] for weight in after.weights if not weight.numpy().any()]
    assert zeros == ["query/kernel", "query/bias"]


def test_weights_of_a_new_layer_are_scaled_after_they_are_made(tmp_path: Path):
    added = "insert: {after: first, layer: {class: Dense, config: {units: 8, kernel_initializer: ones}, name: added}}"
    after = edit(tmp_path, zoo.ZOO["chain"](), added, "rescale: {layers: added, weights: kernel, factor: 0.25}")
    assert (after.get_layer("added").kernel.numpy() == 0.25).all()


def test_rescaling_before_a_rebuild_arrives_as_well(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    after = edit(
        tmp_path,
        model,
        "rescale: {layers: first, factor: 2}",
        "insert: {after: first, layer: Identity}",
        "rescale: {layers: second, weights: bias, factor: 0.5}",
    )
    assert differences(model, after) == ["+ first_identity", "~ first/bias", "~ first/kernel", "~ second/bias"]
    assert same_bits(after.get_layer("first").kernel.numpy(), model.get_layer("first").kernel.numpy() * np.float32(2))


def test_a_weight_that_does_not_exist_is_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), "rescale: {layers: first, weights: kernle, factor: 2}") == (
        "4:39: rescale.weights: no weight of 'first' is named 'kernle'; nearest weights: 'kernel'"
    )


def test_layers_without_weights_are_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["image_classifier"](), "rescale: {layers: flat, factor: 2}") == (
        "4:23: rescale.layers: 'flat' has no weights; select layers with weights: has: kernel"
    )


def test_integers_are_refused(tmp_path: Path):
    model = zoo.ZOO["quantized_int8"]()
    assert refuse_edit(tmp_path, model, "rescale: {layers: first, weights: '*', factor: 2}") == (
        "4:39: rescale.weights: '0' of 'first' is int8, which holds no fractions; name the weights that are meant"
    )


def test_a_subclassed_model_is_scaled_by_the_groups_of_its_file(tmp_path: Path):
    model = zoo.ZOO["subclassed"]()
    before = [weight.numpy() for weight in model.weights]
    after = edit(tmp_path, model, "rescale: {layers: {has: kernel, first: 1}, weights: kernel, factor: 0.5}")
    changed = [not same_bits(a, b.numpy()) for a, b in zip(before, after.weights, strict=True)]
    assert sum(changed) == 1


def test_the_same_numbers_as_keras_assigns(tmp_path: Path):
    x = keras.Input((4,), name="x")
    model = keras.Model(x, layers.Dense(3, name="d")(x))
    after = edit(tmp_path, model, "rescale: {layers: d, weights: kernel, factor: 1e-3}")
    model.get_layer("d").kernel.assign(model.get_layer("d").kernel * 1e-3)
    assert same_bits(after.get_layer("d").kernel.numpy(), model.get_layer("d").kernel.numpy())


def test_a_factor_beyond_the_type_is_refused(tmp_path: Path):
    x = keras.Input((4,), name="x")
    model = keras.Model(x, layers.Dense(2, name="head", dtype="float16")(x))
    assert refuse_edit(tmp_path, model, "rescale: {layers: head, weights: kernel, factor: 1.0e6}") == (
        "4:54: rescale.factor: the factor 1e+06 cannot be represented in float16, the type of 'kernel' of 'head';"
        " write one that its range holds"
    )


@pytest.mark.parametrize(("dtype", "number"), [("float16", 60_000.0), ("bfloat16", 3e38)])
def test_numbers_that_would_overflow_are_refused_when_they_are_read(dtype: str, number: float, tmp_path: Path):
    x = keras.Input((4,), name="x")
    model = keras.Model(x, layers.Dense(2, name="head", dtype=dtype)(x))
    model.get_layer("head").kernel.assign(np.full((4, 2), number))
    model.save(tmp_path / "m.keras")
    steps = ("load: m.keras", "rescale: {layers: head, weights: kernel, factor: 2}", "freeze: head", "save: out.keras")
    write_recipe(tmp_path, *steps).plan()
    assert told(refuse(tmp_path, *steps)) == (
        f"4:54: rescale.factor: 'kernel' of 'head' holds numbers that are too large for {dtype} when multiplied by 2;"
        " write a smaller factor"
    )


def test_numbers_that_were_infinite_before_stay_so(tmp_path: Path):
    x = keras.Input((2,), name="x")
    model = keras.Model(x, layers.Dense(1, name="head", dtype="float16")(x))
    model.get_layer("head").kernel.assign([[np.inf], [1.0]])
    scaled = edit(tmp_path, model, "rescale: {layers: head, weights: kernel, factor: 2}")
    assert scaled.get_layer("head").kernel.numpy().tolist() == [[np.inf], [2.0]]
