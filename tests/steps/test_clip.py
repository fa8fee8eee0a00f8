"""`clip`: what lies beyond a limit is brought to it, and what lies within keeps its bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import ml_dtypes
import numpy as np
import pytest
from keras import layers

from modelrecipe.errors import Problems
from tests import zoo
from tests.running import differences, edit, refuse, refuse_edit, run, same_bits, told

if TYPE_CHECKING:
    from pathlib import Path


def dense(values: np.ndarray, dtype: str = "float32") -> keras.Model:
    """A model with one kernel of these numbers."""
    x = keras.Input((values.shape[0],), name="x")
    model = keras.Model(x, layers.Dense(values.shape[1], name="head", dtype=dtype)(x))
    model.get_layer("head").kernel.assign(values)
    return model


def test_clip_brings_numbers_into_the_range_and_leaves_the_rest(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    clipped = edit(tmp_path, model, "clip: {layers: second, weights: kernel, min: -0.05, max: 0.1}")
    assert differences(model, clipped) == ["~ second/kernel"]
    wanted = np.clip(model.get_layer("second").kernel.numpy(), np.float32(-0.05), np.float32(0.1))
    assert same_bits(clipped.get_layer("second").kernel.numpy(), wanted)


def test_one_bound_alone_limits_one_side(tmp_path: Path):
    model = dense(np.array([[-2.0, 0.5], [1.5, np.nan]]))
    below = edit(tmp_path, model, "clip: {layers: head, weights: kernel, max: 1}").get_layer("head").kernel.numpy()
    assert np.array_equal(below, [[-2.0, 0.5], [1.0, np.nan]], equal_nan=True)
    above = edit(tmp_path, model, "clip: {layers: head, weights: kernel, min: 0}").get_layer("head").kernel.numpy()
    assert np.array_equal(above, [[0.0, 0.5], [1.5, np.nan]], equal_nan=True)


def test_infinite_numbers_come_to_the_bound(tmp_path: Path):
    model = dense(np.array([[np.inf, -np.inf]]))
    clipped = edit(tmp_path, model, "clip: {layers: head, min: -3, max: 4}")
    assert clipped.get_layer("head").kernel.numpy().tolist() == [[4.0, -3.0]]


@pytest.mark.parametrize("name", ["bfloat16", "float16", "float64_inside_float32"])
def test_bounds_are_rounded_to_the_weights_own_type(name: str, tmp_path: Path):
    model = zoo.ZOO[name]()
    clipped = edit(tmp_path, model, "clip: {layers: {has: kernel, first: 1}, weights: kernel, max: 0.05}")
    [changed] = [line.removeprefix("~ ") for line in differences(model, clipped)]
    before, after = zoo.weights_by_path(model)[changed], zoo.weights_by_path(clipped)[changed]
    assert same_bits(np.where(before > np.asarray(0.05).astype(before.dtype), before.dtype.type(0.05), before), after)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("bounds", ["min: 0", "max: 0", "min: -0.5, max: 0.5", "min: -0.0, max: 3"])
def test_every_number_within_keeps_its_bits(bounds: str, dtype: str, tmp_path: Path):
    every = np.arange(1 << 16, dtype="uint16").reshape(256, 256).view(getattr(ml_dtypes, dtype, dtype))
    clipped = edit(tmp_path, dense(every, dtype), f"clip: {{layers: head, weights: kernel, {bounds}}}")
    after = clipped.get_layer("head").kernel.numpy()
    limits = {key: every.dtype.type(float(bound)) for key, bound in (part.split(": ") for part in bounds.split(", "))}
    wanted = every
    with np.errstate(invalid="ignore"):
        if "min" in limits:
            wanted = np.where(wanted < limits["min"], limits["min"], wanted)
        if "max" in limits:
            wanted = np.where(wanted > limits["max"], limits["max"], wanted)
    assert same_bits(after, wanted)
    assert not same_bits(after, every)


def test_a_norm_limits_the_whole_weight(tmp_path: Path):
    values = np.arange(12, dtype="float32").reshape(4, 3)
    clipped = edit(tmp_path, dense(values), "clip: {layers: head, weights: kernel, norm: 2}")
    wanted = (values.astype("float64") * (2 / np.linalg.norm(values.astype("float64")))).astype("float32")
    assert same_bits(clipped.get_layer("head").kernel.numpy(), wanted)


def test_a_weight_with_a_smaller_norm_keeps_its_bits(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    assert differences(model, edit(tmp_path, model, "clip: {layers: '*', norm: 100}")) == []


def test_the_second_clipping_to_a_norm_changes_nothing(tmp_path: Path):
    model = zoo.ZOO["image_classifier"]()
    step = "clip: {layers: conv, weights: kernel, norm: 0.2, axis: [0, 1, 2]}"
    once = edit(tmp_path, model, step)
    assert differences(model, once) == ["~ conv/kernel"]
    assert differences(once, edit(tmp_path, once, step)) == []


@pytest.mark.parametrize(("axis", "written"), [((0, 1, 2), "[0, 1, 2]"), ((-1,), "-1"), ((1, 3), "[1, 3]")])
def test_norms_along_axes_are_those_of_keras_max_norm(axis: tuple[int, ...], written: str, tmp_path: Path):
    model = zoo.ZOO["image_classifier"]()
    step = f"clip: {{layers: conv, weights: kernel, norm: 0.3, axis: {written}}}"
    after = edit(tmp_path, model, step).get_layer("conv").kernel.numpy()
    before = model.get_layer("conv").kernel
    assert np.allclose(after, keras.constraints.MaxNorm(0.3, axis=list(axis))(before), rtol=1e-5, atol=0)
    norms = np.sqrt(np.square(before.numpy().astype("float64")).sum(axis=axis, keepdims=True))
    assert (norms > 0.3).any()
    within = np.broadcast_to(norms <= 0.3, after.shape)
    assert same_bits(after[within], before.numpy()[within])


def test_a_norm_of_zero_leaves_zeros(tmp_path: Path):
    clipped = edit(tmp_path, zoo.ZOO["chain"](), "clip: {layers: head, weights: kernel, norm: 0}")
    assert not clipped.get_layer("head").kernel.numpy().any()


def test_moving_statistics_are_left_alone_unless_named(tmp_path: Path):
    model = zoo.ZOO["residual"]()
    assert differences(model, edit(tmp_path, model, "clip: {layers: bn_1, max: -5}")) == ["~ bn_1/beta", "~ bn_1/gamma"]
    named = edit(tmp_path, model, "clip: {layers: bn_1, weights: moving_variance, min: 2}")
    assert differences(model, named) == ["~ bn_1/moving_variance"]


def test_a_shared_layer_and_a_subclassed_model_are_clipped(tmp_path: Path):
    shared = zoo.ZOO["nested_called_three_times"]()
    after = edit(tmp_path, shared, "clip: {layers: inner, weights: kernel, max: 0}")
    assert differences(shared, after) == ["~ inner/dense/kernel"]
    opaque = zoo.ZOO["subclassed"]()
    after = edit(tmp_path, opaque, "clip: {layers: stem, weights: kernel, max: -0.5}")
    changed = [not same_bits(one.numpy(), two.numpy()) for one, two in zip(opaque.weights, after.weights, strict=True)]
    assert sum(changed) == 1
    assert after.weights[changed.index(True)].numpy().max() == -0.5


def test_the_plan_says_the_limit(tmp_path: Path):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    outcome = run(
        tmp_path,
        "load: m.keras",
        "clip: {layers: head, weights: kernel, max: 0.5}",
        "clip: {layers: head, weights: bias, min: 0}",
        "clip: {layers: head, min: -1, max: 1}",
        "clip: {layers: head, norm: 3}",
        "clip: {layers: head, weights: kernel, norm: 3, axis: 0}",
        "save: out.keras",
    )
    assert [change.what for step in outcome.steps for change in step.changes] == [
        "kernel ≤ 0.5",
        "bias ≥ 0",
        "kernel, bias within -1 to 1",
        "kernel, bias to norm ≤ 3",
        "kernel to norm ≤ 3 along axis 0",
    ]
    assert outcome.outputs[0].how == "streamed"


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            "clip: {layers: first}",
            "4:11: clip: needs 'min', 'max' or 'norm'; say to what the weights are limited",
        ),
        (
            "clip: {layers: first, min: 0, norm: 2}",
            "4:41: clip.norm: has both a range and a norm; write a step for each",
        ),
        ("clip: {layers: first, max: 1, axis: 0}", "4:41: clip.axis: 'axis' belongs to a 'norm'"),
        ("clip: {layers: first, min: 1, max: 0}", "4:32: clip.min: 'min' 1 is larger than 'max' 0"),
        ("clip: {layers: first, norm: -1}", "4:33: clip.norm: must be at least 0, not -1"),
        (
            "clip: {layers: first, norm: 1, axis: 1}",
            "4:42: clip.axis: 'bias' of 'first' has one axis, so there is no axis 1; name the weights that are meant",
        ),
    ],
)
def test_what_cannot_be_is_refused(step: str, message: str, tmp_path: Path):
    assert refused(tmp_path, zoo.ZOO["chain"](), step) == message


def refused(folder: Path, model: keras.Model, step: str) -> str:
    """What is said of one step, be it when the recipe is read, by the plan or by the run."""
    model.save(folder / "m.keras")
    error = refuse(folder, "load: m.keras", step, "save: out.keras")
    return told(error.problems[0] if isinstance(error, Problems) else error)


def test_a_bound_beyond_the_type_is_refused(tmp_path: Path):
    step = "clip: {layers: head, weights: kernel, max: 1e6}"
    assert refuse_edit(tmp_path, dense(np.ones((2, 2)), "float16"), step) == (
        "4:48: clip.max: 1e+06 cannot be represented in float16, the type of 'kernel' of 'head';"
        " write a bound that its range holds"
    )


def test_integers_are_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["quantized_int8"](), "clip: {layers: first, weights: '*', max: 2}") == (
        "4:36: clip.weights: '0' of 'first' is int8, which holds no fractions; name the weights that are meant"
    )


def test_a_norm_that_is_not_finite_is_refused_when_it_is_read(tmp_path: Path):
    assert refused(tmp_path, dense(np.array([[np.nan, 1.0]])), "clip: {layers: head, weights: kernel, norm: 2}") == (
        "4:49: clip.norm: 'kernel' of 'head' has no finite norm; look for numbers that are not finite"
        " (check: {finite: true})"
    )
