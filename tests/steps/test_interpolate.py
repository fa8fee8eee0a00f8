"""`interpolate`: which end is which, exact ends, straight lines and great circles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
from keras import layers

from modelrecipe.errors import Problems
from tests import zoo
from tests.running import load, refuse, run, same_bits, told, write_recipe
from tests.variants import save_variants

if TYPE_CHECKING:
    from pathlib import Path

SAVE = "save: {path: out.keras, force: true}"


def between(folder: Path, step: str) -> list[np.ndarray]:
    run(folder, "load: m.keras", f"interpolate: {step}", SAVE)
    return [variable.numpy() for variable in load(folder / "out.keras").weights]


def one_kernel(folder: Path, *kernels: np.ndarray, dtype: str = "float32") -> None:
    """`m.keras` and `a.keras` with these kernels."""
    for name, values in zip(("m", "a"), kernels, strict=True):
        x = keras.Input((values.shape[0],), name="x")
        model = keras.Model(x, layers.Dense(values.shape[1], use_bias=False, name="head", dtype=dtype)(x))
        model.get_layer("head").kernel.assign(values)
        model.save(folder / f"{name}.keras")


@pytest.mark.parametrize("mode", ["linear", "slerp"])
@pytest.mark.parametrize("name", ["residual", "mixed_float16", "nested_three_deep", "subclassed"])
def test_both_ends_are_bit_exact(name: str, mode: str, tmp_path: Path):
    first, second = save_variants(zoo.ZOO[name](), tmp_path, ["m", "a"])
    for alpha, wanted in ((0, first), (1, second)):
        found = between(tmp_path, f"{{with: a.keras, alpha: {alpha}, mode: {mode}}}")
        assert all(same_bits(one, other) for one, other in zip(found, wanted, strict=True))


def test_alpha_is_the_share_of_the_other_model_statistics_included(tmp_path: Path):
    first, second = save_variants(zoo.ZOO["residual"](), tmp_path, ["m", "a"])
    for one, two, found in zip(first, second, between(tmp_path, "{with: a.keras, alpha: 0.3}"), strict=True):
        one, two = one.astype("float64"), two.astype("float64")
        assert np.allclose(found, 0.7 * one + 0.3 * two, rtol=1e-7, atol=1e-9)


def test_equal_numbers_stay_as_they_are(tmp_path: Path):
    values = np.random.default_rng(0).normal(size=(30, 20))
    one_kernel(tmp_path, values, values, dtype="float64")
    for mode in ("linear", "slerp"):
        [found] = between(tmp_path, f"{{with: a.keras, alpha: 0.3, mode: {mode}}}")
        assert same_bits(found, values)


def test_logits_of_a_linear_model_lie_on_the_line(tmp_path: Path):
    x = keras.Input((5,), name="x")
    save_variants(keras.Model(x, layers.Dense(3, name="head")(x)), tmp_path, ["m", "a"])
    between(tmp_path, "{with: a.keras, alpha: 0.4}")
    inputs = np.random.default_rng(1).normal(size=(7, 5)).astype("float32")
    first, second, found = (np.asarray(load(tmp_path / f"{name}.keras")(inputs)) for name in ("m", "a", "out"))
    assert np.allclose(found, 0.6 * first + 0.4 * second, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.25, 0.5, 0.9])
def test_slerp_keeps_unit_norms_and_divides_the_angle(alpha: float, tmp_path: Path):
    rng = np.random.default_rng(3)
    one, two = (values / np.linalg.norm(values) for values in rng.normal(size=(2, 40, 30)))
    one_kernel(tmp_path, one, two, dtype="float64")
    [found] = between(tmp_path, f"{{with: a.keras, alpha: {alpha}, mode: slerp}}")
    angle = np.arccos((one * two).sum())
    assert abs(np.linalg.norm(found) - 1) < 1e-12
    assert abs(np.arccos((one * found).sum()) - alpha * angle) < 1e-9


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ([[1.0, 0.0]], [[3.0, 0.03]]),  # almost parallel
        ([[1.0, 2.0]], [[-1.0, -2.0]]),  # opposite
        ([[0.0, 0.0]], [[1.0, 2.0]]),  # nothing to turn
    ],
)
def test_slerp_goes_straight_where_there_is_no_circle(one: list[list[float]], two: list[list[float]], tmp_path: Path):
    one_kernel(tmp_path, np.array(one), np.array(two))
    [straight] = between(tmp_path, "{with: a.keras, alpha: 0.25}")
    [found] = between(tmp_path, "{with: a.keras, alpha: 0.25, mode: slerp}")
    assert same_bits(found, straight)


def test_moving_statistics_go_straight_in_slerp_too(tmp_path: Path):
    save_variants(zoo.ZOO["residual"](), tmp_path, ["m", "a"])
    names = [variable.path for variable in load(tmp_path / "m.keras").weights]
    curved, straight = (
        between(tmp_path, f"{{with: a.keras, alpha: 0.5, mode: {mode}}}") for mode in ("slerp", "linear")
    )
    same = {name for name, one, two in zip(names, curved, straight, strict=True) if same_bits(one, two)}
    assert same == {name for name in names if "moving" in name}


def test_layers_and_weights_say_which(tmp_path: Path):
    first, _ = save_variants(zoo.ZOO["residual"](), tmp_path, ["m", "a"])
    names = [variable.path for variable in load(tmp_path / "m.keras").weights]
    found = between(tmp_path, "{with: a.keras, alpha: 0.5, layers: {type: BatchNormalization}, weights: [gamma, beta]}")
    changed = [name for name, one, two in zip(names, first, found, strict=True) if not same_bits(one, two)]
    assert changed == ["bn_1/gamma", "bn_1/beta", "bn_2/gamma", "bn_2/beta"]


def test_numbers_that_slerp_makes_too_large_are_refused(tmp_path: Path):
    one_kernel(tmp_path, np.array([[60000.0, 60000.0]]), np.array([[60000.0, -60000.0]]), dtype="float16")
    error = refuse(
        tmp_path, "load: m.keras", "interpolate: {with: a.keras, alpha: 0.5, mode: slerp}", "save: out.keras"
    )
    assert told(error) == (
        "4:52: interpolate.mode: 'kernel' of 'head' would hold numbers that are too large for float16;"
        " write mode: linear"
    )


def test_the_plan_says_how_far(tmp_path: Path):
    save_variants(zoo.ZOO["chain"](), tmp_path, ["m", "a"])
    steps = ("load: m.keras", "interpolate: {with: a.keras, alpha: 0.25, layers: head}", SAVE)
    plan = write_recipe(tmp_path, *steps).plan()
    assert [change.what for change in plan.steps[1].changes] == ["kernel, bias 25 % of the way to 'a.keras'"]
    assert plan.outputs[0].how == "streamed"


def test_a_model_that_does_not_fit_is_refused(tmp_path: Path):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    zoo.ZOO["sequential"]().save(tmp_path / "a.keras")
    assert told(refuse(tmp_path, "load: m.keras", "interpolate: {with: a.keras, alpha: 0.5}", "save: out.keras")) == (
        "4:25: interpolate.with: 'a.keras' does not have the layers and weights of the model:\n"
        "  'second' is missing\n"
        "  'head/kernel' is float32 (8, 3), not float32 (6, 3);"
        " combine models of one architecture, or select the layers that both have"
    )


def test_alpha_beyond_the_ends_is_refused(tmp_path: Path):
    error = refuse(tmp_path, "load: m.keras", "interpolate: {with: a.keras, alpha: 1.5}")
    assert isinstance(error, Problems)
    assert told(error.problems[0]) == "4:41: interpolate.alpha: must be at most 1, not 1.5"
