"""A training that was stopped and resumed ends with the bits of one that was not."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
from keras import layers

from modelrecipe import RecipeError
from tests.live.training.plain import DATA, LOSS, different, network, training, write_data
from tests.running import OUTPUT, SOURCE, load, slow_unless, told, write_recipe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from modelrecipe import Outcome

STATES = "recipe.training/step-3"
EVERYTHING = training(
    "batch_size: 4, epochs: 3, metrics: accuracy, checkpoints: {every: 1 batch, keep: 2},"
    " learning_rate: {value: 0.01, schedule: cosine, warmup: 3}, restore_best: val_loss,"
    " stop_early: {monitor: val_loss, patience: 5}, optimizer: {class: Adam, config: {amsgrad: true}},"
    " during: [{every: 2 batches, until: batch 9, ramp: {sparsity: {from: 0.0, shape: cubic}},"
    " do: [{prune: {layers: second, sparsity: 0.7}}]},"
    " {every: 5 batches, do: [{noise: {layers: last, weights: kernel, stddev: 0.1}}]},"
    " {at: epoch 2, do: [{unfreeze: {layers: first}}, {configure: {layers: drop, config: {rate: 0.4}}}]}]",
    data="npz: data.npz, validation: 6, augment: [{class: GaussianNoise, config: {stddev: 0.1}}]",
)
"""16 examples in 4 batches, 12 batches in all."""
BLOCKS = EVERYTHING.replace("every: 1 batch,", "every: 3 batches,").replace(
    "metrics:", "steps_per_execution: 8, metrics:"
)
STEPS = ("freeze: {layers: first}", EVERYTHING)


def unseeded() -> keras.Model:
    """Dropout without a seed of its own: the recipe's seed decides."""
    keras.utils.set_random_seed(3)
    enter = keras.Input((5,), name="enter")
    inner = layers.BatchNormalization(name="norm")(layers.Dense(8, activation="relu", name="first")(enter))
    inner = layers.Dropout(0.25, name="drop")(inner)
    inner = layers.Dense(6, activation="tanh", name="second")(inner)
    return keras.Model(enter, layers.Dense(3, activation="softmax", name="last")(inner))


def prepare(folder: Path, *steps: str, model: keras.Model | None = None) -> Any:
    (model or unseeded()).save(folder / SOURCE)
    if not (folder / DATA).exists():
        write_data(folder)
    return write_recipe(folder, f"load: {SOURCE}", *steps, f"save: {{path: {OUTPUT}, force: true}}", head="seed: 3")


class Listener:
    """Hears how a training goes; sends Ctrl-C, or another signal, when a state of some batch is kept."""

    def __init__(self, stop: int | None = None, by: signal.Signals = signal.SIGINT) -> None:
        self.stop = stop
        self.by = by
        self.epochs: dict[int, dict[str, float]] = {}
        self.edits: list[int] = []
        self.kept: list[int] = []
        self.notes: list[str] = []

    def __call__(self, event: str, facts: Mapping[str, Any]) -> None:
        if event == "epoch":
            self.epochs[facts["epoch"]] = {name: value for name, value in facts.items() if name != "seconds"}
        elif event == "edit":
            self.edits.append(facts["batch"])
        elif event == "resumed":
            self.notes = facts["notes"]
        elif event == "state":
            self.kept.append(facts["batch"])
            if facts["batch"] == self.stop:
                self.stop = None
                os.kill(os.getpid(), self.by)


def interrupt(recipe: Any, batch: int, **options: Any) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        recipe.run(events=Listener(batch), **options)
    assert caught.value.exit_code == 130
    return caught.value


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[keras.Model, Listener]:
    """The training that nobody stops."""
    folder = tmp_path_factory.mktemp("whole")
    heard = Listener()
    prepare(folder, *STEPS).run(events=heard)
    return load(folder / OUTPUT), heard


