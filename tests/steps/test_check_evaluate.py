"""`check` with `evaluate`: what must come out on data, or nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from modelrecipe.errors import CheckError, Problems
from tests.running import differences, load, refuse, refuse_plan, run, told, write_recipe
from tests.shown_data import by_keras, classifier, write_data

if TYPE_CHECKING:
    from pathlib import Path

DATA = "data: {npz: d.npz}"
LOSS = "loss: sparse_categorical_crossentropy"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_data(tmp_path)
    classifier().save(tmp_path / "m.keras")
    return tmp_path


def test_a_demand_that_is_met_is_noted_and_changes_nothing(folder: Path):
    step = f"check: {{evaluate: {{{DATA}, {LOSS}, demand: {{accuracy: '>= 0', loss: '< 100'}}}}}}"
    outcome = run(folder, "load: m.keras", step, "save: out.keras")
    values = outcome.steps[1].values
    assert list(values) == ["loss", "accuracy"]
    assert outcome.steps[1].notes == (
        "on 50 examples",
        f"loss {values['loss']:.4g}, accuracy {values['accuracy']:.4g}",
    )
    assert differences(load(folder / "m.keras"), load(folder / "out.keras")) == []


def test_a_demand_that_is_not_met_stops_the_run_before_anything_is_written(folder: Path):
    with_data = by_keras(load(folder / "m.keras"), *write_data(folder))
    step = f"check: {{evaluate: {{{DATA}, demand: {{accuracy: '>= 0.999'}}}}}}"
    error = refuse(folder, "load: m.keras", step, "save: out.keras")
    assert isinstance(error, CheckError)
    assert error.exit_code == 5
    accuracy = f"{with_data['accuracy']:.6g}"
    assert told(error) == f"4:63: check.evaluate.demand.accuracy: accuracy is {accuracy}, not >= 0.999"


def test_all_failures_are_told(folder: Path):
    step = f"check: {{evaluate: {{{DATA}, {LOSS}, demand: {{accuracy: '> 1', loss: '< -0.5'}}}}}}"
    parts = refuse(folder, "load: m.keras", step, "save: out.keras").message.split("; also: ")
    assert [part.partition(" is ")[0] for part in parts] == ["accuracy", "loss"]
    assert [part.partition(", not ")[2] for part in parts] == ["> 1", "< -0.5"]


def test_a_plan_says_what_would_be_measured(folder: Path):
    step = f"check: {{evaluate: {{{DATA}, demand: {{accuracy: '>= 0.999'}}}}}}"
    assert write_recipe(folder, "load: m.keras", step).plan().steps[1].notes == (
        "measures accuracy on 50 examples",
        "what is demanded of them is checked in the run",
    )


@pytest.mark.parametrize(
    ("evaluate", "said"),
    [
        (
            f"{{{DATA}, demand: {{loss: '< 1'}}}}",
            "4:23: check.evaluate: no loss is given, so it cannot decide; write loss, as loss: mse",
        ),
        (
            f"{{{DATA}, demand: {{}}}}",
            "4:52: check.evaluate.demand: nothing is demanded; write it as {accuracy: '>= 0.95'}",
        ),
        (
            f"{{{DATA}, demand: {{accuracy: 0.9}}}}",
            "4:63: check.evaluate.demand.accuracy: must be a comparison, as '>= 0.95', not 0.9",
        ),
        (
            f"{{{DATA}, demand: {{accuracy: much}}}}",
            "4:63: check.evaluate.demand.accuracy: must be a comparison, as '>= 0.95', not 'much'",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(evaluate: str, said: str, folder: Path):
    error = refuse(folder, "load: m.keras", f"check: {{evaluate: {evaluate}}}")
    assert isinstance(error, Problems)
    assert [told(problem) for problem in error.problems] == [said]


def test_a_measure_that_is_not_given_is_refused(folder: Path):
    step = f"check: {{evaluate: {{{DATA}, metrics: accuracy, demand: {{auc: '> 0.5'}}}}}}"
    assert told(refuse_plan(folder, "load: m.keras", step, "save: out.keras")) == (
        "4:77: check.evaluate.demand.auc: the evaluation gives no 'auc'; there are: accuracy"
    )


def test_data_that_do_not_fit_are_refused_with_their_place(folder: Path):
    step = "check: {evaluate: {data: {npz: d.npz, x: w}, demand: {accuracy: '> 0.5'}}}"
    assert told(refuse_plan(folder, "load: m.keras", step)) == (
        "4:46: check.evaluate.data.x: 'w' gives (None,), but input 'features' expects (None, 4)"
    )
