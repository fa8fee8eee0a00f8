"""`check`: what it demands, when it can tell, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from modelrecipe.errors import CheckError
from tests import zoo
from tests.running import differences, load, refuse, refuse_edit, run, told, write_recipe

if TYPE_CHECKING:
    from pathlib import Path


def notes(folder: Path, name: str, *steps: str) -> tuple[str, ...]:
    """What a check at the end of these steps notes, in a run that is not refused."""
    zoo.ZOO[name]().save(folder / "m.keras")
    return run(folder, "load: m.keras", *steps).steps[-1].notes


def test_it_changes_nothing(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    model.save(tmp_path / "m.keras")
    run(tmp_path, "load: m.keras", "check: {parameters: 115, finite: true}", "save: out.keras")
    assert differences(model, load(tmp_path / "out.keras")) == []


@pytest.mark.parametrize(
    ("demand", "note"),
    [
        ("{layers: {type: Dense}, count: 3}", "3 layers match {type: Dense}"),
        ("{layers: {type: Dense}, count: 1..3}", "3 layers match {type: Dense}"),
        ("{layers: {type: Dropout}, count: 0}", "0 layers match {type: Dropout}"),
        ("{outputs: {shape: [null, 3]}}", "'head' has shape (None, 3)"),
        ("{inputs: {shape: [null, 4], dtype: float32}}", "'features' has shape (None, 4)"),
        ("{parameters: 115}", "115 parameters"),
        ("{parameters: '< 1e3'}", "115 parameters"),
        ("{trainable: '== 115'}", "115 of 115 parameters trainable (100.0%)"),
        ("{trainable: '>= 99%'}", "115 of 115 parameters trainable (100.0%)"),
        ("{finite: true}", "all weights finite"),
        ("{same_outputs_as: m.keras}", "outputs differ from 'm.keras' by at most 0"),
    ],
)
def test_a_demand_that_holds_is_noted(demand: str, note: str, tmp_path: Path):
    assert notes(tmp_path, "chain", f"check: {demand}") == (note,)


@pytest.mark.parametrize(
    ("demand", "said"),
    [
        ("{layers: {type: Dense}, count: 4}", "4:43: check.count: {type: Dense} matches 3 layers, not 4"),
        ("{layers: '*', count: 1..3}", "4:33: check.count: '*' matches 4 layers, not 1..3"),
        (
            "{outputs: {shape: [null, 5]}}",
            "4:30: check.outputs.shape: output 'head' has shape (None, 3), not (None, 5)",
        ),
        (
            "{outputs: [{shape: [null, 3]}, {shape: [null, 3]}]}",
            "4:22: check.outputs: the model has 1 output, not 2",
        ),
        (
            "{inputs: {dtype: int32}}",
            "4:29: check.inputs.dtype: input 'features' is float32, not int32",
        ),
        ("{parameters: 116}", "4:25: check.parameters: the model has 115 parameters, not 116"),
        (
            "{trainable: '<= 60%'}",
            "4:24: check.trainable: 100.0% of the parameters are trainable, not <= 60%",
        ),
        ("{trainable: 100}", "4:24: check.trainable: 115 parameters are trainable, not 100"),
    ],
)
def test_a_demand_that_fails_is_told_in_plan_and_run(demand: str, said: str, tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), f"check: {demand}") == said


def test_all_failures_of_one_step_are_told(tmp_path: Path):
    said = refuse_edit(tmp_path, zoo.ZOO["chain"](), "check: {parameters: 1, trainable: 2}")
    assert said == (
        "4:25: check.parameters: the model has 115 parameters, not 1; also: 115 parameters are trainable, not 2"
    )


def test_a_failed_check_has_an_exit_code_of_its_own(tmp_path: Path):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    assert refuse(tmp_path, "load: m.keras", "check: {parameters: 1}").exit_code == 5


def test_numbers_that_are_not_finite_are_named(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    model.get_layer("second").bias.assign(np.array([0, 1, np.nan, 0, 0, 0], "float32"))
    model.save(tmp_path / "m.keras")
    error = refuse(tmp_path, "load: m.keras", "check: {finite: true}", "save: out.keras")
    assert told(error) == "4:21: check.finite: 1 weight is not finite: 'second/bias'"


def test_outputs_are_compared_with_a_tolerance(tmp_path: Path):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    edited = ("load: m.keras", "rescale: {layers: head, factor: 1.001}")
    error = refuse(tmp_path, *edited, "check: {same_outputs_as: m.keras}")
    assert told(error).startswith("5:30: check.same_outputs_as: outputs differ from 'm.keras' by up to ")
    assert told(error).endswith(", more than 0; set tolerance if that much is meant")
    run(tmp_path, *edited, "check: {same_outputs_as: m.keras, tolerance: 0.01}")


@pytest.mark.parametrize("name", ["dict_in_dict_out", "integer_inputs", "text_vectorization", "stateful_recurrence"])
def test_inputs_of_every_kind_are_made(name: str, tmp_path: Path):
    assert notes(tmp_path, name, "check: {same_outputs_as: m.keras}") == ("outputs differ from 'm.keras' by at most 0",)


def test_models_with_other_outputs_cannot_be_compared(tmp_path: Path):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    step = "replace: {layers: head, with: {class: Dense, config: {units: 2}}, weights: fresh}"
    error = refuse(tmp_path, "load: m.keras", step, "check: {same_outputs_as: m.keras}")
    assert told(error) == "5:12: check: the models give different outputs: (4, 2) and (4, 3)"


def test_a_new_head_is_counted_without_keras_where_the_rules_know_it(tmp_path: Path):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    step = "replace: {layers: head, with: {class: Dense, config: {units: 2}}, weights: fresh}"
    demand = "check: {parameters: 108, outputs: {shape: [null, 2]}}"
    recipe = write_recipe(tmp_path, "load: m.keras", step, demand)
    assert recipe.plan().steps[-1].notes == ("'head' has shape (None, 2)", "108 parameters")
    assert recipe.run().steps[-1].notes == ("'head' has shape (None, 2)", "108 parameters")


@pytest.mark.parametrize(
    ("demand", "said"),
    [
        ("{}", "3:12: check: nothing is demanded; write what must hold, as outputs: {shape: [null, 5]}"),
        ("{count: 3}", "3:12: check: 'count' needs 'layers' too: which layers, and how many"),
        ("{layers: '*'}", "3:12: check: 'layers' needs 'count' too: which layers, and how many"),
        ("{layers: '*', count: 3..1}", "3:33: check.count: the range '3..1' runs backwards; write '1..3'"),
    ],
)
def test_what_demands_nothing_is_refused(demand: str, said: str, tmp_path: Path):
    assert told(refuse(tmp_path, f"check: {demand}").problems[0]) == said


@pytest.mark.parametrize(
    ("demand", "note"),
    [
        ("parameters: 1", "the number of parameters is checked in the run: only Keras can tell it"),
        ("trainable: '< 1%'", "the trainable share is checked in the run: only Keras can tell it"),
    ],
)
def test_what_only_keras_can_count_is_left_to_the_run(demand: str, note: str, tmp_path: Path):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    config = "{equation: 'ab,bc->ac', output_shape: 4}"
    step = f"insert: {{before: first, layer: {{class: EinsumDense, config: {config}, name: mixed}}}}"
    recipe = write_recipe(tmp_path, "load: m.keras", step, f"check: {{{demand}}}")
    assert recipe.plan().steps[-1].notes == (note,)
    with pytest.raises(CheckError):
        recipe.run()


def test_the_ends_of_a_subclassed_model_are_not_known(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["subclassed"](), "check: {outputs: {shape: [null, 3]}}") == (
        "4:22: check.outputs: the outputs of a subclassed model are not listed in its file"
    )