@pytest.mark.parametrize(
    "batch", [pytest.param(batch, marks=slow_unless(batch in (4, 5, 10))) for batch in range(1, 12)]
)
def test_a_stopped_training_goes_on_to_the_same_bits(batch: int, whole: tuple[keras.Model, Listener], tmp_path: Path):
    model, heard = whole
    recipe = prepare(tmp_path, *STEPS)
    interrupt(recipe, batch)
    again = Listener()
    outcome = recipe.run(resume=True, events=again)
    assert different(load(tmp_path / OUTPUT), model) == []
    assert again.kept == list(range(batch + 1, 13))
    assert {epoch: heard.epochs[epoch] for epoch in again.epochs} == again.epochs
    late = [time for time in heard.edits if time > batch]
    assert again.edits == ([4, *late] if batch == 4 else late), "what comes before epoch 2 comes after batch 4 was kept"
    assert f"resumed after batch {batch}" in outcome.steps[2].notes


def test_a_cluster_that_ends_the_process_finds_a_state(whole: tuple[keras.Model, Listener], tmp_path: Path):
    recipe = prepare(tmp_path, *STEPS)
    with pytest.raises(RecipeError) as caught:
        recipe.run(events=Listener(5, by=signal.SIGTERM))
    assert told(caught.value) == (
        "6:12: train: interrupted after batch 5 of 12; its state is kept: go on with --resume"
    )
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    recipe.run(resume=True)
    assert different(load(tmp_path / OUTPUT), whole[0]) == []


def test_blocks_of_batches_are_resumed_too(tmp_path: Path):
    recipe = prepare(tmp_path, STEPS[0], BLOCKS)
    recipe.run()
    wanted = load(tmp_path / OUTPUT)
    interrupt(recipe, 6)
    recipe.run(resume=True)
    assert different(load(tmp_path / OUTPUT), wanted) == []


def test_a_training_that_had_ended_is_not_trained_further(tmp_path: Path):
    """It stopped early; the run was killed afterwards, before the model was written."""
    step = training(
        "batch_size: 4, epochs: 9, learning_rate: 0, checkpoints: {every: 1 epoch}, stop_early: {patience: 0}",
        data="npz: data.npz, validation: 6",
    ).replace("learning_rate: 0,", "optimizer: {class: SGD, config: {learning_rate: 0.0}},")
    recipe = prepare(tmp_path, step, model=network())
    first, again = Listener(), Listener()
    wanted = recipe.run(events=first).steps[1].notes
    outcome = recipe.run(resume=True, events=again)
    assert (sorted(first.epochs), again.epochs) == ([1, 2], {})
    remark = "stopped after epoch 2: val_loss was best in epoch 1"
    assert remark in wanted
    assert remark in outcome.steps[1].notes


def test_callbacks_go_on_where_they_were(tmp_path: Path):
    step = training(
        "batch_size: 4, epochs: 6, optimizer: {class: SGD, config: {learning_rate: 0.0001}},"
        " checkpoints: {every: 1 epoch}, callbacks: [{class: ReduceLROnPlateau, config: {monitor: loss, patience: 1,"
        " min_delta: 10}}, {class: EarlyStopping, config: {monitor: loss, patience: 3, min_delta: 10,"
        " restore_best_weights: true}}]",
    )
    recipe = prepare(tmp_path, step, model=network())
    heard, again = Listener(), Listener()
    recipe.run(events=heard)
    wanted = load(tmp_path / OUTPUT)
    interrupt(recipe, 12)
    recipe.run(resume=True, events=again)
    assert sorted(heard.epochs) == [1, 2, 3, 4]
    assert again.epochs == {epoch: heard.epochs[epoch] for epoch in (3, 4)}
    assert different(load(tmp_path / OUTPUT), wanted) == []


def test_a_table_of_a_callback_has_each_epoch_once(tmp_path: Path):
    """It was stopped after the end of an epoch, and goes on from a state in the middle of it."""
    step = training(
        "batch_size: 4, epochs: 3, checkpoints: {every: 4 batches, keep: 9},"
        " callbacks: [{class: CSVLogger, config: {filename: log.csv}}]"
    )
    recipe = prepare(tmp_path, step, model=network())
    recipe.run()
    wanted = (tmp_path / "log.csv").read_bytes()
    assert [line.partition(b",")[0] for line in wanted.splitlines()] == [b"epoch", b"0", b"1", b"2"]
    for late in (8, 12, 16, 18):
        (tmp_path / STATES.replace("3", "2") / f"batch-{late:09d}.state").unlink()
    recipe.run(resume=True)
    assert (tmp_path / "log.csv").read_bytes() == wanted


