"""`noise`: of which size it is, what it depends on, and what it leaves alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
from keras import layers

from modelrecipe import formats
from modelrecipe.edit import arithmetic
from tests import zoo
from tests.running import differences, edit, refuse, refuse_edit, run, same_bits, told

if TYPE_CHECKING:
    from pathlib import Path

    from modelrecipe.weights import Tensor


def wide(value: float = 0.0, dtype: str = "float32") -> keras.Model:
    """A model with a kernel of 300 x 200 equal numbers."""
    x = keras.Input((300,), name="x")
    model = keras.Model(x, layers.Dense(200, name="head", dtype=dtype)(x))
    model.get_layer("head").kernel.assign(np.full((300, 200), value))
    return model


def kernel(model: keras.Model) -> np.ndarray:
    return model.get_layer("head").kernel.numpy()


def test_noise_touches_what_it_names_and_nothing_else(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    noisy = edit(tmp_path, model, "noise: {layers: second, weights: kernel, stddev: 0.1}")
    assert differences(model, noisy) == ["~ second/kernel"]


@pytest.mark.parametrize(("distribution", "reach"), [("normal", np.inf), ("uniform", 0.02 * 3**0.5 + 1e-9)])
def test_noise_has_mean_zero_and_the_standard_deviation_that_is_asked(distribution: str, reach: float, tmp_path: Path):
    step = f"noise: {{layers: head, weights: kernel, stddev: 0.02, distribution: {distribution}}}"
    found = kernel(edit(tmp_path, wide(), step)).astype("float64")
    assert abs(found.mean()) < 5 * 0.02 / found.size**0.5
    assert abs(found.std() / 0.02 - 1) < 0.02
    assert np.abs(found).max() <= reach


def test_relative_noise_is_in_units_of_the_weights_own_spread(tmp_path: Path):
    model = wide()
    model.get_layer("head").kernel.assign(np.random.default_rng(0).normal(7.0, 3.0, (300, 200)))
    noisy = edit(tmp_path, model, "noise: {layers: head, weights: kernel, stddev: 0.1, relative: true}")
    added = kernel(noisy).astype("float64") - kernel(model)
    assert abs(added.std() / 0.3 - 1) < 0.02


def test_equal_numbers_have_no_spread_so_that_relative_noise_leaves_them(tmp_path: Path):
    model = wide(0.3)
    assert differences(model, edit(tmp_path, model, "noise: {layers: head, stddev: 1, relative: true}")) == []


def test_no_noise_is_no_change(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    assert differences(model, edit(tmp_path, model, "noise: {layers: '*', stddev: 0}")) == []


def test_the_seed_of_the_recipe_decides(tmp_path: Path):
    step = "noise: {layers: head, weights: kernel, stddev: 0.1}"
    once, again, other = (kernel(edit(tmp_path, wide(), step, head=f"seed: {seed}")) for seed in (1, 1, 2))
    assert same_bits(once, again)
    assert not np.array_equal(once, other)


def test_noise_does_not_depend_on_what_else_is_selected(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    alone = edit(tmp_path, model, "noise: {layers: second, weights: kernel, stddev: 0.1}")
    among = edit(tmp_path, model, "noise: {layers: '*', stddev: 0.1}")
    assert same_bits(alone.get_layer("second").kernel.numpy(), among.get_layer("second").kernel.numpy())


def test_noise_does_not_depend_on_the_length_of_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    step = "noise: {layers: head, weights: kernel, stddev: 0.1}"
    whole = kernel(edit(tmp_path, wide(), step))
    monkeypatch.setattr(arithmetic, "PIECE", 777)
    assert same_bits(kernel(edit(tmp_path, wide(), step)), whole)


def test_two_weights_and_two_steps_have_noise_of_their_own(tmp_path: Path):
    x = keras.Input((8,), name="x")
    model = keras.Model(x, layers.Dense(8, name="b")(layers.Dense(8, name="a")(x)))
    for layer in ("a", "b"):
        model.get_layer(layer).kernel.assign(np.zeros((8, 8)))
    step = "noise: {layers: '*', weights: kernel, stddev: 0.1}"
    once, twice = edit(tmp_path, model, step), edit(tmp_path, model, step, step)
    first = once.get_layer("a").kernel.numpy()
    assert not np.array_equal(first, once.get_layer("b").kernel.numpy())
    assert not np.allclose(twice.get_layer("a").kernel.numpy(), 2 * first)


@pytest.mark.parametrize("name", ["bfloat16", "float16", "float64_inside_float32"])
def test_sums_are_rounded_once_to_the_weights_own_type(name: str, tmp_path: Path):
    model = zoo.ZOO[name]()
    noisy = edit(tmp_path, model, "noise: {layers: {has: kernel, first: 1}, weights: kernel, stddev: 0.5}")
    [changed] = [line.removeprefix("~ ") for line in differences(model, noisy)]
    assert zoo.weights_by_path(noisy)[changed].dtype == zoo.weights_by_path(model)[changed].dtype


def test_a_new_layer_gets_noise_after_it_is_made(tmp_path: Path):
    added = "insert: {after: first, layer: {class: Dense, config: {units: 8, kernel_initializer: ones}, name: added}}"
    after = edit(tmp_path, zoo.ZOO["chain"](), added, "noise: {layers: added, weights: kernel, stddev: 0.1}")
    found = after.get_layer("added").kernel.numpy()
    assert 0.05 < (found - 1).std() < 0.2


def test_streamed_noise_equals_that_of_a_built_model(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    step = "noise: {layers: second, stddev: 0.1}"
    streamed = edit(tmp_path, model, step)
    built = edit(tmp_path, model, step, "insert: {after: first, layer: Identity}")
    assert differences(streamed, built) == ["+ first_identity"]


@pytest.mark.parametrize("weights", ["kernel", "conv/kernel"])
def test_both_copies_of_a_kernel_that_keras_saves_twice_get_one_noise(weights: str, tmp_path: Path):
    model = zoo.ZOO["spectral_normalisation"]()
    step = f"noise: {{layers: spectral, weights: {weights}, stddev: 0.1}}"
    streamed = edit(tmp_path, model, step)
    first, second = (tensor.read() for tensor in stored(tmp_path) if tensor.name.endswith("kernel"))
    assert same_bits(first, second)
    assert differences(streamed, edit(tmp_path, model, step, "insert: {after: spectral, layer: Identity}")) == [
        "+ spectral_identity"
    ]


def stored(folder: Path) -> tuple[Tensor, ...]:
    return formats.read_checkpoint(folder / "out.keras").weights.of("spectral")


def test_the_plan_says_what_is_added(tmp_path: Path):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    outcome = run(
        tmp_path,
        "load: m.keras",
        "noise: {layers: head, stddev: 0.01}",
        "noise: {layers: head, weights: kernel, stddev: 0.1, relative: true, distribution: uniform}",
        "save: out.keras",
    )
    assert [change.what for step in outcome.steps for change in step.changes] == [
        "kernel, bias + normal noise, stddev 0.01",
        "kernel + uniform noise, stddev 0.1 × its own",
    ]
    assert outcome.outputs[0].how == "streamed"


def test_statistics_that_are_never_negative_are_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["residual"](), "noise: {layers: bn_1, weights: '*', stddev: 1}") == (
        "4:36: noise.weights: 'moving_variance' of 'bn_1' is a spread, which noise could make negative;"
        " name the weights that are meant"
    )


def test_integers_are_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["quantized_int8"](), "noise: {layers: first, weights: '*', stddev: 2}") == (
        "4:37: noise.weights: '0' of 'first' is int8, which holds no fractions; name the weights that are meant"
    )


@pytest.mark.parametrize(
    ("value", "step", "message"),
    [
        (
            60_000.0,
            "noise: {layers: head, weights: kernel, stddev: 30000}",
            "4:52: noise.stddev: 'kernel' of 'head' would hold numbers that are too large for float16;"
            " write a smaller stddev",
        ),
        (
            np.inf,
            "noise: {layers: head, weights: kernel, stddev: 1, relative: true}",
            "4:65: noise.relative: 'kernel' of 'head' holds numbers that are not finite, so it has no standard"
            " deviation; look for them with check: {finite: true}",
        ),
    ],
)
def test_numbers_that_noise_cannot_be_added_to_are_refused(value: float, step: str, message: str, tmp_path: Path):
    wide(value, "float16").save(tmp_path / "m.keras")
    assert told(refuse(tmp_path, "load: m.keras", step, "save: out.keras")) == message


def test_a_refusal_points_at_the_step_that_meant_the_numbers(tmp_path: Path):
    wide(60_000.0, "float16").save(tmp_path / "m.keras")
    steps = ("noise: {layers: head, stddev: 30000}", "clip: {layers: head, min: 0, max: 1}", "freeze: head")
    error = refuse(tmp_path, "load: m.keras", *steps, "save: out.keras")
    assert told(error).startswith("4:35: noise.stddev: 'kernel' of 'head' would hold numbers that are too large")
