"""`load`: files by content, architectures by name, and what is refused."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import keras
import pytest

from tests import zoo
from tests.running import differences, load, refuse, refuse_plan, run, told, write_recipe

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_recognised_by_its_content_and_left_as_it_is(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    model.save(tmp_path / "m.keras")
    shutil.move(tmp_path / "m.keras", tmp_path / "model.bin")
    before = (tmp_path / "model.bin").read_bytes()
    run(tmp_path, "load: model.bin", "save: out.keras")
    assert (tmp_path / "model.bin").read_bytes() == before
    assert differences(model, load(tmp_path / "out.keras")) == []


def test_an_old_hdf5_file_becomes_a_keras_file(tmp_path: Path):
    model = zoo.ZOO["residual"]()
    model.save(tmp_path / "m.h5")
    run(tmp_path, "load: m.h5", "save: out.keras")
    after = load(tmp_path / "out.keras")
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))
    assert differences(model, after) == []


def test_a_path_is_relative_to_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run(tmp_path, "load: m.keras", "save: out.keras")
    assert (tmp_path / "out.keras").exists()


def test_an_architecture_is_built_with_its_arguments(tmp_path: Path):
    arguments = "{name: MobileNetV3Small, weights: null, include_top: false, input_shape: [32, 32, 3], pooling: avg}"
    outcome = run(tmp_path, f"load: {{application: {arguments}}}", "save: out.keras", head="seed: 3")
    again = load(tmp_path / "out.keras")
    assert again.output_shape == (None, 576)
    wanted = keras.applications.MobileNetV3Small(
        weights=None, include_top=False, input_shape=(32, 32, 3), pooling="avg"
    )
    assert [layer.__class__ for layer in again.layers] == [layer.__class__ for layer in wanted.layers]
    assert outcome.steps[0].parameters == wanted.count_params()


def test_the_same_seed_builds_the_same_weights(tmp_path: Path):
    steps = (
        "load: {application: {name: MobileNetV2, weights: null, alpha: 0.35, input_shape: [32, 32, 3], include_top: false}}",
        "save: {path: out.keras, force: true}",
    )
    digests = [
        run(tmp_path, *steps, head="seed: 5") and (tmp_path / "out.keras.lock.json").read_text() for _ in range(2)
    ]
    assert digests[0] == digests[1]
    run(tmp_path, *steps, head="seed: 6")
    assert (tmp_path / "out.keras.lock.json").read_text() != digests[0]


def test_a_model_put_aside_leaves_the_current_one(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    model.save(tmp_path / "m.keras")
    zoo.ZOO["residual"]().save(tmp_path / "teacher.keras")
    run(tmp_path, "load: m.keras", "load: {path: teacher.keras, as: teacher}", "save: out.keras")
    assert differences(model, load(tmp_path / "out.keras")) == []


def test_a_plan_stops_where_only_keras_can_build(tmp_path: Path):
    steps = ("load: {application: {name: VGG16, weights: null}}", "freeze: '*'")
    outcome = write_recipe(tmp_path, *steps).plan()
    assert [step.is_unknown for step in outcome.steps] == [True, True]
    assert outcome.steps[0].notes == ("VGG16 is built by Keras, so the plan ends here; --exact lets the plan build it",)


def test_a_missing_file_is_refused_with_its_nearest_name(tmp_path: Path):
    zoo.ZOO["chain"]().save(tmp_path / "model.keras")
    error = refuse(tmp_path, "load: mdoel.keras", "save: out.keras")
    assert told(error).replace(str(tmp_path), "") == (
        "3:11: load.path: '/mdoel.keras' does not exist; did you mean 'model.keras'?"
    )
    assert error.exit_code == 1


def test_a_directory_is_refused(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "note.txt").write_text("x")
    said = told(refuse_plan(tmp_path, "load: folder")).replace(str(tmp_path), "")
    assert said.startswith("3:11: load.path: '/folder' is a directory")


def test_weights_alone_are_no_model(tmp_path: Path):
    zoo.ZOO["chain"]().save_weights(tmp_path / "m.weights.h5")
    said = told(refuse_plan(tmp_path, "load: m.weights.h5")).replace(str(tmp_path), "")
    assert said.startswith("3:11: load.path: '/m.weights.h5' ")


def test_two_models_under_one_name_are_refused(tmp_path: Path):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    error = refuse(tmp_path, "load: m.keras", *["load: {path: m.keras, as: teacher}"] * 2, "save: out.keras")
    assert told(error) == "5:31: load.as: there is a model named 'teacher' already"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("load: {}", "3:11: load: needs 'path', 'application' or 'architecture'; say which model"),
        (
            "load: {path: m.keras, application: {name: VGG16, weights: null}}",
            "3:11: load: has both 'path' and 'application'; keep one",
        ),
        (
            "load: {application: {name: VGG16, weights: null}, format: h5}",
            "3:63: load.format: an application has no file format",
        ),
        (
            "load: {application: {name: VGG16, weights: null, alpha: 2}}",
            "3:54: load.application: unknown argument 'alpha' of VGG16; it takes: include_top, weights, input_shape,"
            " pooling, classes, classifier_activation",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(step: str, said: str, tmp_path: Path):
    assert told(refuse(tmp_path, step).problems[0]) == said


def test_a_recipe_begins_with_a_load(tmp_path: Path):
    error = refuse(tmp_path, "freeze: '*'")
    assert told(error) == "3:13: freeze: there is no model yet for 'freeze'; begin the recipe with '- load: ...'"


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A folder with two models of the same layers and other numbers."""
    for name in ("a", "b"):
        zoo.ZOO["chain"]().save(tmp_path / f"{name}.keras")
    model = load(tmp_path / "b.keras")
    model.get_layer("first").kernel.assign_add(keras.ops.ones_like(model.get_layer("first").kernel))
    model.save(tmp_path / "b.keras")
    return tmp_path


