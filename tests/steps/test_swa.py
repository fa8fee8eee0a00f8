"""`swa` and `ema`: the training ends with the mean of what it came by, and is not disturbed by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.running import differences, load, refuse, refuse_plan, run, same_bits, told, write_recipe
from tests.shown_data import classifier, write_data

if TYPE_CHECKING:
    from pathlib import Path

    import keras
    from numpy.typing import NDArray

    from modelrecipe import Outcome

DATA = "data: {npz: d.npz, validation: 10}"
TRAIN = f"{DATA}, loss: sparse_categorical_crossentropy, batch_size: 8"
EVERY = "every: 5 batches, do:"


def trained(folder: Path, rest: str, **options: object) -> keras.Model:
    """The model after a training; 5 batches are an epoch."""
    train(folder, rest, **options)
    return load(folder / "out.keras")


def train(folder: Path, rest: str, *before: str, **options: object) -> Outcome:
    save = "save: {path: out.keras, force: true}"
    return run(folder, "load: m.keras", *before, f"train: {{{TRAIN}, {rest}}}", save, **options)


def weights(model: keras.Model) -> list[NDArray[np.generic]]:
    return [variable.numpy() for variable in model.trainable_variables]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_data(tmp_path)
    classifier().save(tmp_path / "m.keras")
    return tmp_path


def states(folder: Path, *times: int) -> list[list[NDArray[np.generic]]]:
    """The weights that train at these times, each from a training that ends there."""
    return [weights(trained(folder, f"steps: {time}")) for time in times]


@pytest.mark.parametrize("block", [1, 8])
def test_it_ends_with_the_mean_of_the_states(block: int, folder: Path):
    found = trained(folder, f"steps: 17, steps_per_execution: {block}, during: [{{{EVERY} [{{swa: {{}}}}]}}]")
    for mean, *parts in zip(weights(found), *states(folder, 5, 10, 15), strict=True):
        exact = np.mean([part.astype("float64") for part in parts], axis=0)
        assert np.abs(mean - exact).max() <= 1e-6


def test_statistics_are_those_of_the_end(folder: Path):
    found = trained(folder, f"steps: 17, during: [{{{EVERY} [{{swa: {{}}}}]}}]")
    plain = trained(folder, "steps: 17")
    for one, other in zip(*(model.get_layer("norm").non_trainable_variables for model in (found, plain)), strict=True):
        assert same_bits(one.numpy(), other.numpy())


def test_one_state_is_that_state(folder: Path):
    found = trained(folder, "steps: 10, during: [{at: end, do: [{swa: {weights: '*'}}]}]")
    assert differences(trained(folder, "steps: 10"), found) == []


def test_what_never_changed_keeps_its_bits(folder: Path):
    model = load(folder / "m.keras")
    model.get_layer("hidden").bias.assign(np.full(6, -0.0))
    model.save(folder / "m.keras")
    rest = f"steps: 20, during: [{{{EVERY} [{{swa: {{}}}}]}}]"
    train(folder, rest, "freeze: {layers: hidden}")
    after = load(folder / "out.keras").get_layer("hidden")
    for one, other in zip(model.get_layer("hidden").weights, after.weights, strict=True):
        assert same_bits(one.numpy(), other.numpy())


def test_it_says_which_layers(folder: Path):
    plain = trained(folder, "steps: 15")
    some = trained(folder, f"steps: 15, during: [{{{EVERY} [{{swa: {{layers: head, weights: kernel}}}}]}}]")
    assert differences(plain, some) == ["~ head/kernel"]


def test_the_exponential_mean_begins_with_the_first_state(folder: Path):
    found = trained(folder, f"steps: 15, during: [{{{EVERY} [{{ema: 0.75}}]}}]")
    for mean, first, second, third in zip(weights(found), *states(folder, 5, 10, 15), strict=True):
        exact = first.astype("float64")
        for part in (second, third):
            exact = 0.75 * exact + 0.25 * part
        assert np.abs(mean - exact).max() <= 1e-6


def test_a_decay_may_grow(folder: Path):
    """From 0 at batch 5, which is the first state, over 0.3 to 0.6."""
    during = "{every: 5 batches, from: batch 5, ramp: {decay: {from: 0.0}}, do: [{ema: {decay: 0.6}}]}"
    found = trained(folder, f"steps: 15, during: [{during}]")
    for mean, first, second, third in zip(weights(found), *states(folder, 5, 10, 15), strict=True):
        exact = 0.3 * first.astype("float64") + 0.7 * second
        assert np.abs(mean - (0.6 * exact + 0.4 * third)).max() <= 1e-6


def test_a_mask_holds_for_the_mean_too(folder: Path):
    """States before the pruning are part of the mean."""
    during = f"{{{EVERY} [{{swa: {{}}}}]}}, {{at: batch 12, do: [{{prune: {{layers: hidden, weights: kernel, sparsity: 0.5}}}}]}}"
    found = trained(folder, f"steps: 20, during: [{during}]")
    assert (found.get_layer("hidden").kernel.numpy() == 0).sum() == 12


def test_it_goes_on_after_a_kill_to_the_same_bits(folder: Path):
    """The states hold the means: the second half is trained by another run."""
    rest = f"epochs: 4, checkpoints: {{every: 5 batches}}, during: [{{{EVERY} [{{swa: {{weights: '*'}}}}]}}]"
    whole = trained(folder, rest)
    max((folder / "recipe.training" / "step-2").glob("*.state")).unlink()
    resumed = trained(folder, rest, resume=True)
    assert differences(whole, resumed) == []


def test_the_report_says_how_many_states_there_were(folder: Path):
    step = train(folder, "epochs: 3, during: [{every: 1 epoch, do: [{swa: {layers: head}}]}]").steps[1]
    assert "2 variables are means of 3 states" in step.notes
    assert step.changes[0].layer == "head"
    assert step.changes[0].what == "every 1 epoch: kernel, bias taken into their mean"
    assert step.changes[0].weights == ("kernel", "bias")


def test_a_plan_says_when_and_what(folder: Path):
    step = f"train: {{{TRAIN}, epochs: 3, during: [{{every: 1 epoch, do: [{{ema: 0.9}}]}}]}}"
    planned = write_recipe(folder, "load: m.keras", step).plan().steps[1]
    assert planned.changes[0].what == "every 1 epoch: kernel, bias taken into their exponential mean"
    assert "every 1 epoch: ema, 3 times" in planned.notes


def test_averaging_is_followed_by_new_statistics(folder: Path):
    data = "data: {npz: d.npz, x: x, validation: 10}"
    outcome = run(
        folder,
        "load: m.keras",
        f"train: {{{TRAIN}, epochs: 3, during: [{{every: 1 epoch, do: [{{swa: {{}}}}]}}]}}",
        f"bn_reestimate: {{{data}}}",
        "save: out.keras",
    )
    again = run(folder, "load: out.keras", f"bn_reestimate: {{{data}}}", "save: again.keras")
    assert differences(load(folder / "out.keras"), load(folder / "again.keras")) == []
    assert outcome.outputs[0].proof is not None
    assert again.outputs[0].proof is not None


# What is refused


@pytest.mark.parametrize("step", ["swa: {}", "ema: 0.9"])
def test_it_is_refused_outside_of_a_training(step: str, folder: Path):
    said = "belongs inside a training; write it under 'during' of a 'train' step"
    for error in (refuse_plan(folder, "load: m.keras", step), refuse(folder, "load: m.keras", step)):
        assert told(error) == f"4:{len(step.partition(' ')[0]) + 6}: {step[:3]}: this step {said}"


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        (
            f"during: [{{{EVERY} [{{swa: {{}}}}]}}, {{at: end, do: [{{ema: {{decay: 0.9, layers: head}}}}]}}]",
            "train.during: 'kernel' of 'head' is averaged by both 'swa' and 'ema'; average it by one of them",
        ),
        (
            f"restore_best: val_loss, during: [{{{EVERY} [{{swa: {{}}}}]}}]",
            "train.restore_best: the training ends with means of its weights, so it cannot end with those of its best "
            "epoch; remove 'restore_best', or the steps that average",
        ),
    ],
)
def test_a_training_ends_in_one_way(rest: str, said: str, folder: Path):
    error = refuse_plan(folder, "load: m.keras", f"train: {{{TRAIN}, epochs: 2, {rest}}}")
    assert told(error).partition(": ")[2] == said


def test_a_decay_of_one_would_forget_nothing_and_is_refused(folder: Path):
    error = refuse(folder, "load: m.keras", f"train: {{{TRAIN}, epochs: 1, during: [{{{EVERY} [{{ema: 1}}]}}]}}")
    assert "must be less than 1, not 1" in str(error)
