"""`train`: what it refuses, with the place of the culprit, and what plan, report, logs and events say."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest

from modelrecipe.errors import Problems, RecipeError
from tests import zoo
from tests.live.training.plain import DATA, different, network, trained, training, write_data
from tests.running import OUTPUT, SOURCE, load, refuse, refuse_plan, told, write_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from modelrecipe import Outcome

SHORT = "batch_size: 4, epochs: 2"
INNER = (
    "write it before or behind 'train'; inside may stand: rescale, clip, noise, prune, average, interpolate, freeze,"
    " unfreeze, configure, regularize, swa, ema, weight_decay"
)
RESCALE = "do: [{rescale: {layers: second, factor: 0.9}}]"


def during(*entries: str) -> str:
    return training(f"{SHORT}, during: [{', '.join(f'{{{entry}}}' for entry in entries)}]")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    network().save(tmp_path / SOURCE)
    write_data(tmp_path)
    return tmp_path


def said(error: RecipeError) -> list[str]:
    """Each problem without its line and column, which depend on how these tests write a recipe."""
    found = error.problems if isinstance(error, Problems) else [error]
    assert all(problem.place is not None and problem.place.line == 4 for problem in found)
    return [told(problem).partition(": ")[2] for problem in found]


def refused(folder: Path, step: str) -> list[str]:
    """What plan and run say alike."""
    steps = (f"load: {SOURCE}", step, f"save: {OUTPUT}")
    found = said(refuse(folder, *steps))
    assert said(refuse_plan(folder, *steps)) == found
    return found


REFUSED = {
    "an unknown parameter of a step": (
        during("every: 5 batches, do: [{rescale: {layers: second, weight: kernel, factor: 0.9}}]"),
        "train.during.do.rescale: unknown key 'weight'; did you mean 'weights'?",
    ),
    "an unknown step": (
        during("every: 5 batches, do: [{reskale: {layers: second, factor: 0.9}}]"),
        "train.during.do: unknown step 'reskale'; did you mean 'rescale'?",
    ),
    "a step that changes the structure": (
        during("at: start, do: [{replace: {layers: second, with: {class: Dense}}}]"),
        f"train.during.do: 'replace' cannot stand inside a training: it changes the structure of the model; {INNER}",
    ),
    "a step that writes": (
        during("at: start, do: [{save: x.keras}]"),
        f"train.during.do: 'save' cannot stand inside a training: it changes neither weights nor flags nor settings;"
        f" {INNER}",
    ),
    "two steps in one item": (
        during("at: start, do: [{freeze: first, unfreeze: last}]"),
        "train.during.do: 'freeze' and 'unfreeze' stand together; write each in an item of its own",
    ),
    "a selector that misses": (
        during("at: start, do: [{freeze: first}, {rescale: {layers: zecond, factor: 0.9}}]"),
        "train.during.do.rescale.layers.name: no layer matches name 'zecond'; nearest layers: 'second'",
    ),
    "a ramp of nothing": (
        during(f"every: 5 batches, ramp: {{faktor: {{from: 1}}}}, {RESCALE}"),
        "train.during.ramp.faktor: no step of 'do' has a number 'faktor'; did you mean 'factor'?",
    ),
    "a ramp from where the parameter cannot be": (
        during("every: 5 batches, ramp: {sparsity: {from: 2}}, do: [{prune: {layers: second, sparsity: 0.9}}]"),
        "train.during.ramp.sparsity.from: must be less than 1, not 2",
    ),
    "no moment": (
        during(RESCALE),
        "train.during: needs either 'every' or 'at'; say when, as every: 100 batches",
    ),
    "a range of one moment": (
        during(f"at: batch 3, until: batch 5, {RESCALE}"),
        "train.during.until: 'until' belongs to 'every'; remove 'until'",
    ),
    "a period without a unit": (
        during(f"every: 100, {RESCALE}"),
        "train.during.every: must be a period, as '100 batches' or '2 epochs', not 100",
    ),
    "a moment without a unit": (
        during(f"at: 3, {RESCALE}"),
        "train.during.at: must be a moment, as 'epoch 3', 'batch 700' or 'start', not 3",
    ),
    "no length": (
        training("batch_size: 4"),
        "train: needs either 'epochs' or 'steps'; say how long, as epochs: 3",
    ),
    "two rates": (
        training(f"{SHORT}, learning_rate: 0.1, optimizer: {{class: SGD, config: {{learning_rate: 0.1}}}}"),
        "train.learning_rate: the learning rate is given twice; keep one",
    ),
    "two ends": (
        training(f"{SHORT}, restore_best: loss, optimizer: {{class: SGD, config: {{use_ema: true}}}}"),
        "train.restore_best: the training ends with averages of the optimizer, so it cannot end with the weights of its"
        " best epoch; remove 'restore_best' or 'use_ema'",
    ),
    "a value of no validation": (
        training(f"{SHORT}, restore_best: val_accuracy"),
        "train.restore_best: there is no 'val_accuracy' without validation data;"
        " write validation below data, or watch another value",
    ),
    "a label that is none": (
        training(f"{SHORT}, class_weight: {{a: 1}}"),
        "train.class_weight.a: 'a' is no label; labels are numbers from 0",
    ),
    "a label beyond the outputs": (
        training(f"{SHORT}, class_weight: {{0: 2, 7: 1}}"),
        "train.class_weight.7: there is no label 7: 'last' has 3 outputs; labels go from 0 to 2",
    ),
    "XLA without determinism": (
        training(f"{SHORT}, jit: true, deterministic: true"),
        "train.jit: XLA and deterministic operations exclude each other; keep one",
    ),
    "an output that is none": (
        training(f"{SHORT}, loss_weights: {{lst: 1}}"),
        "train.loss_weights.lst: the model has no output 'lst'; did you mean 'last'?",
    ),
    "a group of no layers": (
        training(f"{SHORT}, rates: [{{layers: firsd, factor: 0.1}}]"),
        "train.rates.layers.name: no layer matches name 'firsd'; nearest layers: 'first'",
    ),
    "a pull on no weights": (
        training(f"{SHORT}, penalties: [{{l2_sp: 0.1, layers: first, weights: kernl}}]"),
        "train.penalties.weights: no weight of 'first' is named 'kernl'; nearest weights: 'kernel'",
    ),
    "an optimizer that Keras lacks": (
        training(f"{SHORT}, optimizer: Adamm"),
        "train.optimizer.class: Keras knows no optimizer 'Adamm'; did you mean 'adam'?",
    ),
    "an argument that an optimizer lacks": (
        training(f"{SHORT}, optimizer: {{class: Adam, config: {{beta1: 0.5}}}}"),
        "train.optimizer.config: unknown argument 'beta1' of Adam; did you mean 'beta_1'?",
    ),
    "an argument of another type": (
        training(f"{SHORT}, optimizer: {{class: adam, config: {{learning_rate: fast}}}}"),
        "train.optimizer.config.learning_rate: argument 'learning_rate' of Adam must be a number, not 'fast'",
    ),
    "a metric that Keras lacks": (
        training(f"{SHORT}, metrics: acuracy"),
        "train.metrics.class: Keras knows no metric 'acuracy'; did you mean 'accuracy'?",
    ),
    "a metric of equality": (
        training(f"{SHORT}, metrics: [accuracy, Accuracy]"),
        "train.metrics: 'Accuracy' counts what equals its target exactly, as the fractions of 'last' never do;"
        " write accuracy: Keras then takes the kind that fits",
    ),
    "a metric of rows, for labels": (
        training(f"{SHORT}, metrics: {{last: categorical_accuracy}}"),
        "train.metrics.last: 'categorical_accuracy' takes targets (None, 3), but 'y' gives (None,);"
        " write SparseCategoricalAccuracy for labels",
    ),
    "arguments of a metric that Keras chooses": (
        training(f"{SHORT}, metrics: {{class: accuracy, config: {{name: a}}}}"),
        "train.metrics.config: 'accuracy' takes no arguments: Keras chooses the class that fits the targets;"
        " name the class, as SparseCategoricalAccuracy",
    ),
    "a callback that Keras lacks": (
        training(f"{SHORT}, callbacks: [CSVLoger]"),
        "train.callbacks.class: Keras knows no callback 'CSVLoger'; did you mean 'CSVLogger'?",
    ),
    "a callback that has no place here": (
        training(f"{SHORT}, callbacks: [{{class: BackupAndRestore, config: {{backup_dir: x}}}}]"),
        "train.callbacks.class: BackupAndRestore belongs to 'fit'; write checkpoints: {every: 1 epoch}",
    ),
    "a callback without what it needs": (
        training(f"{SHORT}, callbacks: [CSVLogger]"),
        "train.callbacks.config: CSVLogger needs the argument 'filename'; add 'filename' to its config",
    ),
    "a callback that watches nothing": (
        training(f"{SHORT}, callbacks: [TerminateOnNaN, {{class: ReduceLROnPlateau, config: {{monitor: los}}}}]"),
        "train.callbacks: the training gives no 'los'; did you mean 'loss'?",
    ),
    "a value that is watched": (
        training(f"{SHORT}, metrics: accuracy, stop_early: {{monitor: acuracy}}"),
        "train.stop_early.monitor: the training gives no 'acuracy'; did you mean 'accuracy'?",
    ),
    "bounds of gradients, twice": (
        training(f"{SHORT}, clip_gradients: {{norm: 1}}, optimizer: {{class: SGD, config: {{clipvalue: 1}}}}"),
        "train.clip_gradients: the gradients are bounded twice; keep one",
    ),
    "accumulation, twice": (
        training(f"{SHORT}, accumulate: 2, optimizer: {{class: SGD, config: {{gradient_accumulation_steps: 2}}}}"),
        "train.accumulate: the batches of an update are given twice; keep one",
    ),
    "weights that nobody has": (
        training(f"{SHORT}, only: [kernl]"),
        "train.only: no layer that trains has a weight 'kernl'; name others",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_plan_and_run_refuse_alike(name: str, folder: Path):
    step, wanted = REFUSED[name]
    assert refused(folder, step) == [wanted]


def test_all_moments_that_never_come_are_told_at_once(folder: Path):
    step = during(f"at: epoch 3, {RESCALE}", f"every: 100 batches, {RESCALE}")
    assert refused(folder, step) == [
        "train.during.at: 'epoch 3' comes after the end: the training has 12 batches in epochs of 6;"
        " write an earlier one",
        "train.during.every: 'every 100 batches' never comes: the training has 12 batches in epochs of 6;"
        " write a shorter period",
    ]


def test_a_loss_that_takes_probabilities_of_an_output_that_gives_none_is_doubted(tmp_path: Path):
    inputs = keras.Input((5,))
    keras.Model(inputs, keras.layers.Dense(3, name="last")(inputs)).save(tmp_path / SOURCE)
    write_data(tmp_path)
    short, logits = "loss: sparse_categorical_crossentropy", "config: {from_logits: true}"
    exact = f"loss: {{class: sparse_categorical_crossentropy, {logits}}}"
    notes = [
        write_recipe(tmp_path, f"load: {SOURCE}", f"train: {{data: {{npz: {DATA}}}, epochs: 1, {loss}}}")
        .plan()
        .steps[1]
        .notes
        for loss in (short, exact)
    ]
    assert notes[0][-1] == (
        "'last' gives any number, but the loss takes probabilities:"
        f" write {{class: SparseCategoricalCrossentropy, {logits}}}, or an activation"
    )
    assert notes[1] == notes[0][:-1]


def test_nothing_to_train_is_refused(folder: Path):
    steps = (f"load: {SOURCE}", "freeze: '*'", training(SHORT), f"save: {OUTPUT}")
    wanted = "5:12: train: every layer is frozen, so there is nothing to train; unfreeze some before"
    assert told(refuse(folder, *steps)) == wanted
    assert told(refuse_plan(folder, *steps)) == wanted


def carried(folder: Path, step: str, **options: Any) -> Outcome:
    return write_recipe(folder, f"load: {SOURCE}", step, f"save: {{path: {OUTPUT}, force: true}}").run(**options)


def test_a_plan_says_what_will_be_trained_and_trains_nothing(folder: Path):
    step = during(f"every: 5 batches, {RESCALE}")
    plan = write_recipe(folder, f"load: {SOURCE}", step, f"save: {OUTPUT}").plan()
    train = plan.steps[1]
    assert train.target == DATA
    assert [f"{change.layer}: {change.what}" for change in train.changes] == [
        "second: every 5 batches: kernel, bias × 0.9",
        "first: trained: kernel, bias",
        "norm: trained: gamma, beta, moving_mean, moving_variance",
        "second: trained: kernel, bias",
        "last: trained: kernel, bias",
    ]
    assert train.notes == (
        "trains 139 parameters in 8 variables of 4 layers",
        "on 22 examples",
        "2 epochs of 6 batches of 4",
        "every 5 batches: rescale, 2 times",
    )
    json.dumps(plan.as_dict())
    assert all(len(line) <= 80 for line in str(plan).splitlines())
    assert sorted(path.name for path in folder.iterdir()) == [DATA, SOURCE, "recipe.yaml"]


def test_weights_of_labels_are_written_with_numbers_as_keys(folder: Path):
    plain, numbered, quoted = (
        trained(folder, network(), training(f"{SHORT}, learning_rate: 0.01{more}"))
        for more in ("", ", class_weight: {0: 3, 1: 1}", ", class_weight: {'0': 3, '1': 1}")
    )
    assert different(numbered, quoted) == []
    assert different(numbered, plain) != []


def test_the_same_recipe_gives_the_same_bits(folder: Path):
    text = f"{SHORT}, deterministic: true, learning_rate: 0.01"
    keras.utils.set_random_seed(1)
    one = trained(folder, network(), training(text))
    keras.utils.set_random_seed(2)
    other = trained(folder, network(), training(text))
    assert different(one, other) == []


def test_logs_have_each_epoch_once_also_after_a_resumption(folder: Path):
    step = training(
        "batch_size: 4, epochs: 3, metrics: accuracy, checkpoints: {every: 4 batches}, logs: {csv: logs/epochs.csv}",
        data=f"npz: {DATA}, validation: 6",
    )
    carried(folder, step)
    table = folder / "logs" / "epochs.csv"
    wanted = table.read_text(encoding="utf-8")
    rows = [line.split(",") for line in wanted.splitlines()]
    assert rows[0] == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert [row[0] for row in rows[1:]] == ["1", "2", "3"]

    def stop(event: str, facts: dict[str, Any]) -> None:
        if event == "epoch" and facts["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGINT)

    table.unlink()
    with pytest.raises(RecipeError):
        carried(folder, step, events=stop)
    assert table.read_text(encoding="utf-8") == "\n".join([*wanted.splitlines()[:3], ""])
    carried(folder, step, resume=True)
    assert table.read_text(encoding="utf-8") == wanted


def test_tensorboard_is_told_without_being_installed(folder: Path):
    step = training(f"{SHORT}, logs: {{tensorboard: board}}", data=f"npz: {DATA}, validation: 6")
    carried(folder, step)
    found = sorted(path.parent.name for path in (folder / "board").rglob("events.out.tfevents.*"))
    assert found == ["train", "validation"], "one file each for all epochs"
    content = b"".join(path.read_bytes() for path in (folder / "board" / "train").iterdir())
    assert b"epoch_loss" in content
    assert b"scalars" in content


def test_files_of_callbacks_go_where_outputs_go(folder: Path, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("out")
    step = training(f"{SHORT}, callbacks: [{{class: CSVLogger, config: {{filename: log.csv}}}}]")
    carried(folder, step, out=out)
    assert (out / "log.csv").read_text(encoding="utf-8").startswith("epoch,loss")
    assert not (folder / "log.csv").exists()


def test_events_are_told_as_they_happen(folder: Path):
    heard: list[tuple[str, dict[str, Any]]] = []
    carried(folder, during(f"every: 5 batches, {RESCALE}"), events=lambda event, facts: heard.append((event, facts)))
    edits = [facts for event, facts in heard if event == "edit"]
    assert [facts["batch"] for facts in edits] == [5, 10]
    assert edits[0] == {
        "step": 2,
        "epochs": 2,
        "total": 12,
        "batch": 5,
        "when": "every 5 batches",
        "steps": ["rescale"],
        "variables": 2,
    }
    assert [facts["epoch"] for event, facts in heard if event == "epoch"] == [1, 2]


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_gives_the_model_back_in_float32(precision: str, folder: Path):
    before = network()
    found = trained(folder, before, training(f"{SHORT}, precision: {precision}, learning_rate: 0.01"))
    assert {variable.dtype for variable in found.weights} == {"float32"}
    assert {layer.dtype_policy.name for layer in found.layers} == {"float32"}
    assert set(different(found, before)) == {variable.path for variable in before.weights}
    assert all(np.isfinite(variable.numpy()).all() for variable in found.weights)


def test_xla_trains_as_well(folder: Path):
    text = f"{SHORT}, optimizer: {{class: SGD, config: {{learning_rate: 0.1}}}}"
    # What XLA draws is its own, so nothing is drawn here.
    plain, compiled = (trained(folder, network(rate=0), training(f"{text}{more}")) for more in ("", ", jit: true"))
    for one, other in zip(plain.weights, compiled.weights, strict=True):
        assert np.allclose(one.numpy(), other.numpy(), atol=1e-5)


def test_the_best_epoch_is_given_back(folder: Path):
    step = training(
        "batch_size: 4, epochs: 4, restore_best: val_loss, optimizer: {class: SGD, config: {learning_rate: 5.0}}",
        data=f"npz: {DATA}, validation: 6",
    )
    heard: dict[int, float] = {}

    def listen(event: str, facts: dict[str, Any]) -> None:
        if event == "epoch":
            heard[facts["epoch"]] = facts["val_loss"]

    outcome = carried(folder, step, events=listen)
    best = min(heard, key=lambda epoch: heard[epoch])
    assert f"weights of epoch {best}: val_loss {heard[best]:.4g} was the best" in outcome.steps[1].notes
    found = load(folder / OUTPUT)
    short = trained(folder, network(), step.replace("epochs: 4", f"epochs: {best}"), head="name: recipe")
    assert different(found, short) == []


def test_a_run_says_how_often_each_edit_was_done(folder: Path):
    notes = carried(folder, during(f"every: 5 batches, {RESCALE}")).steps[1].notes
    assert notes[:3] == (
        "trains 139 parameters in 8 variables of 4 layers",
        "on 22 examples",
        "2 epochs of 6 batches of 4",
    )
    assert notes[-1] == "every 5 batches: rescale, done 2 times"
    assert sum("rescale" in note for note in notes) == 1


def test_a_subclassed_model_is_refused(tmp_path: Path):
    zoo.ZOO["subclassed"]().save(tmp_path / SOURCE)
    write_data(tmp_path)
    steps = (f"load: {SOURCE}", training(SHORT), f"save: {OUTPUT}")
    wanted = "subclassed model, whose layers the file does not list; save it as a Functional model"
    for error in (refuse(tmp_path, *steps), refuse_plan(tmp_path, *steps)):
        assert told(error).endswith(wanted)


def test_numbers_that_overflow_in_an_edit_are_told_at_the_step(folder: Path):
    step = during(
        "at: batch 2, do: [{rescale: {layers: second, factor: 1.0e+38}}, {freeze: first}]", f"at: end, {RESCALE}"
    )
    twice = step.replace("{freeze: first}", "{rescale: {layers: second, factor: 1.0e+38}}")
    (found,) = said(refuse(folder, f"load: {SOURCE}", twice, f"save: {OUTPUT}"))
    assert found.startswith("train.during.do: 'kernel' of 'second' holds numbers that are too large for float32")