SWAPPED = (
    "batch_size: 4, epochs: 3, checkpoints: {every: 4 batches, keep: 9},"
    " optimizer: {class: SGD, config: {learning_rate: 0.1, use_ema: true, ema_momentum: 1.0}}"
)


@pytest.mark.parametrize("config", ["{}", "{swap_on_epoch: true}"], ids=["to validate", "between epochs"])
def test_averages_that_a_callback_puts_into_the_model(config: str, tmp_path: Path):
    """At momentum 1 they stay what the weights are after the first batch."""
    data = f"npz: {DATA}, validation: 6"
    plain = prepare(tmp_path, training(SWAPPED, data=data).replace("epochs: 3", "steps: 1"), model=network())
    plain.run()
    first = load(tmp_path / OUTPUT)
    step = training(f"{SWAPPED}, callbacks: [{{class: SwapEMAWeights, config: {config}}}]", data=data)
    evaluate = f"evaluate: {{data: {{{data}}}, part: validation, loss: {LOSS}}}"
    recipe = prepare(tmp_path, step, evaluate, model=network())
    heard, again = Listener(), Listener()
    outcome = recipe.run(events=heard)
    wanted = load(tmp_path / OUTPUT)
    assert heard.epochs[3]["val_loss"] == pytest.approx(outcome.steps[2].values["loss"], rel=1e-5)
    for left, right in zip(wanted.trainable_weights, first.trainable_weights, strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-6)  # the callback swaps by sums and differences
    (tmp_path / STATES.replace("3", "2") / "batch-000000012.state").unlink()
    recipe.run(resume=True, events=again)
    assert again.epochs == {3: heard.epochs[3]}
    assert different(load(tmp_path / OUTPUT), wanted) == []


def states(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / STATES).iterdir())


