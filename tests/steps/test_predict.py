"""`predict`: what stands in the file, in which order, and which files are refused."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
from keras import layers

import modelrecipe
from modelrecipe.cli.unsaved import unsaved
from modelrecipe.errors import Problems
from tests.running import differences, load, refuse, refuse_plan, run, told, write_recipe
from tests.shown_data import classifier, write_data

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

DATA = "data: {npz: d.npz}"


def predicted(folder: Path, step: str, *before: str) -> dict[str, NDArray[np.generic]]:
    """The arrays of `p.npz` after a `predict` step."""
    run(folder, "load: m.keras", *before, f"predict: {step}")
    with np.load(folder / "p.npz") as data:
        return {name: data[name] for name in data.files}


@pytest.mark.parametrize("batch_size", [1, 7, 50, 64])
def test_outputs_stand_under_their_names_in_the_order_of_the_source(batch_size: int, tmp_path: Path):
    x, _ = write_data(tmp_path)
    model = classifier()
    model.save(tmp_path / "m.keras")
    found = predicted(tmp_path, f"{{{DATA}, to: p.npz, batch_size: {batch_size}}}")
    assert list(found) == ["example", "head"]
    assert found["example"].tolist() == list(range(50))
    assert found["head"].dtype == "float32"
    assert np.allclose(found["head"], model.predict(x, verbose=0), rtol=0, atol=1e-6)


def test_nothing_changes_by_it_and_no_lock_tells_of_it(tmp_path: Path):
    write_data(tmp_path)
    model = classifier()
    model.save(tmp_path / "m.keras")
    outcome = run(tmp_path, "load: m.keras", f"predict: {{{DATA}, to: p.npz}}", "save: out.keras")
    assert differences(model, load(tmp_path / "out.keras")) == []
    assert not (tmp_path / "p.npz.lock.json").exists()
    lock = json.loads((tmp_path / "out.keras.lock.json").read_text(encoding="utf-8"))
    assert lock.pop("recipe")["steps"][1]["predict"]["to"] == "p.npz"
    assert "p.npz" not in json.dumps(lock)
    assert outcome.steps[1].files == ("p.npz",)
    assert outcome.steps[1].notes == ("'head' float32 (50, 3)",)
    assert str(outcome).rstrip().endswith("no layer changed; 2 files written.")


def test_a_part_has_the_numbers_of_its_examples(tmp_path: Path):
    x, _ = write_data(tmp_path)
    model = classifier()
    model.save(tmp_path / "m.keras")
    expected = model.predict(x, verbose=0)
    split = "data: {npz: d.npz, validation: 0.3, take: 40}"
    parts = {}
    for part in ("train", "validation", "all"):
        found = predicted(tmp_path, f"{{{split}, part: {part}, to: p.npz, force: true}}")
        assert np.allclose(found["head"], expected[found["example"]], rtol=0, atol=1e-6)
        assert (np.diff(found["example"]) > 0).all()
        parts[part] = set(found["example"].tolist())
    assert (len(parts["train"]), len(parts["validation"])) == (28, 12)
    assert not parts["train"] & parts["validation"]
    assert parts["train"] | parts["validation"] == parts["all"]


def test_targets_need_not_be_there_nor_fit(tmp_path: Path):
    x, _ = write_data(tmp_path)
    np.savez(tmp_path / "d.npz", x=x, y=np.full(len(x), 99))
    np.savez(tmp_path / "alone.npz", x=x)
    classifier().save(tmp_path / "m.keras")
    one = predicted(tmp_path, f"{{{DATA}, to: p.npz}}")
    other = predicted(tmp_path, "{data: {npz: alone.npz}, to: p.npz, force: true}")
    assert np.array_equal(one["head"], other["head"])


def test_a_table_has_a_line_for_each_example(tmp_path: Path):
    write_data(tmp_path)
    classifier().save(tmp_path / "m.keras")
    array = predicted(tmp_path, f"{{{DATA}, to: p.npz}}")["head"]
    run(tmp_path, "load: m.keras", f"predict: {{{DATA}, to: deep/p.csv}}")
    with (tmp_path / "deep/p.csv").open(newline="", encoding="utf-8") as file:
        titles, *rows = csv.reader(file)
    assert titles == ["example", "head_0", "head_1", "head_2"]
    assert [int(row[0]) for row in rows] == list(range(50))
    assert np.array_equal(np.array([row[1:] for row in rows]).astype("float32"), array)


def test_an_npy_file_holds_the_only_output(tmp_path: Path):
    write_data(tmp_path)
    classifier().save(tmp_path / "m.keras")
    array = predicted(tmp_path, f"{{{DATA}, to: p.npz}}")["head"]
    run(tmp_path, "load: m.keras", f"predict: {{{DATA}, to: p.npy}}")
    assert np.array_equal(np.load(tmp_path / "p.npy", allow_pickle=False), array)


def two_ends() -> keras.Model:
    inputs = keras.Input((4,), name="features")
    grid = layers.Reshape((2, 2), name="grid")(inputs)
    return keras.Model(inputs, {"b": layers.Dense(1, name="size")(inputs), "a": grid})


def test_several_outputs_stand_under_the_names_of_their_layers(tmp_path: Path):
    x, _ = write_data(tmp_path)
    model = two_ends()
    model.save(tmp_path / "m.keras")
    found = predicted(tmp_path, f"{{{DATA}, to: p.npz}}")
    assert {name: values.shape for name, values in found.items()} == {
        "example": (50,),
        "grid": (50, 2, 2),
        "size": (50, 1),
    }
    assert np.array_equal(found["grid"].reshape(50, 4), x)
    assert np.allclose(found["size"], model.predict(x, verbose=0)["b"], rtol=0, atol=1e-6)


def test_one_layer_that_gives_several_outputs_has_numbered_names(tmp_path: Path):
    write_data(tmp_path)
    inputs = keras.Input((4,), name="features")
    shared = layers.Dense(2, name="twice")
    keras.Model(inputs, [shared(inputs), shared(inputs * 2.0)]).save(tmp_path / "m.keras")
    found = predicted(tmp_path, f"{{{DATA}, to: p.npz}}")
    assert list(found) == ["example", "twice", "twice_1"]
    assert not np.array_equal(found["twice"], found["twice_1"])


def test_bfloat16_is_written_as_float32(tmp_path: Path):
    write_data(tmp_path)
    inputs = keras.Input((4,), name="features")
    keras.Model(inputs, layers.Dense(2, name="head", dtype="mixed_bfloat16")(inputs)).save(tmp_path / "m.keras")
    assert predicted(tmp_path, f"{{{DATA}, to: p.npz}}")["head"].dtype == "float32"


@pytest.mark.parametrize("ending", ["npz", "csv"])
def test_texts_are_written_as_texts(ending: str, tmp_path: Path):
    write_data(tmp_path)
    inputs = keras.Input((4,), name="features")
    words = layers.StringLookup(vocabulary=["few", "many"], invert=True, name="word")
    model = keras.Model(inputs, words(layers.Discretization([1.0], name="size")(inputs)))
    model.save(tmp_path / "m.keras")
    run(tmp_path, "load: m.keras", f"predict: {{{DATA}, to: p.{ending}}}")
    if ending == "npz":
        with np.load(tmp_path / "p.npz", allow_pickle=False) as data:
            assert set(data["word"].reshape(-1)) == {"[UNK]", "few"}
    else:
        lines = (tmp_path / "p.csv").read_text(encoding="utf-8").splitlines()
        assert lines[0] == "example,word_0,word_1,word_2,word_3"
        assert {word for line in lines[1:] for word in line.split(",")[1:]} == {"[UNK]", "few"}


def test_a_recipe_on_a_model_in_memory_writes_no_file(tmp_path: Path):
    write_data(tmp_path)
    recipe = write_recipe(tmp_path, "load: m.keras", f"predict: {{{DATA}, to: p.npz}}")
    modelrecipe.apply(recipe, classifier())
    assert not (tmp_path / "p.npz").exists()


def test_a_recipe_that_predicts_need_not_save(tmp_path: Path):
    assert unsaved(write_recipe(tmp_path, "load: m.keras", f"predict: {{{DATA}, to: p.npz}}")) is None


def test_it_goes_where_outputs_go(tmp_path: Path):
    write_data(tmp_path)
    classifier().save(tmp_path / "m.keras")
    run(tmp_path, "load: m.keras", f"predict: {{{DATA}, to: here/p.npz}}", out=tmp_path / "there")
    assert (tmp_path / "there/p.npz").exists()
    assert not (tmp_path / "here").exists()


def test_a_plan_says_what_would_be_written_and_writes_nothing(tmp_path: Path):
    write_data(tmp_path)
    classifier().save(tmp_path / "m.keras")
    planned = write_recipe(tmp_path, "load: m.keras", f"predict: {{{DATA}, to: p.npz}}").plan()
    assert planned.steps[-1].notes == ("writes 'head' for 50 examples",)
    assert planned.steps[-1].files == ("p.npz",)
    assert planned.has_changes
    assert not (tmp_path / "p.npz").exists()


# What is refused


def test_a_file_that_exists_is_refused_unless_it_is_forced(tmp_path: Path):
    write_data(tmp_path)
    classifier().save(tmp_path / "m.keras")
    (tmp_path / "p.npz").write_bytes(b"mine")
    step = f"predict: {{{DATA}, to: p.npz}}"
    said = "4:39: predict.to: 'p.npz' exists; pass --force, or write force: true"
    assert told(refuse(tmp_path, "load: m.keras", step)) == said
    (problem,) = write_recipe(tmp_path, "load: m.keras", step).plan().problems
    assert told(problem) == said
    run(tmp_path, "load: m.keras", step, force=True)
    assert len(np.load(tmp_path / "p.npz")["head"]) == 50


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (
            (f"predict: {{{DATA}, to: d.npz, force: true}}",),
            "4:39: predict.to: 'd.npz' is read as data, which are never changed; write another file",
        ),
        (
            (f"predict: {{{DATA}, to: p.npz}}", f"predict: {{{DATA}, to: p.npz}}"),
            "5:39: predict.to: two steps write 'p.npz'; give each output a name of its own",
        ),
        (
            (f"predict: {{{DATA}, to: deep.npz, force: true}}", "evaluate: {data: {npz: deep.npz}, metrics: accuracy}"),
            "5:22: evaluate.data: 'deep.npz' is written by an earlier step, so this recipe cannot read it as data; "
            "read it in a recipe of its own",
        ),
    ],
)
def test_no_file_is_both_read_and_written(steps: tuple[str, ...], said: str, tmp_path: Path):
    x, y = write_data(tmp_path)
    np.savez(tmp_path / "deep.npz", x=x, y=y)
    classifier().save(tmp_path / "m.keras")
    assert told(refuse(tmp_path, "load: m.keras", *steps)) == said


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("p.npy", "4:39: predict.to: a .npy file holds one array, but the model gives 2: 'grid', 'size'; write .npz"),
        ("p.csv", "4:39: predict.to: 'grid' gives (None, 2, 2), which is no row of a table; write .npz"),
    ],
)
def test_outputs_that_the_file_cannot_hold_are_refused_early(to: str, said: str, tmp_path: Path):
    write_data(tmp_path)
    two_ends().save(tmp_path / "m.keras")
    assert told(refuse_plan(tmp_path, "load: m.keras", f"predict: {{{DATA}, to: {to}}}")) == said


def test_an_output_named_like_the_numbers_is_refused(tmp_path: Path):
    write_data(tmp_path)
    inputs = keras.Input((4,), name="features")
    keras.Model(inputs, layers.Dense(2, name="example")(inputs)).save(tmp_path / "m.keras")
    assert told(refuse_plan(tmp_path, "load: m.keras", f"predict: {{{DATA}, to: p.npz}}")) == (
        "4:39: predict.to: an output is named 'example', as the examples' numbers are called in the file; "
        "rename the layer before"
    )


def test_an_unknown_ending_is_refused(tmp_path: Path):
    error = refuse(tmp_path, "load: m.keras", f"predict: {{{DATA}, to: p.txt}}")
    assert isinstance(error, Problems)
    assert [told(problem) for problem in error.problems] == [
        "4:39: predict.to: the ending of 'p.txt' names no form of predictions; end it in .npz, .npy or .csv"
    ]


def test_inputs_of_another_shape_are_refused_early(tmp_path: Path):
    write_data(tmp_path)
    inputs = keras.Input((5,), name="features")
    keras.Model(inputs, layers.Dense(2, name="head")(inputs)).save(tmp_path / "m.keras")
    assert told(refuse_plan(tmp_path, "load: m.keras", f"predict: {{{DATA}, to: p.npz}}")) == (
        "4:21: predict.data.x: 'x' gives (None, 4), but input 'features' expects (None, 5)"
    )