def test_every_output_is_proved_against_the_model_loaded_last(two: Path):
    outcome = run(two, "load: a.keras", "save: a2.keras", "load: b.keras", "freeze: first", "save: b2.keras")
    assert differences(load(two / "a.keras"), load(two / "a2.keras")) == []
    assert differences(load(two / "b.keras"), load(two / "b2.keras")) == ["~ first flag"]
    assert [output.proof and output.proof.changed for output in outcome.outputs] == [0, 0]


def test_what_was_done_to_one_model_excuses_nothing_in_the_next(two: Path):
    steps = ("rescale: {layers: first, factor: 2}", "save: a2.keras", "load: b.keras", "save: b2.keras")
    outcome = run(two, "load: a.keras", *steps)
    assert [output.proof and output.proof.changed for output in outcome.outputs] == [2, 0]
    assert differences(load(two / "b.keras"), load(two / "b2.keras")) == []


def test_totals_begin_with_the_model_loaded_last(two: Path):
    zoo.ZOO["residual"]().save(two / "other.keras")
    outcome = run(two, "load: a.keras", "load: other.keras", "save: o.keras")
    assert outcome.before == outcome.after


def test_a_model_put_aside_first_is_no_source(two: Path):
    outcome = run(two, "load: {path: a.keras, as: teacher}", "load: b.keras", "save: b2.keras")
    assert differences(load(two / "b.keras"), load(two / "b2.keras")) == []
    assert outcome.steps[0].parameters is None
    assert outcome.before == outcome.after


def test_a_model_put_aside_is_not_the_current_one(two: Path):
    error = refuse(two, "load: {path: a.keras, as: teacher}", "save: out.keras")
    assert told(error) == "4:11: save: there is no model yet for 'save'; load one without 'as' before it"


def test_an_output_of_the_recipe_is_not_loaded_again(two: Path):
    steps = ("load: a.keras", "save: {path: out.keras, force: true}", "load: out.keras", "save: again.keras")
    said = "5:11: load.path: 'out.keras' is written by an earlier step, so this recipe cannot load it; load it in a recipe of its own"
    assert told(refuse(two, *steps)) == said
    shutil.copy(two / "b.keras", two / "out.keras")
    assert told(refuse(two, *steps)) == said
    assert told(refuse_plan(two, *steps)) == said
