"""What is known of optimizers' variables, against those that the installed Keras makes."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from modelrecipe.catalog import training as catalog
from modelrecipe.catalog.optimizer_state import state_copies

WRAPPERS = {"LossScaleOptimizer", "MultiOptimizer", "OptimizerMap"}
CLASSES = sorted({str(catalog.class_named("optimizer", name)) for name in catalog.names_of("optimizer")} - WRAPPERS)
SIZE = 40


def made_by_keras(optimizer: keras.optimizers.Optimizer) -> int:
    """Whole copies of a matrix that an optimizer makes to train it."""
    optimizer.build([keras.Variable(keras.ops.zeros((SIZE, SIZE)))])
    return sum(keras.ops.size(variable) for variable in optimizer.variables) // SIZE**2


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("options", [{}, {"use_ema": True}, {"gradient_accumulation_steps": 2}], ids=str)
def test_every_optimizer(name: str, options: dict[str, Any]):
    optimizer = getattr(keras.optimizers, name)(**options)
    assert state_copies(keras.optimizers.serialize(optimizer)) == made_by_keras(optimizer)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {"momentum": 0.9}),
        ("RMSprop", {"momentum": 0.9}),
        ("RMSprop", {"centered": True}),
        ("RMSprop", {"centered": True, "momentum": 0.5}),
        ("Adam", {"amsgrad": True}),
        ("AdamW", {"amsgrad": True}),
    ],
)
def test_what_an_argument_adds(name: str, options: dict[str, Any]):
    optimizer = getattr(keras.optimizers, name)(**options)
    assert state_copies(keras.optimizers.serialize(optimizer)) == made_by_keras(optimizer)


def test_one_that_wraps_another_keeps_what_that_keeps():
    adam = keras.optimizers.Adam(use_ema=True)
    scaled = keras.optimizers.LossScaleOptimizer(adam)
    assert state_copies(keras.optimizers.serialize(scaled)) == made_by_keras(scaled) == 3
    mapped = keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(keras.optimizers.Adam()))
    assert state_copies(keras.optimizers.serialize(mapped)) == made_by_keras(mapped) == 2


def test_a_name_alone_is_enough_and_a_foreign_one_is_none():
    assert state_copies("adam") == 2
    assert state_copies({"class_name": "mine>Own", "config": {"momentum": 0.9}}) == 0
    assert state_copies(None) == 0
