"""`bn_reestimate`: the statistics are those of the data, in one pass for all layers, and nothing else moves."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
from keras import layers

from tests import zoo
from tests.running import differences, edit, load, refuse, refuse_plan, run, same_bits, told, write_recipe
from tests.shown_data import classifier, write_data

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

DATA = "data: {npz: d.npz, x: x}"
STEP = f"bn_reestimate: {{{DATA}, batch_size: 10}}"


def statistics(model: keras.Model, name: str = "norm") -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    layer = model.get_layer(name)
    return layer.moving_mean.numpy(), layer.moving_variance.numpy()


def plain_norm(**options: object) -> keras.Model:
    """BatchNormalization of the inputs themselves, with statistics that are far off."""
    inputs = keras.Input((4,), name="features")
    model = keras.Model(inputs, layers.BatchNormalization(name="norm", **options)(inputs))
    model.get_layer("norm").moving_mean.assign(np.full(4, 100.0))
    model.get_layer("norm").moving_variance.assign(np.full(4, 1e6))
    return model


def in_batches(x: NDArray[np.float32], size: int) -> list[NDArray[np.float64]]:
    return [x[start : start + size].astype("float64") for start in range(0, len(x), size)]


@pytest.mark.parametrize("size", [10, 8, 50, 7])
def test_the_mean_is_that_of_the_data_and_the_variance_the_mean_of_the_batches(size: int, tmp_path: Path):
    x, _ = write_data(tmp_path)
    step = f"bn_reestimate: {{data: {{npz: d.npz, x: x, shuffle: false}}, batch_size: {size}}}"
    mean, variance = statistics(edit(tmp_path, plain_norm(), step))
    batches = in_batches(x, size)
    shares = [len(batch) for batch in batches]
    assert np.abs(mean - x.astype("float64").mean(axis=0)).max() <= 1e-6
    expected = np.average([batch.var(axis=0) for batch in batches], axis=0, weights=shares)
    assert np.abs(variance - expected).max() <= 1e-6 * max(1, expected.max())
    if size < 50:
        assert np.abs(variance - x.astype("float64").var(axis=0)).max() > 1e-3  # not the variance of all


def test_it_is_what_the_momentum_k_through_k_plus_one_gives(tmp_path: Path):
    x, _ = write_data(tmp_path)
    model = plain_norm()
    found = statistics(
        edit(tmp_path, model, "bn_reestimate: {data: {npz: d.npz, x: x, shuffle: false}, batch_size: 10}")
    )
    layer = model.get_layer("norm")
    for number, batch in enumerate(in_batches(x, 10)):
        layer.momentum = number / (number + 1)
        layer(batch, training=True)
    for one, other in zip(found, statistics(model), strict=True):
        assert np.abs(one - other).max() <= 1e-5


def test_only_statistics_change(tmp_path: Path):
    write_data(tmp_path)
    model = classifier()
    assert differences(model, edit(tmp_path, model, STEP)) == ["~ norm/moving_mean", "~ norm/moving_variance"]


def test_what_it_names_and_what_it_says(tmp_path: Path):
    write_data(tmp_path)
    classifier().save(tmp_path / "m.keras")
    outcome = run(tmp_path, "load: m.keras", STEP, "save: out.keras")
    planned = write_recipe(tmp_path, "load: m.keras", STEP).plan()
    for step in (outcome.steps[1], planned.steps[1]):
        (change,) = step.changes
        assert (change.layer, change.weights) == ("norm", ("moving_mean", "moving_variance"))
        assert change.what == "moving_mean, moving_variance taken anew from data"
        assert step.notes == ("statistics of 50 examples, in batches of 10",)
    assert vars(outcome.outputs[0].proof) == {"identical": 6, "changed": 2, "fresh": 0, "removed": 0}
    assert outcome.outputs[0].how == "streamed"


def test_doing_it_twice_changes_nothing_more(tmp_path: Path):
    write_data(tmp_path)
    model = classifier()
    once = edit(tmp_path, model, STEP)
    assert differences(once, edit(tmp_path, model, STEP, STEP)) == []
    assert differences(once, edit(tmp_path, once, STEP)) == []


def test_the_old_statistics_play_no_part(tmp_path: Path):
    write_data(tmp_path)
    found = []
    for fill in (0.0, 7.0, np.nan, np.inf):
        model = classifier()
        for variable in model.get_layer("norm").non_trainable_variables:
            variable.assign(np.full(6, fill))
        found.append(statistics(edit(tmp_path, model, STEP)))
    for one, other in pairwise(found):
        assert all(same_bits(a, b) for a, b in zip(one, other, strict=True))


def test_a_frozen_layer_is_estimated_too_and_stays_frozen(tmp_path: Path):
    write_data(tmp_path)
    free, frozen = classifier(), classifier()
    frozen.trainable = False
    one, other = edit(tmp_path, free, STEP), edit(tmp_path, frozen, STEP)
    assert all(same_bits(a, b) for a, b in zip(statistics(one), statistics(other), strict=True))
    assert not other.get_layer("norm").trainable
    assert not other.trainable_variables


def test_a_call_that_says_inference_is_estimated_too(tmp_path: Path):
    x, _ = write_data(tmp_path)
    inputs = keras.Input((4,), name="features")
    model = keras.Model(inputs, layers.BatchNormalization(name="norm")(inputs, training=False))
    mean, _ = statistics(edit(tmp_path, model, STEP))
    assert np.abs(mean - x.mean(axis=0)).max() <= 1e-6


def stacked() -> keras.Model:
    """Two of them with a nonlinearity and dropout between."""
    keras.utils.set_random_seed(3)
    x = keras.Input((4,), name="features")
    y = layers.BatchNormalization(name="first", momentum=0.9)(layers.Dense(5, name="dense")(x))
    y = layers.Dropout(0.9, name="drop")(layers.ReLU(name="relu")(y))
    return keras.Model(x, layers.BatchNormalization(name="second")(y))


def test_layers_that_feed_each_other_are_estimated_in_one_pass_and_dropout_stays_off(tmp_path: Path):
    x, _ = write_data(tmp_path)
    model = stacked()
    after = edit(tmp_path, model, "bn_reestimate: {data: {npz: d.npz, x: x, shuffle: false}, batch_size: 25}")
    dense, first = model.get_layer("dense"), model.get_layer("first")
    means, variances = [], []
    for batch in in_batches(x, 25):
        y = batch @ dense.kernel.numpy().astype("float64") + dense.bias.numpy()
        y = (y - y.mean(axis=0)) / np.sqrt(y.var(axis=0) + first.epsilon)
        y = np.maximum(y * first.gamma.numpy() + first.beta.numpy(), 0)
        means.append(y.mean(axis=0))
        variances.append(y.var(axis=0))
    mean, variance = statistics(after, "second")
    assert np.abs(mean - np.mean(means, axis=0)).max() <= 1e-5
    assert np.abs(variance - np.mean(variances, axis=0)).max() <= 1e-5


def test_a_layer_that_is_not_selected_keeps_its_statistics_and_uses_them(tmp_path: Path):
    x, _ = write_data(tmp_path)
    model = stacked()
    rng = np.random.default_rng(0)
    model.get_layer("first").moving_mean.assign(rng.normal(0, 1, 5))
    after = edit(tmp_path, model, f"bn_reestimate: {{{DATA}, layers: second}}")
    assert differences(model, after) == ["~ second/moving_mean", "~ second/moving_variance"]
    inner = keras.Model(model.inputs, model.get_layer("drop").output)
    mean, _ = statistics(after, "second")
    assert np.abs(mean - inner.predict(x, verbose=0).astype("float64").mean(axis=0)).max() <= 1e-5


def test_a_shared_layer_takes_all_its_calls(tmp_path: Path):
    x, _ = write_data(tmp_path)
    inputs = keras.Input((4,), name="features")
    norm = layers.BatchNormalization(name="norm")
    model = keras.Model(inputs, [norm(inputs), norm(layers.Rescaling(3.0, offset=1.0, name="other")(inputs))])
    mean, variance = statistics(edit(tmp_path, model, f"bn_reestimate: {{{DATA}, batch_size: 50}}"))
    x = x.astype("float64")
    assert np.abs(mean - (x.mean(axis=0) + (3 * x + 1).mean(axis=0)) / 2).max() <= 1e-5
    assert np.abs(variance - (x.var(axis=0) + (3 * x + 1).var(axis=0)) / 2).max() <= 1e-4


def test_layers_inside_a_nested_model_are_found(tmp_path: Path):
    x, _ = write_data(tmp_path)
    model = plain_norm()
    inner = keras.Input((4,), name="inner")
    nested = keras.Model(inner, model.get_layer("norm")(inner), name="tower")
    outer = keras.Input((4,), name="features")
    whole = keras.Model(outer, layers.Dense(2, name="head")(nested(outer, training=False)))
    for step in (STEP, f"bn_reestimate: {{{DATA}, layers: tower}}", f"bn_reestimate: {{{DATA}, layers: tower/norm}}"):
        after = edit(tmp_path, whole, step)
        assert differences(whole, after) == ["~ tower/norm/moving_mean", "~ tower/norm/moving_variance"]
        assert np.abs(statistics(after.get_layer("tower"))[0] - x.mean(axis=0)).max() <= 1e-6


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_keeps_the_statistics_in_float32(policy: str, tmp_path: Path):
    x, _ = write_data(tmp_path)
    mean, _ = statistics(edit(tmp_path, plain_norm(dtype=policy), STEP))
    assert mean.dtype == "float32"
    kind = "float16" if policy == "mixed_float16" else "bfloat16"
    seen = keras.ops.convert_to_numpy(keras.ops.cast(keras.ops.cast(x, kind), "float32")).astype("float64")
    assert np.abs(mean - seen.mean(axis=0)).max() <= 1e-6


def test_another_axis_has_its_own_statistics(tmp_path: Path):
    rng = np.random.default_rng(0)
    x = rng.normal(2, 3, (12, 5, 6)).astype("float32")
    np.savez(tmp_path / "d.npz", x=x)
    inputs = keras.Input((5, 6), name="features")
    model = keras.Model(inputs, layers.BatchNormalization(axis=1, name="norm")(inputs))
    mean, _ = statistics(edit(tmp_path, model, STEP))
    assert np.abs(mean - x.astype("float64").mean(axis=(0, 2))).max() <= 1e-6


def test_validation_examples_are_left_out(tmp_path: Path):
    x, _ = write_data(tmp_path)
    split = "data: {npz: d.npz, x: x, validation: 0.3}"
    model = plain_norm()
    model.save(tmp_path / "m.keras")
    run(
        tmp_path,
        "load: m.keras",
        f"bn_reestimate: {{{split}}}",
        f"predict: {{{split}, part: train, to: p.npz}}",
        "save: out.keras",
    )
    with np.load(tmp_path / "p.npz") as data:
        numbers = data["example"]
    assert len(numbers) == 35
    mean, _ = statistics(load(tmp_path / "out.keras"))
    assert np.abs(mean - x[numbers].astype("float64").mean(axis=0)).max() <= 1e-6


def test_some_batches_may_be_enough(tmp_path: Path):
    x, _ = write_data(tmp_path)
    step = "bn_reestimate: {data: {npz: d.npz, x: x, shuffle: false}, batch_size: 10, batches: 2}"
    mean, _ = statistics(edit(tmp_path, plain_norm(), step))
    assert np.abs(mean - x[:20].astype("float64").mean(axis=0)).max() <= 1e-6
    planned = write_recipe(tmp_path, "load: m.keras", step).plan()
    assert planned.steps[-1].notes == ("statistics of 20 examples, in batches of 10",)


def test_a_new_layer_is_estimated_before_it_is_written(tmp_path: Path):
    x, _ = write_data(tmp_path)
    inputs = keras.Input((4,), name="features")
    model = keras.Model(inputs, layers.Dense(2, name="head")(inputs))
    after = edit(tmp_path, model, "insert: {before: head, layer: {class: BatchNormalization, name: norm}}", STEP)
    assert np.abs(statistics(after)[0] - x.mean(axis=0)).max() <= 1e-6


@pytest.mark.parametrize("name", ["linear_then_norm", "batch_norm_variants", "batch_norm_frozen"])
def test_models_of_the_zoo_keep_everything_else(name: str, tmp_path: Path):
    model = zoo.ZOO[name]()
    shape = model.input_shape[1:]
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).normal(0, 1, (20, *shape)).astype("float32"))
    after = edit(tmp_path, model, STEP)
    assert {item.rpartition("/")[2] for item in differences(model, after)} == {"moving_mean", "moving_variance"}


def test_one_inside_a_wrapper_is_left_alone_and_noted(tmp_path: Path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x=rng.normal(0, 1, (20, 3, 4)).astype("float32"))
    inputs = keras.Input((3, 4), name="features")
    y = layers.TimeDistributed(layers.BatchNormalization(name="inner"), name="each")(inputs)
    model = keras.Model(inputs, layers.BatchNormalization(name="norm")(y))
    model.save(tmp_path / "m.keras")
    outcome = run(tmp_path, "load: m.keras", STEP, "save: out.keras")
    assert outcome.steps[1].notes[0] == "left alone, as it stands inside a wrapper: BatchNormalization of 'each'"
    assert differences(model, load(tmp_path / "out.keras")) == ["~ norm/moving_mean", "~ norm/moving_variance"]


# What is refused


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            f"{{{DATA}, layers: head}}",
            "4:55: bn_reestimate.layers: there is no BatchNormalization in 'head'; "
            "select some by {type: BatchNormalization}",
        ),
        (
            f"{{{DATA}, batches: 3}}",
            "4:56: bn_reestimate.batches: the data give 2 batches, not 3; write fewer, or leave 'batches' out for all",
        ),
    ],
)
def test_what_cannot_be_estimated_is_refused_early(step: str, said: str, tmp_path: Path):
    write_data(tmp_path)
    classifier().save(tmp_path / "m.keras")
    assert told(refuse_plan(tmp_path, "load: m.keras", f"bn_reestimate: {step}")) == said
    assert told(refuse(tmp_path, "load: m.keras", f"bn_reestimate: {step}")) == said


def test_a_model_without_any_is_refused(tmp_path: Path):
    write_data(tmp_path)
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    assert told(refuse_plan(tmp_path, "load: m.keras", STEP)) == (
        "4:20: bn_reestimate: there is no BatchNormalization in the model"
    )


def test_a_subclassed_model_is_refused(tmp_path: Path):
    write_data(tmp_path)
    zoo.ZOO[zoo.OPAQUE[0]]().save(tmp_path / "m.keras")
    error = refuse_plan(tmp_path, "load: m.keras", STEP)
    assert "is a subclassed model, whose layers the file does not list; save it as a Functional model" in told(error)


def test_batch_renormalization_is_refused(tmp_path: Path):
    write_data(tmp_path)
    plain_norm(renorm=True).save(tmp_path / "m.keras")
    assert told(refuse_plan(tmp_path, "load: m.keras", STEP)) == (
        "4:20: bn_reestimate: 'norm' renormalizes its batches (renorm), whose statistics cannot be taken anew"
    )


def test_statistics_that_are_no_numbers_are_refused(tmp_path: Path):
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).normal(0, 1e30, (50, 4)).astype("float32"))
    plain_norm().save(tmp_path / "m.keras")
    assert told(refuse(tmp_path, "load: m.keras", STEP, "save: out.keras")) == (
        "4:20: bn_reestimate: the statistics of 'norm' on the data are not finite; look at the data and the weights"
    )


def test_it_cannot_stand_inside_a_training(tmp_path: Path):
    write_data(tmp_path)
    classifier().save(tmp_path / "m.keras")
    inner = f"during: [{{at: end, do: [{{{STEP}}}]}}]"
    error = refuse(tmp_path, "load: m.keras", f"train: {{data: {{npz: d.npz}}, loss: mse, epochs: 1, {inner}}}")
    assert "'bn_reestimate' cannot stand inside a training: it runs the model itself; write it before" in str(error)
