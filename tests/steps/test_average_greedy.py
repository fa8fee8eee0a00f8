"""`average` with `greedy`: it takes in what does not make the mean worse on data, and says what it tried."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from modelrecipe.errors import Problems
from tests.running import differences, load, refuse, refuse_plan, run, same_bits, told, write_recipe
from tests.shown_data import by_keras, classifier, write_data

if TYPE_CHECKING:
    from pathlib import Path

DATA = "data: {npz: d.npz}"
ACCURACY = f"greedy: {{{DATA}, metric: accuracy}}"
LOSS = f"greedy: {{{DATA}, loss: sparse_categorical_crossentropy, metric: loss}}"
SAVE = "save: {path: out.keras, force: true}"
NAMES = ("m", "a", "b", "bad")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models that were trained a little from one beginning, and one that was spoilt."""
    folder = tmp_path_factory.mktemp("trained")
    write_data(folder, 200)
    classifier().save(folder / "start.keras")
    for number, name in enumerate(NAMES):
        how = f"loss: sparse_categorical_crossentropy, epochs: {2 + number}, batch_size: 8, learning_rate: 0.02"
        spoil = ["rescale: {layers: head, weights: kernel, factor: -1}"] if name == "bad" else []
        train = f"train: {{{DATA}, {how}}}"
        run(folder, "load: start.keras", train, *spoil, f"save: {name}.keras", head=f"seed: {number}")
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "here")
    return tmp_path / "here"


def score(folder: Path, *names: str) -> dict[str, float]:
    """What Keras tells of the mean of these models."""
    models = [load(folder / f"{name}.keras") for name in names]
    for variable, *others in zip(*(model.weights for model in models), strict=True):
        if "float" in str(variable.dtype):
            variable.assign(np.mean([one.numpy().astype("float64") for one in (variable, *others)], axis=0))
    with np.load(folder / "d.npz") as data:
        return by_keras(models[0], data["x"], data["y"])


def chosen_by_hand(folder: Path, metric: str) -> list[str]:
    sign = -1 if metric == "loss" else 1
    order = sorted(NAMES, key=lambda name: -sign * score(folder, name)[metric])
    kept = order[:1]
    for name in order[1:]:
        if sign * (score(folder, *kept, name)[metric] - score(folder, *kept)[metric]) >= 0:
            kept.append(name)
    return kept


@pytest.mark.parametrize(("metric", "greedy"), [("accuracy", ACCURACY), ("loss", LOSS)])
def test_it_keeps_what_the_recipe_of_the_paper_keeps(metric: str, greedy: str, folder: Path):
    outcome = run(folder, "load: m.keras", f"average: {{with: [a.keras, b.keras, bad.keras], {greedy}}}", SAVE)
    kept = chosen_by_hand(folder, metric)
    assert "bad" not in kept
    step = outcome.steps[1]
    names = {"m": "the current model", **{name: f"'{name}.keras'" for name in NAMES[1:]}}
    said = [note.partition(":")[0] for note in step.notes if note.startswith("kept")]
    assert said == [f"kept {names[name]}" for name in kept]
    assert any(note.startswith("left out 'bad.keras': ") for note in step.notes)
    after = load(folder / "out.keras")
    others = [load(folder / f"{name}.keras") for name in kept]
    for variable, *parts in zip(after.weights, *(other.weights for other in others), strict=True):
        if "float" in str(variable.dtype):
            mean = np.mean([part.numpy().astype("float64") for part in parts], axis=0)
            assert same_bits(variable.numpy(), mean.astype(variable.numpy().dtype))
    assert step.values[metric] == pytest.approx(score(folder, *kept)[metric], abs=1e-6)


def test_it_is_never_worse_than_the_best_of_them(folder: Path):
    outcome = run(folder, "load: m.keras", f"average: {{with: [a.keras, b.keras, bad.keras], {ACCURACY}}}", SAVE)
    assert outcome.steps[1].values["accuracy"] >= max(score(folder, name)["accuracy"] for name in NAMES) - 1e-6


def test_it_gives_the_same_bits_again_and_in_another_order(folder: Path):
    run(folder, "load: m.keras", f"average: {{with: [a.keras, b.keras, bad.keras], {LOSS}}}", SAVE)
    first = load(folder / "out.keras")
    run(folder, "load: m.keras", f"average: {{with: [a.keras, b.keras, bad.keras], {LOSS}}}", SAVE)
    assert differences(first, load(folder / "out.keras")) == []
    run(folder, "load: b.keras", f"average: {{with: [bad.keras, a.keras, m.keras], {LOSS}}}", SAVE)
    assert differences(first, load(folder / "out.keras")) == []


def test_the_current_model_may_be_left_out(folder: Path):
    run(folder, "load: bad.keras", f"average: {{with: m.keras, {LOSS}}}", SAVE)
    assert differences(load(folder / "m.keras"), load(folder / "out.keras")) == []


def test_a_plan_says_what_may_change_and_what_is_measured(folder: Path):
    planned = write_recipe(folder, "load: m.keras", f"average: {{with: [a.keras, b.keras], {ACCURACY}}}").plan()
    step = planned.steps[1]
    assert {change.layer for change in step.changes} == {"hidden", "norm", "head"}
    assert step.changes[-1].what == "kernel, bias to the greedy mean of up to 3 models"
    assert step.notes[-1] == "measures accuracy on 200 examples"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            f"{{with: a.keras, {ACCURACY}, coefficients: [1, 2]}}",
            "4:92: average.coefficients: a greedy mean has no coefficients; keep one",
        ),
        (
            f"{{with: a.keras, greedy: {{{DATA}, metric: loss}}}}",
            "4:38: average.greedy: no loss is given, so it cannot decide; write loss, as loss: mse",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(step: str, said: str, tmp_path: Path):
    error = refuse(tmp_path, "load: m.keras", f"average: {step}")
    assert isinstance(error, Problems)
    assert [told(problem) for problem in error.problems] == [said]


def test_data_that_do_not_fit_are_refused_with_their_place(folder: Path):
    np.savez(folder / "wide.npz", x=np.zeros((5, 9), "float32"), y=np.zeros(5, int))
    step = "average: {with: a.keras, greedy: {data: {npz: wide.npz}, metric: accuracy}}"
    assert told(refuse_plan(folder, "load: m.keras", step)) == (
        "4:45: average.greedy.data.x: 'x' gives (None, 9), but input 'features' expects (None, 4)"
    )


def test_a_measure_that_is_not_given_is_refused(folder: Path):
    greedy = f"greedy: {{{DATA}, metrics: accuracy, metric: acuracy}}"
    assert told(refuse_plan(folder, "load: m.keras", f"average: {{with: a.keras, {greedy}}}")) == (
        "4:86: average.greedy.metric: the evaluation gives no 'acuracy'; did you mean 'accuracy'?"
    )
