"""Wrappers of `TimeDistributed` in wrappers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from modelrecipe.formats import read_checkpoint
from tests.old_keras import assert_same_numbers, convert, perturb, tf_keras, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

layers = tf_keras.layers
VALUES = np.random.default_rng(0).uniform(-1, 1, (2, 3, 4, 5)).astype("float32")


def repairs(file: Path) -> list[str]:
    origin = read_checkpoint(file).origin
    return [item.repair for item in origin.repairs] if origin else []


def of(layer: Any) -> Any:
    return perturb(tf_keras.Sequential([tf_keras.Input((3, 4, 5)), layer]))


@pytest.mark.parametrize("ending", [".h5", ".keras"])
@pytest.mark.parametrize(
    "held",
    [
        lambda: layers.TimeDistributed(layers.Dense(2)),
        lambda: layers.TimeDistributed(tf_keras.Sequential([layers.Dense(3), layers.BatchNormalization()])),
    ],
    ids=["layer", "model"],
)
def test_a_wrapper_in_a_wrapper_is_built_for_what_it_takes(
    held: Callable[[], Any], ending: str, tmp_path: Path
) -> None:
    model = of(layers.TimeDistributed(held()))
    file = write(model, tmp_path / f"old{ending}")
    assert "distributed-shapes" in repairs(file)
    assert_same_numbers(model, convert(file), VALUES)


def test_a_wrapper_that_notes_its_own_shape_keeps_it(tmp_path: Path) -> None:
    file = write(of(layers.TimeDistributed(layers.Dense(2))), tmp_path / "old.keras")
    assert "distributed-shapes" not in repairs(file)
