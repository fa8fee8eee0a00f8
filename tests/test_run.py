"""`run` and `apply`: order of failure, what refusals leave behind, seeds, and models that belong to the caller."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
from keras import layers

import modelrecipe
from modelrecipe import apply
from modelrecipe.errors import Problems, ProofError
from tests import zoo
from tests.running import contents, differences, edit, load, names, refuse, run, same_bits, told, write_recipe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ADDED = "insert: {{after: {0}, layer: {{class: Dense, config: {{units: {1}}}, name: '{{name}}_added'}}}}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    return tmp_path


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        (["freeze: nowhere"], 4),
        (["freeze: {layers: {type: Dense, expect: 2}}"], 4),
        (["remove: features"], 3),
        (["replace: {layers: head, with: {class: Dense, config: {units: 3}}}"], 3),
        (["remove: second"], 3),
        (["check: {parameters: 1}"], 5),
        (["save: m.keras"], 3),
        (["save: out.txt"], 3),
    ],
)
def test_a_refusal_has_the_exit_code_of_its_kind_and_writes_nothing(steps: list[str], code: int, folder: Path):
    assert refuse(folder, "load: m.keras", "save: first.keras", *steps).exit_code == code


def test_a_wrong_count_is_told_with_what_matched(folder: Path):
    error = refuse(folder, "load: m.keras", "freeze: {layers: {type: Dense, expect: 2}}", "save: out.keras")
    assert told(error).startswith("4:44: freeze.layers.expect: ")
    assert "3" in error.message
    assert "2" in error.message


def test_the_text_shows_file_line_source_and_caret(folder: Path):
    error = refuse(folder, "load: m.keras", "freeze: nowhere")
    assert str(error).replace(f"{folder}/", "").splitlines()[1:] == [
        "  4 |   - freeze: nowhere",
        "    |             ^^^^^^^",
    ]


def test_the_place_is_that_of_the_step_that_made_the_layer(folder: Path):
    error = refuse(
        folder,
        "load: m.keras",
        "replace: {layers: first, with: {class: Dense, config: {units: 7}}, weights: fresh}",
        "freeze: head",
        "rescale: {layers: head, factor: 0.5}",
        "save: out.keras",
    )
    assert error.place is not None
    assert error.place.line == 4


def test_selectors_that_miss_are_told_all_at_once(folder: Path):
    error = refuse(folder, "load: m.keras", "freeze: one", "rescale: {layers: two, factor: 2}", "save: out.keras")
    assert isinstance(error, Problems)
    assert [problem.place.line for problem in error.problems if problem.place] == [4, 5]


def test_names_that_would_be_given_twice_are_refused(folder: Path):
    step = "insert: {after: first, layer: {class: ReLU, name: second}}"
    assert "there is a layer 'second' already" in told(refuse(folder, "load: m.keras", step, "save: out.keras"))


def test_a_failure_while_writing_leaves_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise ProofError("made to fail")

    monkeypatch.setattr("modelrecipe.engine.writing.prove", fail)
    error = refuse(folder, "load: m.keras", "freeze: first", "save: out.keras")
    assert told(error) == "5:11: save: made to fail"


def test_new_weights_are_the_same_each_time_and_for_each_seed_others(folder: Path):
    def kernel(head: str) -> np.ndarray:
        run(folder, "load: m.keras", ADDED.format("first", 8), "save: {path: o.keras, force: true}", head=head)
        return load(folder / "o.keras").get_layer("first_added").kernel.numpy()

    first, again, other = kernel("seed: 1"), kernel("seed: 1"), kernel("seed: 2")
    assert same_bits(first, again)
    assert not np.array_equal(first, other)


def test_new_weights_do_not_depend_on_other_new_layers(folder: Path):
    alone = edit(folder, zoo.ZOO["chain"](), ADDED.format("first", 8))
    both = edit(folder, zoo.ZOO["chain"](), ADDED.format("second", 6), ADDED.format("first", 8))
    chain = edit(
        folder,
        zoo.ZOO["chain"](),
        "insert: {after: features, layer: {class: Dense, config: {units: 4}}}",
        ADDED.format("first", 8),
    )
    kernels = [model.get_layer("first_added").kernel.numpy() for model in (alone, both, chain)]
    assert same_bits(kernels[0], kernels[1])
    assert same_bits(kernels[0], kernels[2])


def test_the_callers_random_state_is_left_as_it_was(folder: Path):
    random.seed(1)
    np.random.seed(1)
    keras.utils.set_random_seed(1)
    wanted = (random.random(), np.random.random(), float(keras.random.uniform(())))
    keras.utils.set_random_seed(1)
    random.seed(1)
    np.random.seed(1)
    run(folder, "load: m.keras", ADDED.format("first", 8), "save: o.keras", head="seed: 3")
    assert (random.random(), np.random.random(), float(keras.random.uniform(()))) == wanted


def test_progress_is_told_in_words(folder: Path):
    told_words: list[str] = []
    run(folder, "load: m.keras", ADDED.format("first", 8), "save: o.keras", progress=told_words.append)
    assert "reading m.keras" in told_words
    assert "writing o.keras" in told_words


def test_a_recipe_without_save_writes_nothing(folder: Path):
    before = contents(folder)
    outcome = run(folder, "load: m.keras", "freeze: first")
    assert set(contents(folder)) - set(before) == {"recipe.yaml"}
    assert outcome.outputs == ()


# Live models


def state(model: keras.Model) -> list[object]:
    """Everything about a live model that an edit of it could have touched."""
    return [
        [layer.name for layer in model._flatten_layers()],
        [layer.trainable for layer in model._flatten_layers()],
        [len(getattr(layer, "_inbound_nodes", ())) for layer in model._flatten_layers()],
        [len(getattr(layer, "_outbound_nodes", ())) for layer in model._flatten_layers()],
        [weight.path for weight in model.weights],
        [weight.numpy().tobytes() for weight in model.weights if "string" not in str(weight.dtype)],
        model.compiled,
    ]


@pytest.mark.parametrize("name", ["chain", "residual", "nested_three_deep", "shared_at_depths", "compiled_and_trained"])
def test_apply_leaves_the_live_model_and_shares_nothing(name: str, tmp_path: Path):
    model = zoo.ZOO[name]()
    inputs = zoo.sample_inputs(model)
    zoo.outputs(model, inputs)
    before = state(model)
    recipe = write_recipe(
        tmp_path,
        "load: anything.keras",
        "insert: {after: {role: output}, layer: Identity}",
        "freeze: {layers: {index: 1}}",
    )
    after = apply(recipe, model)
    assert state(model) == before
    zoo.assert_same_outputs(model, after, inputs)
    assert not {id(layer) for layer in model._flatten_layers()} & {id(layer) for layer in after._flatten_layers()}
    assert not {id(weight) for weight in model.weights} & {id(weight) for weight in after.weights}
    for weight in after.weights:
        weight.assign(weight * 0)
    assert state(model) == before


def test_apply_of_an_empty_recipe_is_a_copy(tmp_path: Path):
    model = zoo.ZOO["nested_twice_side_by_side"]()
    after = apply(write_recipe(tmp_path, "load: anything.keras"), model)
    assert after is not model
    assert differences(model, after) == []
    assert names(model) == names(after)
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


def test_apply_takes_layers_that_nobody_registered(tmp_path: Path):
    class Twice(layers.Layer):
        def call(self, inputs):
            return inputs * 2

    x = keras.Input((4,), name="x")
    model = keras.Model(x, Twice(name="twice")(layers.Dense(3, name="d")(x)))
    after = apply(write_recipe(tmp_path, "load: anything.keras", "rescale: {layers: d, factor: 0.5}"), model)
    inputs = zoo.sample_inputs(model)
    assert np.array_equal(zoo.outputs(after, inputs)[0], zoo.outputs(model, inputs)[0] * 0.5)


def test_apply_takes_the_values_of_variables(tmp_path: Path):
    path = tmp_path / "r.yaml"
    path.write_text(
        "version: 1\nvars:\n  factor: {type: number, default: 1.0}\nsteps:\n  - load: m.keras\n"
        "  - rescale: {layers: first, factor: '${factor}'}\n"
    )
    model = zoo.ZOO["chain"]()
    after = apply(path, model, given={"factor": 0.5})
    assert differences(model, after) == ["~ first/bias", "~ first/kernel"]


def test_outputs_are_compared_with_the_file_that_the_run_has_just_written(folder: Path):
    other = zoo.ZOO["chain"]()
    other.get_layer("head").bias.assign_add([1.0, 0.0, 0.0])
    other.save(folder / "out.keras")
    steps = ("load: m.keras", "save: out.keras", "check: {same_outputs_as: out.keras}")
    assert write_recipe(folder, *steps).plan(force=True).steps[2].notes == ("outputs are compared in the run",)
    outcome = run(folder, *steps, force=True)
    assert outcome.steps[2].notes == ("outputs differ from 'out.keras' by at most 0",)
    elsewhere = run(folder, *steps, out=folder / "elsewhere")
    assert elsewhere.steps[2].notes == ("outputs differ from 'out.keras' by at most 0",)


APPLICATION = (
    "load: {application: {name: MobileNetV2, weights: null, alpha: 0.35, input_shape: [32, 32, 3], include_top: false}}"
)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("out.keras", "'out.keras' exists; pass --force, or write force: true"),
        ("folder.keras", "'folder.keras' is a directory; add a file name"),
        (
            "out.txt",
            "the ending of 'out.txt' names no format; end it in .keras, .h5, .weights.h5 or .weights.json, or write"
            " format",
        ),
    ],
)
def test_an_output_that_cannot_be_is_found_before_keras_starts(path: str, said: str, tmp_path: Path):
    (tmp_path / "out.keras").write_bytes(b"mine")
    (tmp_path / "folder.keras").mkdir()
    progress: list[str] = []
    error = refuse(tmp_path, APPLICATION, f"save: {path}", progress=progress.append)
    assert told(error) == f"4:11: save.path: {said}"
    assert progress == []


def test_two_steps_that_write_one_file_are_found_before_keras_starts(tmp_path: Path):
    error = refuse(tmp_path, APPLICATION, "save: out.keras", "save: ./out.keras")
    assert told(error) == "5:11: save.path: two steps write './out.keras'; give each output a name of its own"


@pytest.mark.parametrize(
    ("recipe", "model", "said"),
    [
        ({"version": 1}, None, "a recipe is a path or what load_recipe gives, not dict"),
        ("r.yaml", "m.keras", "apply takes a live Keras model, not str; run takes files"),
        ("r.yaml", None, "apply takes a live Keras model, not NoneType; run takes files"),
    ],
)
def test_apply_says_what_it_takes(recipe: object, model: object, said: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text("version: 1\nsteps: []\n")
    with pytest.raises(modelrecipe.RecipeError) as refused:
        modelrecipe.apply(recipe, model)  # type: ignore[arg-type]
    assert str(refused.value) == said


def test_apply_wants_a_model_that_is_built(tmp_path: Path):
    (tmp_path / "r.yaml").write_text("version: 1\nsteps: []\n")
    unbuilt = keras.Sequential([keras.layers.Dense(2)], name="later")
    with pytest.raises(modelrecipe.RecipeError) as refused:
        modelrecipe.apply(tmp_path / "r.yaml", unbuilt)
    assert str(refused.value) == "the model 'later' is not built yet; call it on data once"


def test_a_recipe_and_an_outcome_are_short_in_a_prompt(tmp_path: Path):
    (tmp_path / "r.yaml").write_text("version: 1\nname: nothing\nsteps: []\n")
    recipe = modelrecipe.load_recipe(tmp_path / "r.yaml")
    assert repr(recipe) == "<recipe 'nothing': no steps>"
    assert repr(recipe.plan()).startswith("Plan for nothing")


class Meanwhile:
    """Told of the progress of one run, carries out another one just before the first one's file takes its name."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def __call__(self, text: str) -> None:
        if text == "comparing what was written with the source":
            self.act()


