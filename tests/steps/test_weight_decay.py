"""`weight_decay`: the optimizer shrinks weights from a stated batch on, as AdamW does, and the model stays what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.live.training.test_resuming import Listener, interrupt, prepare, training
from tests.running import OUTPUT, differences, load, refuse, refuse_plan, run, same_bits, told, write_recipe
from tests.shown_data import classifier, write_data

if TYPE_CHECKING:
    from pathlib import Path

    import keras
    from numpy.typing import NDArray

DATA = "data: {npz: d.npz, validation: 10}, loss: sparse_categorical_crossentropy, batch_size: 8"
SGD = "optimizer: {class: SGD, config: {learning_rate: 0.125}}"
RATE, DECAY = 0.125, 0.25


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_data(tmp_path)
    classifier().save(tmp_path / "m.keras")
    return tmp_path


def trained(folder: Path, rest: str, *before: str) -> keras.Model:
    """The model after a training; 5 batches are an epoch."""
    save = "save: {path: out.keras, force: true}"
    run(folder, "load: m.keras", *before, f"train: {{{DATA}, {rest}}}", save)
    return load(folder / "out.keras")


def weights(model: keras.Model) -> list[NDArray[np.generic]]:
    return [variable.numpy() for variable in model.trainable_variables]


def decayed(at: str) -> str:
    return f"during: [{{at: {at}, do: [{{weight_decay: {DECAY}}}]}}]"


@pytest.mark.parametrize("block", [1, 8])
def test_it_begins_after_the_batch_that_is_named(block: int, folder: Path):
    """Batch 7 is the first that loses rate * decay of what batch 6 left, beside its gradient."""
    sixth = trained(folder, f"steps: 6, {SGD}")
    plain = trained(folder, f"steps: 7, {SGD}")
    assert differences(sixth, trained(folder, f"steps: 6, {SGD}, {decayed('batch 6')}")) == []
    found = trained(folder, f"steps: 7, {SGD}, steps_per_execution: {block}, {decayed('batch 6')}")
    for before, without, other in zip(*map(weights, (sixth, plain, found)), strict=True):
        assert np.abs(other - (without - RATE * DECAY * before)).max() <= 1e-6
    assert len(differences(plain, found)) == len(weights(plain))


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_from_the_start_it_is_the_optimizers_own(name: str, folder: Path):
    told = trained(folder, f"epochs: 2, optimizer: {{class: {name}, config: {{weight_decay: {DECAY}}}}}")
    found = trained(folder, f"epochs: 2, optimizer: {name}, {decayed('start')}")
    assert differences(told, found) == []


def test_it_ends_again(folder: Path):
    """With 0 from the first batch on, the optimizer's own decay never happens."""
    own = f"optimizer: {{class: AdamW, config: {{weight_decay: {DECAY}}}}}"
    found = trained(folder, f"epochs: 2, {own}, during: [{{at: start, do: [{{weight_decay: 0}}]}}]")
    assert differences(trained(folder, "epochs: 2, optimizer: Adam"), found) == []


def test_frozen_weights_and_statistics_do_not_shrink(folder: Path):
    freeze = "freeze: {layers: hidden}"
    plain = trained(folder, f"steps: 2, {SGD}", freeze)
    found = trained(folder, f"steps: 2, {SGD}, {decayed('batch 1')}", freeze)
    assert differences(plain, found) == ["~ head/bias", "~ head/kernel", "~ norm/beta", "~ norm/gamma"]


def test_it_may_grow(folder: Path):
    ramp = "{every: 5 batches, ramp: {rate: {from: 0.0}}, do: [{weight_decay: 0.25}]}"
    one_by_one = ", ".join(f"{{at: batch {time}, do: [{{weight_decay: {time / 60}}}]}}" for time in (5, 10, 15))
    found = trained(folder, f"steps: 15, {SGD}, during: [{ramp}]")
    assert differences(trained(folder, f"steps: 15, {SGD}, during: [{one_by_one}]"), found) == []


def test_a_resumed_training_decays_as_before(tmp_path: Path):
    during = "during: [{at: batch 3, do: [{weight_decay: 0.25}]}, {at: batch 9, do: [{weight_decay: 0.5}]}]"
    step = training(f"batch_size: 4, epochs: 3, checkpoints: {{every: 1 batch}}, {during}")
    recipe = prepare(tmp_path, step)
    recipe.run(events=Listener())
    whole = load(tmp_path / OUTPUT)
    interrupt(recipe, 6)
    recipe.run(resume=True)
    found = load(tmp_path / OUTPUT)
    assert all(same_bits(one, other) for one, other in zip(weights(whole), weights(found), strict=True))


def test_a_plan_says_when_and_what(folder: Path):
    planned = write_recipe(folder, "load: m.keras", f"train: {{{DATA}, epochs: 2, {decayed('epoch 2')}}}").plan()
    notes = planned.steps[1].notes
    assert [note for note in notes if "decay" in note] == [
        "at epoch 2: weight decay 0.25",
        "at epoch 2: weight_decay, 1 time",
    ]


def test_it_is_refused_outside_of_a_training(folder: Path):
    steps = ("load: m.keras", "weight_decay: 0.1")
    for error in (refuse_plan(folder, *steps), refuse(folder, *steps)):
        assert "weight_decay: this step belongs inside a training; write it under 'during' of a 'train' step" in told(
            error
        )


def test_a_decay_below_zero_would_let_weights_grow_and_is_refused(folder: Path):
    step = f"train: {{{DATA}, epochs: 1, during: [{{at: start, do: [{{weight_decay: -0.1}}]}}]}}"
    assert "must be at least 0, not -0.1" in str(refuse(folder, "load: m.keras", step))