def test_a_damaged_state_gives_way_to_an_older_one(whole: tuple[keras.Model, Listener], tmp_path: Path):
    recipe = prepare(tmp_path, *STEPS)
    interrupt(recipe, 6)
    assert states(tmp_path) == ["batch-000000005.state", "batch-000000006.state"]
    newest = tmp_path / STATES / "batch-000000006.state"
    content = newest.read_bytes()
    newest.write_bytes(content[: len(content) // 2])
    again = Listener()
    outcome = recipe.run(resume=True, events=again)
    notes = [note for note in outcome.steps[2].notes if "state" in note or "resumed" in note]
    assert again.notes == notes
    assert notes == [
        "'batch-000000006.state' is damaged (File is not a zip file); an older state was taken",
        "resumed after batch 5",
    ]
    assert different(load(tmp_path / OUTPUT), whole[0]) == []
    assert states(tmp_path) == ["batch-000000011.state", "batch-000000012.state"]


def test_a_flipped_bit_is_damage(tmp_path: Path):
    recipe = prepare(tmp_path, *STEPS)
    interrupt(recipe, 2)
    newest = tmp_path / STATES / "batch-000000002.state"
    content = bytearray(newest.read_bytes())
    content[len(content) // 3] ^= 1
    newest.write_bytes(content)
    notes = recipe.run(resume=True).steps[2].notes
    assert any(note.startswith("'batch-000000002.state' is damaged (") for note in notes)
    assert "resumed after batch 1" in notes


def test_without_any_state_it_begins_anew(whole: tuple[keras.Model, Listener], tmp_path: Path):
    recipe = prepare(tmp_path, *STEPS)
    outcome = recipe.run(resume=True)
    assert "begun anew: there was no state to resume" in outcome.steps[2].notes
    assert different(load(tmp_path / OUTPUT), whole[0]) == []


def test_the_state_of_another_training_is_refused(tmp_path: Path):
    interrupt(prepare(tmp_path, *STEPS), 2)
    steps = (STEPS[0], EVERYTHING.replace("value: 0.01", "value: 0.02"), f"save: {OUTPUT}")
    other = write_recipe(tmp_path, f"load: {SOURCE}", *steps, head="seed: 3")
    with pytest.raises(RecipeError) as caught:
        other.run(resume=True)
    assert told(caught.value) == (
        f"6:12: train: '{tmp_path}/{STATES}/batch-000000002.state' belongs to a training with another recipe;"
        " change that back, or run without --resume to begin anew"
    )


def test_a_new_training_takes_the_place_of_old_states(tmp_path: Path):
    interrupt(prepare(tmp_path, *STEPS), 9)
    other = prepare(tmp_path, STEPS[0], EVERYTHING.replace("value: 0.01", "value: 0.02"))
    interrupt(other, 2, force=True)
    assert states(tmp_path) == ["batch-000000001.state", "batch-000000002.state"]
    assert "resumed after batch 2" in other.run(resume=True).steps[2].notes


def test_an_interrupted_training_is_not_lost_by_a_run_that_forgets_it(tmp_path: Path):
    recipe = prepare(tmp_path, *STEPS)
    interrupt(recipe, 9)
    for again in (recipe.run, recipe.plan):
        with pytest.raises(RecipeError) as caught:
            again()
        assert told(caught.value).partition("recipe.training")[2] == (
            "/step-3' keeps a training that was interrupted after batch 9;"
            " pass --resume to go on with it, or --force to begin anew"
        )
    assert "resumed after batch 9" in recipe.run(resume=True).steps[2].notes
    recipe.run()  # it came to its end, so that nothing is lost


def test_the_state_of_another_model_is_refused(tmp_path: Path):
    interrupt(prepare(tmp_path, *STEPS, model=network()), 2)
    other = prepare(tmp_path, *STEPS, model=network(use_bias=False))
    with pytest.raises(RecipeError, match="belongs to a training with another model; change that back"):
        other.run(resume=True)


def test_data_that_changed_are_another_training(tmp_path: Path):
    recipe = prepare(tmp_path, *STEPS)
    interrupt(recipe, 2)
    kept = dict(np.load(tmp_path / DATA))
    np.savez(tmp_path / DATA, **{**kept, "x": kept["x"] + 1})
    with pytest.raises(RecipeError, match="belongs to a training with other data; change that back"):
        recipe.run(resume=True)


def test_data_that_are_gone_are_told_before_anything_runs(tmp_path: Path):
    recipe = prepare(tmp_path, *STEPS)
    interrupt(recipe, 2)
    (tmp_path / DATA).unlink()
    with pytest.raises(RecipeError) as caught:
        recipe.run(resume=True)
    assert "does not exist" in caught.value.message
    assert states(tmp_path) == ["batch-000000001.state", "batch-000000002.state"]


def test_a_training_that_keeps_no_states_cannot_be_resumed_which_is_told_before_any_other(tmp_path: Path):
    short = "batch_size: 4, epochs: 1"
    first = training(f"{short}, checkpoints: {{}}")
    recipe = prepare(tmp_path, first, training(short), model=network())
    heard = Listener()
    with pytest.raises(RecipeError) as caught:
        recipe.run(resume=True, events=heard)
    assert not heard.epochs
    assert told(caught.value) == (
        "6:12: train: this training keeps no states to resume from; write checkpoints: {every: 1 epoch}"
    )


def notes_of(outcome: Outcome) -> list[str]:
    return [note for step in outcome.steps for note in step.notes]


def test_two_trainings_of_a_recipe_each_go_on_from_their_own(tmp_path: Path):
    text = "batch_size: 4, learning_rate: 0.01, checkpoints: {every: 2 batches}"
    recipe = prepare(tmp_path, training(f"steps: 4, {text}"), training(f"steps: 6, {text}"), model=network())
    recipe.run()
    wanted = load(tmp_path / OUTPUT)
    stopper = Listener()

    def second(event: str, facts: Mapping[str, Any]) -> None:
        stopper.stop = 4 if facts["step"] == 3 else None
        stopper(event, facts)

    with pytest.raises(RecipeError):
        recipe.run(events=second)
    outcome = recipe.run(resume=True)
    assert [note for note in notes_of(outcome) if note.startswith("resumed")] == [
        "resumed after batch 4",
        "resumed after batch 4",
    ]
    assert different(load(tmp_path / OUTPUT), wanted) == []
