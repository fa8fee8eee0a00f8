"""`save`: three formats, whole or not at all, and never over what stands there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import pytest

from tests import zoo
from tests.running import contents, differences, load, refuse, refuse_plan, run, told, write_recipe

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    zoo.ZOO["residual"]().save(tmp_path / "m.keras")
    return tmp_path


@pytest.mark.parametrize("ending", ["keras", "h5", "hdf5"])
def test_whole_models_are_loaded_by_plain_keras(ending: str, folder: Path):
    run(folder, "load: m.keras", f"save: out.{ending}")
    assert differences(load(folder / "m.keras"), load(folder / f"out.{ending}")) == []


def test_weights_alone_fit_into_the_model_they_came_from(folder: Path):
    run(folder, "load: m.keras", "rescale: {layers: conv_1, factor: 0.5}", "save: out.weights.h5")
    before, after = load(folder / "m.keras"), load(folder / "m.keras")
    after.load_weights(folder / "out.weights.h5")
    assert differences(before, after) == ["~ conv_1/kernel"]


def test_folders_are_made_and_out_moves_the_output(folder: Path):
    run(folder, "load: m.keras", "save: deep/er/out.keras")
    run(folder, "load: m.keras", "save: deep/er/out.keras", out=folder / "other")
    assert {"deep/er/out.keras", "other/out.keras", "other/out.keras.lock.json"} <= set(contents(folder))


def test_later_steps_go_on_from_the_saved_model(folder: Path):
    scale = "rescale: {layers: conv_1, factor: 0.5}"
    run(folder, "load: m.keras", scale, "save: one.keras", scale, "save: two.keras")
    source, one, two = (load(folder / name) for name in ("m.keras", "one.keras", "two.keras"))
    kernels = [model.get_layer("conv_1").kernel.numpy() for model in (source, one, two)]
    assert (kernels[0] * 0.5 == kernels[1]).all()
    assert (kernels[1] * 0.5 == kernels[2]).all()


def test_a_compiled_model_keeps_its_loss_and_a_fresh_optimizer(tmp_path: Path):
    model = zoo.ZOO["compiled_and_trained"]()
    model.save(tmp_path / "m.keras")
    run(tmp_path, "load: m.keras", "insert: {after: {index: 1}, layer: Identity}", "save: out.keras")
    after = load(tmp_path / "out.keras")
    assert after.loss == model.loss
    assert type(after.optimizer) is type(model.optimizer)
    assert int(after.optimizer.iterations.numpy()) == 0


def test_values_alone_keep_the_optimizers_state(tmp_path: Path):
    model = zoo.ZOO["compiled_and_trained"]()
    model.save(tmp_path / "m.keras")
    run(tmp_path, "load: m.keras", "rescale: {layers: {has: kernel, first: 1}, factor: 0.5}", "save: out.keras")
    assert load(tmp_path / "out.keras").optimizer.iterations.numpy() == model.optimizer.iterations.numpy()


def test_what_stands_there_is_kept_unless_forced(folder: Path):
    (folder / "out.keras").write_text("mine")
    steps = ("load: m.keras", "save: out.keras")
    error = refuse(folder, *steps)
    assert told(error) == "4:11: save.path: 'out.keras' exists; pass --force, or write force: true"
    assert error.exit_code == 1
    run(folder, *steps, force=True)
    assert load(folder / "out.keras").name == load(folder / "m.keras").name
    run(folder, "load: m.keras", "save: {path: out.keras, force: true}")


def test_a_plan_tells_of_it_as_a_problem_of_the_run(folder: Path):
    (folder / "out.keras").write_text("mine")
    outcome = write_recipe(folder, "load: m.keras", "save: out.keras").plan()
    assert [told(problem) for problem in outcome.problems] == [
        "4:11: save.path: 'out.keras' exists; pass --force, or write force: true"
    ]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (
            ["save: m.keras"],
            "4:11: save.path: 'm.keras' is an input of the recipe, which is never changed; write another file",
        ),
        (
            ["save: ./m.keras"],
            "4:11: save.path: './m.keras' is an input of the recipe, which is never changed; write another file",
        ),
        (
            ["save: out.keras", "save: ./out.keras"],
            "5:11: save.path: two steps write './out.keras'; give each output a name of its own",
        ),
        (
            ["save: out.onnx"],
            "4:11: save.path: the ending of 'out.onnx' names no format; end it in .keras, .h5, .weights.h5 or"
            " .weights.json, or write format",
        ),
    ],
)
def test_where_nothing_may_be_written_is_refused(steps: list[str], said: str, folder: Path):
    assert told(refuse(folder, "load: m.keras", *steps)) == said
    assert told(refuse_plan(folder, "load: m.keras", *steps)) == said


def test_force_does_not_reach_an_input(folder: Path):
    said = told(refuse(folder, "load: m.keras", "save: {path: m.keras, force: true}", force=True))
    assert said == "4:18: save.path: 'm.keras' is an input of the recipe, which is never changed; write another file"


def test_a_directory_is_refused(folder: Path):
    (folder / "out.keras").mkdir()
    said = told(refuse(folder, "load: m.keras", "save: out.keras"))
    assert said == "4:11: save.path: 'out.keras' is a directory; add a file name"


@pytest.mark.parametrize("name", ["add_and_multiply", "bfloat16"])
def test_what_the_old_format_cannot_hold_is_refused_early(name: str, tmp_path: Path):
    zoo.ZOO[name]().save(tmp_path / "m.keras")
    run_error, plan_error = (act(tmp_path, "load: m.keras", "save: out.h5") for act in (refuse, refuse_plan))
    assert told(run_error) == told(plan_error)
    assert told(run_error).startswith("4:11: save.path: ")
    assert "keras" in (run_error.hint or "")


def test_the_format_may_be_named(folder: Path):
    run(folder, "load: m.keras", "save: {path: out.model, format: keras}")
    (folder / "out.model").rename(folder / "renamed.keras")
    assert isinstance(keras.saving.load_model(folder / "renamed.keras"), keras.Model)
