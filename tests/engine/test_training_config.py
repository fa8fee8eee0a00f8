from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest

import modelrecipe
from modelrecipe.engine.training_config import NOTE

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def compiled(save) -> Path:
    """A model with a loss for each of its two outputs, trained for a step."""
    given = keras.Input((4,), name="x")
    hidden = keras.layers.Dense(5, name="h")(given)
    outputs = [keras.layers.Dense(3, name="p")(hidden), keras.layers.Dense(1, name="q")(hidden)]
    model = keras.Model(given, outputs)
    model.compile("adam", loss={"p": "mse", "q": "mae"}, loss_weights={"p": 1.0, "q": 0.5}, metrics={"p": ["mae"]})
    model.fit(np.zeros((4, 4)), {"p": np.zeros((4, 3)), "q": np.zeros((4, 1))}, verbose=0)
    return save(model)


def run(folder: Path, *steps: str) -> tuple[keras.Model, tuple[str, ...]]:
    lines = "".join(f"  - {step}\n" for step in ("load: m.keras", *steps, "save: o.keras"))
    (folder / "r.yaml").write_text(f"version: 1\nsteps:\n{lines}")
    outcome = modelrecipe.load_recipe(folder / "r.yaml").run()
    return keras.saving.load_model(folder / "o.keras"), outcome.steps[-1].notes


@pytest.mark.parametrize("more", [(), ("insert: {after: h, layer: Identity}",)], ids=["streamed", "built"])
def test_a_loss_follows_its_output_when_that_is_renamed(more: tuple[str, ...], compiled: Path):
    model, _ = run(compiled.parent, "rename: {map: {p: first, q: second}}", *more)
    model.fit(np.zeros((4, 4)), {"first": np.zeros((4, 3)), "second": np.zeros((4, 1))}, verbose=0)


@pytest.mark.parametrize(
    "step",
    [
        "replace: {layers: q, with: {class: Dense, config: {units: 2}, name: r}, weights: fresh}",
        "remove: {layers: q}",
    ],
)
def test_a_model_whose_loss_lost_its_output_is_written_uncompiled_and_says_so(step: str, compiled: Path):
    model, notes = run(compiled.parent, step)
    assert not model.compiled
    assert notes == (NOTE,)


def test_other_layers_may_be_renamed_without_a_word(compiled: Path):
    model, notes = run(compiled.parent, "rename: {map: {h: hidden}}")
    assert model.compiled
    assert notes == ()
    assert int(model.optimizer.iterations.numpy()) == 1
