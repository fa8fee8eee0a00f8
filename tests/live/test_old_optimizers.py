from __future__ import annotations

import keras
import pytest

from modelrecipe.live.old_optimizers import modern_optimizer


def made(class_name: str, **config) -> keras.optimizers.Optimizer:
    return keras.optimizers.deserialize(modern_optimizer({"class_name": class_name, "config": config}))


@pytest.mark.parametrize(
    ("class_name", "config"),
    [
        ("SGD", {"lr": 0.5, "momentum": 0.9, "decay": 0.0, "nesterov": True}),
        ("RMSprop", {"lr": 0.5, "rho": 0.8, "decay": 0.0, "epsilon": None}),
        ("Adam", {"lr": 0.5, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-8, "decay": 0.0, "amsgrad": True}),
        ("Adam", {"learning_rate": 0.5, "jit_compile": False, "is_legacy_optimizer": False, "weight_decay": None}),
    ],
)
def test_an_old_optimizer_keeps_its_arguments(class_name: str, config: dict):
    found = made(class_name, **config).get_config()
    expected = {"learning_rate": 0.5, **config}
    for key in found.keys() & expected.keys() - {"epsilon"}:
        assert found[key] == expected[key] or found[key] == pytest.approx(expected[key], rel=1e-7)
    assert found["learning_rate"] == 0.5


def test_a_decay_is_a_schedule_of_the_same_rates():
    optimizer = made("SGD", lr=0.5, decay=0.25)
    rates = []
    for iteration in (0, 1, 4):
        optimizer.iterations.assign(iteration)
        rates.append(float(optimizer.learning_rate))
    assert rates == pytest.approx([0.5, 0.5 / 1.25, 0.5 / 2])


def test_the_schedule_of_nadam_is_another_one_in_keras_3_so_keras_refuses_it():
    with pytest.raises(ValueError, match="schedule_decay"):
        made("Nadam", lr=0.5, schedule_decay=0.004)
