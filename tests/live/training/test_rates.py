"""How fast what learns: schedules, groups of layers, pulls towards the start."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest

from modelrecipe.live.training.penalties import pull_back, set_regularizer
from modelrecipe.live.training.rates import course
from modelrecipe.selector import Selector
from modelrecipe.training.settings import Penalty, Rate
from tests.live.training.plain import batches, different, fit, network, numbers, trained, training
from tests.running import SOURCE, load

if TYPE_CHECKING:
    from pathlib import Path


def rates(rate: Rate, total: int) -> list[float]:
    return [float(course(rate, total, np.float32(step), keras.ops)) for step in range(total + 1)]


def test_slanted_triangular_is_equation_3_of_howard_and_ruder():
    found = rates(Rate(value=0.01, schedule="slanted_triangular"), 200)
    assert found.index(max(found)) == 20
    assert max(found) == pytest.approx(0.01, rel=1e-6)
    assert found[0] == pytest.approx(0.01 / 32, rel=1e-6)
    assert found[200] == pytest.approx(0.01 / 32, rel=1e-5)
    cut, ratio = 20, 32
    for step in (1, 7, 20, 21, 100, 199):
        share = step / cut if step < cut else 1 - (step - cut) / (cut * (1 / 0.1 - 1))
        assert found[step] == pytest.approx(0.01 * (1 + share * (ratio - 1)) / ratio, rel=1e-5)


def test_cosine_goes_from_the_peak_to_the_end():
    found = rates(Rate(value=1.0, schedule="cosine", end=0.1), 100)
    wanted = [0.1 + 0.9 * (1 + math.cos(math.pi * step / 100)) / 2 for step in range(101)]
    assert np.allclose(found, wanted, atol=1e-6)
    assert found[0] == 1
    assert found[100] == pytest.approx(0.1, abs=1e-6)


def test_linear_goes_down_evenly_after_its_warmup():
    found = rates(Rate(value=1.0, schedule="linear", warmup=10), 110)
    assert np.allclose(found[:10], [(step + 1) / 10 for step in range(10)])
    assert np.allclose(found[10:], [1 - step / 100 for step in range(101)], atol=1e-6)


def test_warmup_alone_ends_at_the_rate():
    assert np.allclose(rates(Rate(value=0.5, warmup=4), 8), [0.125, 0.25, 0.375, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])


SGD = "optimizer: {class: SGD, config: {learning_rate: 0.5}}"


def moves(folder: Path, more: str) -> dict[str, np.ndarray]:
    """What one batch did to each variable."""
    before = numbers(network())
    after = numbers(trained(folder, network(), training(f"batch_size: 4, steps: 1, {more}")))
    return {name: after[name] - before[name] for name in before}


def test_a_group_learns_exactly_by_its_factor(tmp_path: Path):
    """A power of two: then the ratio of the updates is exact but for the sum with the weight."""
    plain = moves(tmp_path, SGD)
    found = moves(tmp_path, f"{SGD}, rates: [{{layers: second, factor: 0.25}}, {{layers: '*', factor: 0.5}}]")
    for name, move in plain.items():
        if "moving" not in name:
            assert np.allclose(found[name], move * (0.25 if name.startswith("second") else 0.5), atol=1e-7)
    assert np.array_equal(found["norm/moving_mean"], plain["norm/moving_mean"])


def test_a_group_may_stand_still_and_may_have_a_rate_of_its_own(tmp_path: Path):
    plain = moves(tmp_path, SGD)
    text = f"{SGD}, rates: [{{layers: second, factor: 0}}, {{layers: last, weights: bias, learning_rate: 1.0}}]"
    found = moves(tmp_path, text)
    assert not found["second/kernel"].any()
    assert np.allclose(found["last/bias"], plain["last/bias"] * 2, atol=1e-7)
    assert np.array_equal(found["last/kernel"], plain["last/kernel"])


@pytest.mark.parametrize("rate", ["schedule: cosine", "schedule: slanted_triangular", "warmup: 3"])
def test_a_schedule_has_the_bits_of_rates_that_are_set_by_hand(rate: str, tmp_path: Path):
    step = training(f"batch_size: 4, steps: 8, optimizer: SGD, learning_rate: {{value: 0.5, {rate}}}")
    found = trained(tmp_path, network(), step)
    key, _, value = rate.partition(": ")
    given: dict[str, Any] = {key: int(value) if value.isdecimal() else value}
    wanted_rates = rates(Rate(value=0.5, **given), 8)
    wanted = load(tmp_path / SOURCE)
    wanted.compile(optimizer=keras.optimizers.SGD(0.5), loss="sparse_categorical_crossentropy", jit_compile=False)
    for batch, value_of_batch in zip(batches(tmp_path, step), wanted_rates, strict=False):
        wanted.optimizer.learning_rate = value_of_batch
        fit(wanted, [batch])
    for one, other in zip(numbers(found).values(), numbers(wanted).values(), strict=True):
        assert np.allclose(one, other, atol=1e-6)


def test_the_pull_towards_the_start_is_half_alpha_times_the_squared_distance():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="only")])
    kernel, alpha = model.layers[0].kernel, 0.5
    pull_back(model, [(Penalty(l2_sp=alpha, layers=Selector(name="only")), [kernel])])
    assert [float(loss) for loss in model.losses] == [0]
    start = kernel.numpy()
    kernel.assign(start + 0.25)
    assert float(model.losses[0]) == pytest.approx(alpha / 2 * 12 * 0.25**2)
    set_regularizer(kernel, keras.regularizers.L2(1.0))
    assert float(model.losses[0]) == pytest.approx(alpha / 2 * 12 * 0.25**2 + (kernel.numpy() ** 2).sum(), rel=1e-6)


def test_the_gradient_of_the_pull_is_alpha_times_the_distance(tmp_path: Path):
    """The first batch feels nothing, the second what the first one did."""
    pull = "penalties: [{l2_sp: 2, layers: second, weights: kernel}]"
    first = moves(tmp_path, f"{SGD}, {pull}")
    assert np.array_equal(first["second/kernel"], moves(tmp_path, SGD)["second/kernel"])
    step = training(f"batch_size: 4, steps: 2, {SGD}, {pull}")
    found = trained(tmp_path, network(), step)
    plain = trained(tmp_path, network(), training(f"batch_size: 4, steps: 2, {SGD}"))
    assert different(found, plain) == ["second/kernel"]
    gap = found.get_layer("second").kernel.numpy() - plain.get_layer("second").kernel.numpy()
    assert np.allclose(gap, -0.5 * 2 * first["second/kernel"], atol=1e-6)