HALVED, DOUBLED = (
    ("load: m.keras", f"rescale: {{layers: head, weights: kernel, factor: {factor}}}", "save: out.keras")
    for factor in (0.5, 2)
)


def test_of_two_runs_at_once_the_first_to_end_wins_and_the_other_refuses(folder: Path):
    slow, fast = write_recipe(folder, *HALVED, name="slow.yaml"), write_recipe(folder, *DOUBLED, name="fast.yaml")
    with pytest.raises(modelrecipe.RecipeError) as refused:
        slow.run(progress=Meanwhile(fast.run))
    assert told(refused.value).replace(f"{folder}/", "") == (
        "5:11: save: 'out.keras' exists by now: something else wrote it meanwhile; look at it, then run again"
    )
    assert sorted(contents(folder)) == ["fast.yaml", "m.keras", "out.keras", "out.keras.lock.json", "slow.yaml"]
    assert differences(edit_of(folder, 2), load(folder / "out.keras")) == []
    fast.run(locked=True, force=True)


def test_of_two_forced_runs_at_once_both_end_whole_and_the_last_one_stays(folder: Path):
    slow, fast = write_recipe(folder, *HALVED, name="slow.yaml"), write_recipe(folder, *DOUBLED, name="fast.yaml")
    ended: list[modelrecipe.Outcome] = []
    last = slow.run(progress=Meanwhile(lambda: ended.append(fast.run(force=True))), force=True)
    assert [outcome.outputs[0].proof for outcome in ended] == [last.outputs[0].proof]
    assert differences(edit_of(folder, 0.5), load(folder / "out.keras")) == []
    assert sorted(contents(folder)) == ["fast.yaml", "m.keras", "out.keras", "out.keras.lock.json", "slow.yaml"]
    slow.run(locked=True, force=True)


def edit_of(folder: Path, factor: float) -> keras.Model:
    """The folder's model with the kernel of its head multiplied by plain Keras."""
    model = load(folder / "m.keras")
    kernel = model.get_layer("head").kernel
    kernel.assign(kernel * factor)
    return model
