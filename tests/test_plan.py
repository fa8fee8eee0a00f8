"""`plan`: it says what the run would do, without Keras and without writing."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import keras
import pytest

import modelrecipe
from tests import zoo
from tests.running import contents, load, refuse, refuse_plan, told, write_recipe

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    zoo.ZOO["image_classifier"]().save(tmp_path / "m.keras")
    return tmp_path


STEPS = (
    "load: m.keras",
    "replace: {layers: pool, with: AveragePooling2D, inherit: config}",
    "replace: {layers: predictions, with: {class: Dense, config: {units: 5}}, weights: fresh}",
    "rescale: {layers: conv, weights: kernel, factor: 0.5}",
    "freeze: {layers: {until: relu}}",
    "save: out.keras",
)


def test_it_writes_nothing(folder: Path):
    recipe = write_recipe(folder, *STEPS)
    before = contents(folder)
    recipe.plan()
    assert contents(folder) == before


def test_it_tells_matches_changes_sizes_and_ends(folder: Path):
    planned = write_recipe(folder, *STEPS).plan()
    assert [step.matched for step in planned.steps[1:5]] == [
        ("pool",),
        ("predictions",),
        ("conv",),
        ("image", "conv", "bn", "relu"),
    ]
    assert [change.what for step in planned.steps for change in step.changes] == [
        "MaxPooling2D → AveragePooling2D",
        "Dense → Dense, weights fresh",
        "kernel × 0.5",
        "frozen",
        "frozen",
        "frozen",
    ]
    assert planned.before is not None
    assert planned.after is not None
    assert (planned.before.parameters, planned.after.parameters) == (239, 313)
    assert [end.shape for end in planned.after.outputs] == [(None, 5)]
    assert planned.is_plan


def test_the_run_says_the_same_of_every_step(folder: Path):
    recipe = write_recipe(folder, *STEPS)
    planned, done = recipe.plan(), recipe.run()
    for one, other in zip(planned.steps, done.steps, strict=True):
        assert (one.matched, one.changes, one.parameters, one.target) == (
            other.matched,
            other.changes,
            other.parameters,
            other.target,
        )
    assert (planned.before, planned.after) == (done.before, done.after)


def test_keras_is_not_imported(folder: Path):
    write_recipe(folder, *STEPS)
    code = (
        "import sys, modelrecipe; modelrecipe.load_recipe('recipe.yaml').plan();"
        "sys.exit(bool({'keras', 'tensorflow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=folder, check=False).returncode == 0


def test_exact_builds_what_only_keras_can_tell_and_writes_nothing(folder: Path):
    steps = (
        "load: {application: {name: MobileNetV3Small, weights: null, input_shape: [32, 32, 3], classes: 7}}",
        "freeze: 'conv*'",
    )
    recipe = write_recipe(folder, *steps, "save: out.keras")
    before = contents(folder)
    outcome = recipe.plan(exact=True)
    assert contents(folder) == before
    assert outcome.after is not None
    assert [end.shape for end in outcome.after.outputs] == [(None, 7)]


@pytest.mark.parametrize(
    ("step", "start"),
    [
        ("freeze: nowhere", "4:13: freeze.layers.name: no layer matches name 'nowhere'"),
        ("freeze: {layers: {type: Conv2D, expect: 2}}", "4:45: freeze.layers.expect: "),
        ("remove: pool", "4:13: remove: "),
        ("insert: {after: conv, layer: {class: Conv2D, config: {filters: 3, kernel_size: 1}}}", "4:13: insert: "),
    ],
)
def test_what_a_run_would_refuse_is_refused(step: str, start: str, folder: Path):
    assert told(refuse_plan(folder, "load: m.keras", step, "save: out.keras")).startswith(start)


def test_an_output_that_exists_is_a_problem_and_no_refusal(folder: Path):
    (folder / "out.keras").write_text("mine")
    outcome = write_recipe(folder, *STEPS).plan()
    assert [problem.exit_code for problem in outcome.problems] == [1]
    assert outcome.outputs[0].exists
    assert write_recipe(folder, *STEPS).plan(force=True).problems == ()


def test_values_alone_are_streamed_and_structure_is_built(folder: Path):
    streamed = write_recipe(folder, "load: m.keras", "rescale: {layers: conv, factor: 2}", "save: o.keras").plan()
    built = write_recipe(folder, *STEPS).plan()
    assert (streamed.outputs[0].how, built.outputs[0].how) == ("streamed", "built")
    assert built.outputs[0].size is not None
    assert load(folder / "m.keras").count_params() == 239


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            "replace: {layers: mid/inner, with: {class: Dense, config: {units: 9}}, weights: fresh}",
            "'mid' outputs (None, 9), but 'head' (Dense) was built for (None, 7): its kernel is (7, 2) and would have to"
            " be (9, 2); give what stands before it an output of (None, 7), or replace 'head' too",
        ),
        (
            "remove: mid/inner",
            "'mid' outputs (None, 4), but 'head' (Dense) was built for (None, 7): its kernel is (7, 2) and would have to"
            " be (4, 2); give what stands before it an output of (None, 7), or replace 'head' too",
        ),
    ],
)
def test_what_breaks_behind_a_nested_model_is_found_in_the_plan(step: str, said: str, save, tmp_path: Path):
    given = keras.Input((4,))
    nested = keras.Model(given, keras.layers.Dense(7, name="inner")(given), name="mid")
    outer = keras.Input((4,), name="x")
    save(keras.Model(outer, keras.layers.Dense(2, name="head")(nested(outer))))
    (tmp_path / "r.yaml").write_text(f"version: 1\nsteps:\n  - load: m.keras\n  - {step}\n  - save: o.keras\n")
    with pytest.raises(modelrecipe.RecipeError) as refused:
        modelrecipe.load_recipe(tmp_path / "r.yaml").plan()
    assert f"{refused.value.message}; {refused.value.hint}" == said


def test_a_lambda_is_told_before_any_build(tmp_path: Path):
    x = keras.Input((4,), name="x")
    twice = keras.layers.Lambda(lambda tensor: tensor * 2, name="twice")
    keras.Model(x, keras.layers.Dense(2, name="head")(twice(x))).save(tmp_path / "m.keras")
    steps = ("load: m.keras", "insert: {after: head, layer: ReLU}", "save: out.keras")
    progress: list[str] = []
    planned = write_recipe(tmp_path, *steps).plan(progress=progress.append)
    [problem] = planned.problems
    assert told(problem).startswith("5:11: save: 'twice' ")
    assert told(refuse(tmp_path, *steps, progress=progress.append)) == told(problem)
    assert progress == ["reading m.keras"]


@pytest.mark.parametrize("format", ["keras", "h5", "weights.h5"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_variables_of_a_fresh_optimizer_count(format: str, optimizer: str, tmp_path: Path):
    layers = [keras.layers.Dense(300, name=name) for name in ("still", "trained")]
    model = keras.Sequential([keras.Input((300,)), *layers])
    layers[0].trainable = False
    model.compile(optimizer, keras.losses.MeanSquaredError())  # by its short name, Keras cannot read it from HDF5
    model.save(tmp_path / "m.keras")
    insert = "insert: {after: {role: output}, layer: ReLU}"
    recipe = write_recipe(tmp_path, "load: m.keras", insert, f"save: out.{format}")
    planned, done = recipe.plan().outputs[0].size, recipe.run().outputs[0].size
    assert planned == pytest.approx(done, rel=0.1)


@pytest.mark.parametrize("name", ["chain", "residual", "image_classifier", "nested_three_deep"])
def test_the_size_of_a_built_file_is_told_with_its_container(name: str, tmp_path: Path):
    zoo.ZOO[name]().save(tmp_path / "m.keras")
    recipe = write_recipe(tmp_path, "load: m.keras", "insert: {after: {role: output}, layer: ReLU}", "save: out.keras")
    planned, done = recipe.plan().outputs[0].size, recipe.run().outputs[0].size
    assert planned is not None
    assert done is not None
    assert 0.75 < planned / done < 1.25
