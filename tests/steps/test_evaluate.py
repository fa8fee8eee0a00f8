"""`evaluate`: what it measures, on which examples, and that nothing changes by it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
from keras import layers

from modelrecipe.errors import Problems
from tests import zoo
from tests.running import differences, load, refuse, refuse_plan, run, told, write_recipe
from tests.shown_data import by_keras, classifier, write_data

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DATA = "data: {npz: d.npz}"
SPLIT = "data: {npz: d.npz, validation: 0.3}"
LOSS = "loss: sparse_categorical_crossentropy"


def measured(folder: Path, *steps: str, head: str = "") -> Mapping[str, float]:
    """The values of the last of these steps."""
    return run(folder, "load: m.keras", *steps, head=head).steps[-1].values


def test_loss_and_metrics_are_those_of_keras(tmp_path: Path):
    x, y = write_data(tmp_path)
    model = classifier()
    model.save(tmp_path / "m.keras")
    outcome = run(tmp_path, "load: m.keras", f"evaluate: {{{DATA}, {LOSS}, metrics: accuracy, batch_size: 8}}")
    expected = by_keras(model, x, y, batch_size=8)
    step = outcome.steps[-1]
    assert list(step.values) == ["loss", "accuracy"]
    assert step.values == pytest.approx(expected, abs=1e-6)
    assert step.notes == (
        "on 50 examples",
        f"loss {step.values['loss']:.4g}, accuracy {step.values['accuracy']:.4g}",
    )
    assert outcome.as_dict()["steps"][-1]["values"] == json.loads(json.dumps(dict(step.values)))


def test_nothing_changes_by_it(tmp_path: Path):
    write_data(tmp_path)
    model = classifier()
    model.save(tmp_path / "m.keras")
    outcome = run(tmp_path, "load: m.keras", f"evaluate: {{{DATA}, {LOSS}, metrics: accuracy}}", "save: out.keras")
    assert differences(model, load(tmp_path / "out.keras")) == []
    assert outcome.steps[1].changes == ()
    assert not load(tmp_path / "out.keras").compiled


def test_a_compiled_model_stays_compiled_as_it_was(tmp_path: Path):
    write_data(tmp_path)
    model = classifier()
    model.compile(optimizer="sgd", loss="mse")
    model.save(tmp_path / "m.keras")
    run(tmp_path, "load: m.keras", f"evaluate: {{{DATA}, {LOSS}}}", "save: out.keras")
    assert load(tmp_path / "out.keras").loss == "mse"


def test_metrics_alone_need_no_loss(tmp_path: Path):
    x, y = write_data(tmp_path)
    model = classifier()
    model.save(tmp_path / "m.keras")
    metrics = "metrics: [accuracy, {class: SparseTopKCategoricalAccuracy, config: {k: 2, name: top2}}]"
    found = measured(tmp_path, f"evaluate: {{{DATA}, {metrics}}}")
    assert list(found) == ["accuracy", "top2"]
    assert found["accuracy"] == pytest.approx(by_keras(model, x, y)["accuracy"], abs=1e-7)
    assert found["accuracy"] <= found["top2"] <= 1


def test_a_measure_with_a_number_for_each_class_gives_all_of_them(tmp_path: Path):
    write_data(tmp_path)
    classifier().save(tmp_path / "m.keras")
    data = "data: {npz: d.npz, y: {key: y, one_hot: 3}}"
    found = measured(tmp_path, f"evaluate: {{{data}, metrics: {{class: F1Score, config: {{average: null}}}}}}")
    assert list(found) == ["f1_score[0]", "f1_score[1]", "f1_score[2]"]
    assert all(0 <= value <= 1 for value in found.values())


def test_examples_count_as_much_as_their_weights(tmp_path: Path):
    x, y = write_data(tmp_path)
    model = classifier()
    model.save(tmp_path / "m.keras")
    found = measured(tmp_path, f"evaluate: {{data: {{npz: d.npz, sample_weight: w}}, {LOSS}}}")
    with np.load(tmp_path / "d.npz") as data:
        expected = by_keras(model, x, y, sample_weight=data["w"])
    assert found["loss"] == pytest.approx(expected["loss"], abs=1e-6)


def test_earlier_steps_count(tmp_path: Path):
    x, y = write_data(tmp_path)
    model = classifier()
    model.save(tmp_path / "m.keras")
    found = measured(
        tmp_path, "rescale: {layers: head, weights: kernel, factor: -1}", f"evaluate: {{{DATA}, metrics: accuracy}}"
    )
    kernel = model.get_layer("head").kernel
    kernel.assign(-kernel)
    assert found["accuracy"] == pytest.approx(by_keras(model, x, y)["accuracy"], abs=1e-7)


def test_a_new_head_is_measured_with_the_numbers_that_are_written(tmp_path: Path):
    x, y = write_data(tmp_path)
    classifier().save(tmp_path / "m.keras")
    spec = "{class: Dense, config: {units: 3, activation: softmax}, weights: fresh}"
    outcome = run(
        tmp_path,
        "load: m.keras",
        f"replace: {{layers: head, with: {spec}}}",
        f"evaluate: {{{DATA}, {LOSS}, metrics: accuracy}}",
        "save: out.keras",
    )
    expected = by_keras(load(tmp_path / "out.keras"), x, y)
    assert outcome.steps[2].values == pytest.approx(expected, abs=1e-6)


def test_several_outputs_have_a_loss_and_metrics_each(tmp_path: Path):
    x, y = write_data(tmp_path)
    inputs = keras.Input((4,), name="features")
    ends = {
        "kind": layers.Dense(3, activation="softmax", name="kind")(inputs),
        "size": layers.Dense(1, name="size")(inputs),
    }
    model = keras.Model(inputs, ends)
    model.save(tmp_path / "m.keras")
    step = (
        "evaluate: {data: {npz: d.npz, x: x, y: {kind: y, size: w}}, "
        "loss: {kind: sparse_categorical_crossentropy, size: mse}, metrics: {kind: accuracy}}"
    )
    found = measured(tmp_path, step)
    given = model.predict(x, verbose=0)
    with np.load(tmp_path / "d.npz") as data:
        size = float(((given["size"][:, 0] - data["w"]) ** 2).mean())
    kind = float(-np.log(given["kind"][np.arange(len(y)), y]).mean())
    accuracy = float((given["kind"].argmax(axis=1) == y).mean())
    expected = {"loss": kind + size, "kind_loss": kind, "size_loss": size, "kind_accuracy": accuracy}
    assert found == pytest.approx(expected, abs=1e-5)


# Which examples


def test_the_parts_make_up_the_whole(tmp_path: Path):
    x, y = write_data(tmp_path)
    model = classifier()
    model.save(tmp_path / "m.keras")
    counts = {"train": 35, "validation": 15, "all": 50}
    right = {}
    for part, count in counts.items():
        outcome = run(tmp_path, "load: m.keras", f"evaluate: {{{SPLIT}, part: {part}, metrics: accuracy}}")
        kept = {"train": " for training", "validation": " kept for validation", "all": ""}[part]
        assert outcome.steps[-1].notes[0] == f"on {count} examples{kept}"
        right[part] = outcome.steps[-1].values["accuracy"] * count
    assert right["train"] + right["validation"] == pytest.approx(right["all"], abs=1e-4)
    assert right["all"] == pytest.approx(by_keras(model, x, y)["accuracy"] * 50, abs=1e-4)


def test_augmentation_and_order_play_no_part(tmp_path: Path):
    write_data(tmp_path)
    classifier().save(tmp_path / "m.keras")
    augment = "{class: GaussianNoise, config: {stddev: 1.0}}"
    plain, other = (
        measured(tmp_path, f"evaluate: {{data: {data}, {LOSS}}}")
        for data in ("{npz: d.npz, shuffle: false}", f"{{npz: d.npz, augment: [{augment}]}}")
    )
    assert plain == other


def test_training_and_measuring_divide_the_data_alike_at_every_step(tmp_path: Path):
    """Loss on what `train` validates on is what `evaluate` finds there afterwards, whatever stands between."""
    write_data(tmp_path)
    classifier().save(tmp_path / "m.keras")
    train = f"train: {{{SPLIT}, {LOSS}, metrics: accuracy, epochs: 2}}"
    outcome = run(
        tmp_path,
        "load: m.keras",
        "check: {finite: true}",
        train,
        f"evaluate: {{{SPLIT}, part: validation, {LOSS}, metrics: accuracy}}",
    )
    note = next(note for note in outcome.steps[2].notes if note.startswith("trained"))
    values = outcome.steps[3].values
    assert note.endswith(f"val_loss {values['loss']:.4g}, val_accuracy {values['accuracy']:.4g}")


def test_another_seed_divides_otherwise(tmp_path: Path):
    write_data(tmp_path)
    classifier().save(tmp_path / "m.keras")
    step = f"evaluate: {{{SPLIT}, part: validation, {LOSS}}}"
    first, again, other = (measured(tmp_path, step, head=f"seed: {seed}")["loss"] for seed in (1, 1, 2))
    assert first == again != other


# In a plan


@pytest.mark.parametrize(
    ("step", "note"),
    [
        (
            f"{{{DATA}, {LOSS}, metrics: [accuracy, sparse_top_k_categorical_accuracy]}}",
            "measures loss, accuracy, sparse_top_k_categorical_accuracy on 50 examples",
        ),
        (f"{{{SPLIT}, part: validation, metrics: accuracy}}", "measures accuracy on 15 examples kept for validation"),
        (f"{{{SPLIT}, part: train, metrics: accuracy}}", "measures accuracy on 35 examples for training"),
    ],
)
def test_a_plan_says_what_would_be_measured(step: str, note: str, tmp_path: Path):
    write_data(tmp_path)
    classifier().save(tmp_path / "m.keras")
    planned = write_recipe(tmp_path, "load: m.keras", f"evaluate: {step}").plan().steps[-1]
    assert planned.notes == (note,)
    assert planned.values == {}


# What is refused


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            f"{{{DATA}}}",
            "4:15: evaluate: nothing is measured; write loss or metrics, as metrics: accuracy",
        ),
        (
            f"{{{SPLIT}, metrics: accuracy}}",
            "4:15: evaluate: the data keep examples apart for validation, so it must be said which are meant; "
            "write part: validation, train or all",
        ),
        (
            f"{{{DATA}, part: validation, metrics: accuracy}}",
            "4:42: evaluate.part: there is no part 'validation': the data keep nothing apart; "
            "write validation below data, or leave 'part' out",
        ),
        (
            "{data: {npz: d.npz, validation: {npz: v.npz}}, part: all, metrics: accuracy}",
            "4:68: evaluate.part: 'all' would be examples of two sources; write part: validation or train",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(step: str, said: str, tmp_path: Path):
    write_data(tmp_path)
    classifier().save(tmp_path / "m.keras")
    error = refuse(tmp_path, "load: m.keras", f"evaluate: {step}")
    assert isinstance(error, Problems)
    assert [told(problem) for problem in error.problems] == [said]


def test_labels_that_the_model_has_no_output_for_are_refused_before_keras_starts(tmp_path: Path):
    x, y = write_data(tmp_path)
    np.savez(tmp_path / "d.npz", x=x, y=y + 1)
    classifier().save(tmp_path / "m.keras")
    for extra in (LOSS, "metrics: accuracy"):
        error = refuse_plan(tmp_path, "load: m.keras", f"evaluate: {{{DATA}, {extra}}}")
        assert told(error).endswith(
            "'y' reaches 3, but 'head' has 3 outputs; labels go from 0 to 2; 'classes' chooses and numbers them"
        )


def test_a_metric_that_keras_does_not_know_is_refused(tmp_path: Path):
    write_data(tmp_path)
    classifier().save(tmp_path / "m.keras")
    error = refuse(tmp_path, "load: m.keras", f"evaluate: {{{DATA}, {LOSS}, metrics: accurracy}}")
    assert isinstance(error, Problems)
    (problem,) = error.problems
    wanted = "4:84: evaluate.metrics.class: Keras knows no metric 'accurracy'; did you mean 'accuracy'?"
    assert told(problem) == wanted


def test_a_subclassed_model_is_refused(tmp_path: Path):
    write_data(tmp_path)
    zoo.ZOO[zoo.OPAQUE[0]]().save(tmp_path / "m.keras")
    error = refuse_plan(tmp_path, "load: m.keras", f"evaluate: {{{DATA}, {LOSS}}}")
    assert "is a subclassed model, whose layers the file does not list; save it as a Functional model" in told(error)
