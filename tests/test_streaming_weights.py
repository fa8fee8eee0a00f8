"""A law: weights beside an architecture, alone or in shards, come out streamed as Keras builds, loads and saves them."""

from __future__ import annotations

import itertools
import warnings
from typing import TYPE_CHECKING, Any

import h5py
import keras
import numpy as np
import pytest

from modelrecipe import formats
from modelrecipe.errors import EditError, Problems, RecipeError, SelectorError
from modelrecipe.formats.keras_zip.groups import OPTIMIZER
from modelrecipe.formats.keras_zip.shards import files_of
from modelrecipe.formats.keras_zip.shards import read as read_shards
from modelrecipe.formats.weights.files import read_weight_file
from tests import zoo
from tests.running import contents, differences, load, names, run, same_bits, slow_unless, write_recipe
from tests.test_streaming import QUICK, RECIPES

if TYPE_CHECKING:
    from pathlib import Path

    from modelrecipe import Outcome

MODELS = [name for name in zoo.FUNCTIONAL if name in zoo.RELOADABLE and name not in zoo.KERAS_CHANGES_WEIGHTS]
SMALL = 6e-6
"""Of GB, for Keras: a few kilobytes, so that most models take several shards."""
TARGETS = {"weights.h5": "save: out.weights.h5", "keras": "save: out.keras"}
TARGETS["weights.json"] = "save: {path: out.weights.json, shard_size: 8KB}"


def written(folder: Path, source: str, recipe: str, ending: str) -> Outcome | str:
    """Carry a recipe out; where it is refused, what is said."""
    steps = (f"load: {{architecture: model.json, weights: {source}}}", *RECIPES[recipe], TARGETS[ending])
    try:
        return write_recipe(folder, *steps).run(force=True)
    except (SelectorError, EditError, Problems):
        return "the recipe changes nothing here"
    except RecipeError as error:
        return f"refused: {error.message}"


def numbers(path: Path) -> dict[str, tuple[str, bytes]]:
    """Type and bytes of every variable, under its place in the tree of groups."""
    found = {entry.path: entry for entry in tree(path).below()}
    return {place: (entry.dtype, np.asarray(entry.source()).tobytes()) for place, entry in sorted(found.items())}


def tree(path: Path) -> Any:
    if path.name.endswith(".json"):
        return read_shards(path)[0]
    found = read_weight_file(path).root
    assert found is not None
    return found


def save(model: keras.Model, folder: Path, source: str) -> None:
    (folder / "model.json").write_text(model.to_json(), encoding="utf-8")
    if source.endswith(".json"):
        model.save_weights(folder / source, max_shard_size=SMALL)
    else:
        model.save_weights(folder / source)


def loaded(folder: Path, path: Path, ending: str) -> keras.Model:
    if ending == "keras":
        return load(path)
    model = keras.models.model_from_json((folder / "model.json").read_text())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
        model.load_weights(path)
    return model


SOURCES = ("w.weights.h5", "w.weights.json")
# Containers and recipes are crossed on a few models; all others go each way once.
WAYS = [
    *itertools.product(QUICK, SOURCES, TARGETS, ("values", "names", "all at once")),
    *(
        pytest.param(name, source, ending, "all at once", marks=pytest.mark.slow)
        for name in MODELS
        if name not in QUICK
        for source, ending in zip((*SOURCES, SOURCES[0]), TARGETS, strict=True)
    ),
]


@pytest.mark.parametrize(("name", "source", "ending", "recipe"), WAYS)
def test_the_streamed_weights_equal_the_built_ones(
    name: str, source: str, ending: str, recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    model = zoo.ZOO[name]()
    try:
        save(model, tmp_path, source)
    except ValueError as error:  # one variable alone is larger than a shard
        pytest.skip(str(error))
    found: list[tuple[Path, keras.Model]] = []
    for how in ("streamed", "built"):
        with monkeypatch.context() as patched:
            if how == "built":
                patched.setattr(formats, "can_rewrite", lambda checkpoint, kind: False)
            outcome = written(tmp_path, source, recipe, ending)
        if isinstance(outcome, str):
            pytest.skip(outcome)
        if outcome.outputs[0].how != how:
            pytest.skip("this model is always built")
        folder = tmp_path / how
        folder.mkdir()
        for file in [item for item in tmp_path.iterdir() if item.name.startswith("out")]:
            file.replace(folder / file.name)
        found.append((folder / f"out.{ending}", loaded(tmp_path, folder / f"out.{ending}", ending)))
    (streamed, live), (reference, expected) = found
    assert numbers(streamed) == numbers(reference)
    assert all(same_bits(a.numpy(), b.numpy()) for a, b in zip(expected.weights, live.weights, strict=True))
    if ending == "keras":
        assert differences(expected, live) == []
        assert names(expected) == names(live)
    assert [item.name for item in tmp_path.iterdir() if item.name.startswith(".")] == []


@pytest.mark.parametrize("name", [pytest.param(name, marks=slow_unless(name in QUICK)) for name in zoo.RELOADABLE])
def test_a_whole_model_is_spread_over_shards_that_keras_reads(name: str, tmp_path: Path):
    model = zoo.ZOO[name]()
    model.save(tmp_path / "m.keras")
    try:
        outcome = run(tmp_path, "load: m.keras", "save: {path: out.weights.json, shard_size: 8KB}")
    except RecipeError as error:
        pytest.skip(error.message)
    before, after = (keras.saving.load_model(tmp_path / "m.keras", compile=False) for _ in range(2))
    for variable in after.weights:
        variable.assign(np.zeros(variable.shape, np.asarray(variable).dtype))
    after.load_weights(tmp_path / "out.weights.json")
    assert all(same_bits(a.numpy(), b.numpy()) for a, b in zip(before.weights, after.weights, strict=True))
    assert outcome.outputs[0].shards == tuple(file.stat().st_size for file in files_of(tmp_path / "out.weights.json"))


def chain(width: int = 20) -> keras.Model:
    """Three layers of 1,680 bytes each."""
    layers = [keras.layers.Dense(width, name=f"part_{number}") for number in range(3)]
    model = keras.Sequential([keras.Input((width,)), *layers, keras.layers.Flatten(name="end")])
    for number, variable in enumerate(model.weights):
        variable.assign(np.full(variable.shape, number + 0.5, "float32"))
    return model


LOAD = "load: {architecture: model.json, weights: w.weights.h5}"
HALVE = "rescale: {layers: '*', factor: 0.5}"


def test_the_list_is_the_one_that_keras_writes(tmp_path: Path):
    model = chain()
    save(model, tmp_path, "w.weights.h5")
    run(tmp_path, LOAD, "save: {path: out/w.weights.json, shard_size: 3400}")
    model.save_weights(tmp_path / "w.weights.json", max_shard_size=3400 / 2**30)
    assert (tmp_path / "out" / "w.weights.json").read_text() == (tmp_path / "w.weights.json").read_text()
    for name in ("w_00000.weights.h5", "w_00001.weights.h5"):
        with h5py.File(tmp_path / "out" / name) as ours, h5py.File(tmp_path / name) as theirs:
            assert shown(ours) >= {item for item in shown(theirs) if "/vars/" in item}


def shown(handle: h5py.File) -> set[str]:
    found: set[str] = set()
    handle.visititems(lambda name, item: found.add(f"{name} {getattr(item, 'shape', '')}"))
    return found


def test_the_variables_of_a_layer_stay_together(tmp_path: Path):
    save(chain(), tmp_path, "w.weights.h5")
    run(tmp_path, LOAD, "save: {path: out.weights.json, shard_size: 3300}")
    assert [len([*read_weight_file(path).entries]) for path in files_of(tmp_path / "out.weights.json")] == [2, 2, 2]


def test_a_layer_that_fits_no_shard_is_refused(tmp_path: Path):
    save(chain(600), tmp_path, "w.weights.h5")
    recipe = write_recipe(tmp_path, LOAD, "save: {path: out.weights.json, shard_size: 1MB}")
    for act in (recipe.plan, recipe.run):
        with pytest.raises(RecipeError) as refused:
            act()
        assert refused.value.message == "the weights of 'part_0' take 1.4 MB, but a shard holds at most 1.0 MB"
        assert refused.value.hint == "write shard_size: 2MB or more"
    assert sorted(contents(tmp_path)) == ["model.json", "recipe.yaml", "w.weights.h5"]


def test_a_plan_says_how_many_shards_and_how_large(tmp_path: Path):
    save(chain(), tmp_path, "w.weights.h5")
    recipe = write_recipe(tmp_path, LOAD, HALVE, "save: {path: out.weights.json, shard_size: 3400}")
    plan, done = recipe.plan(), recipe.run()
    assert plan.outputs[0].shards == (3360, 1680)
    assert "weights_json, streamed, 2 shards of up to 3.4 kB, about " in " ".join(str(plan).split())
    assert len(done.outputs[0].shards) == 2
    assert done.outputs[0].proof is not None
    assert done.outputs[0].proof.changed == 6
    recipe.run(locked=True, force=True)


def test_a_structural_recipe_is_built_and_spread(tmp_path: Path):
    model = chain()
    model.save(tmp_path / "m.keras")
    steps = ("load: m.keras", "insert: {after: part_0, layer: {class: Dense, name: new, config: {units: 20}}}")
    outcome = run(
        tmp_path, *steps, "save: {path: out.weights.json, shard_size: 1700}", "save: out.keras", head="seed: 3"
    )
    assert (outcome.outputs[0].how, len(outcome.outputs[0].shards)) == ("built", 4)
    before, after = load(tmp_path / "out.keras"), load(tmp_path / "out.keras")
    for variable in after.weights:
        variable.assign(np.zeros(variable.shape))
    after.load_weights(tmp_path / "out.weights.json")
    assert differences(before, after) == []


def test_an_optimizer_in_the_file_is_left_out(tmp_path: Path):
    model = chain()
    model.compile("adam", "mse")
    model.fit(np.ones((2, 20)), np.ones((2, 20)), verbose=0)
    save(model, tmp_path, "w.weights.h5")
    with h5py.File(tmp_path / "w.weights.h5") as file:
        assert OPTIMIZER in file
    (output,) = run(tmp_path, LOAD, HALVE, "save: out.weights.h5").outputs
    assert output.how == "streamed"
    with h5py.File(tmp_path / "out.weights.h5") as file:
        assert OPTIMIZER not in file
    after = chain()
    after.load_weights(tmp_path / "out.weights.h5")
    halved = [variable.numpy() * np.float32(0.5) for variable in model.weights if "adam" not in variable.path]
    assert all(same_bits(a, b.numpy()) for a, b in zip(halved, after.weights, strict=False))


@pytest.mark.parametrize(
    ("what", "load_step"),
    [
        ("another type", "load: {architecture: half.json, weights: w.weights.h5}"),
        ("something left", "load: {architecture: model.json, weights: more.weights.h5, ignore: [layers/dense]}"),
        ("something fresh", "load: {architecture: model.json, weights: w.weights.h5, fresh: part_0}"),
        ("another order", "load: {architecture: other.json, weights: w.weights.h5}"),
    ],
)
def test_what_keras_would_write_otherwise_is_built(what: str, load_step: str, tmp_path: Path):
    model = chain()
    save(model, tmp_path, "w.weights.h5")
    text = (tmp_path / "model.json").read_text()
    (tmp_path / "half.json").write_text(text.replace('"name": "float32"', '"name": "float16"'))
    (tmp_path / "other.json").write_text(
        text.replace("part_0", "part_x").replace("part_1", "part_0").replace("part_x", "part_1")
    )
    (tmp_path / "more.weights.h5").write_bytes((tmp_path / "w.weights.h5").read_bytes())
    with h5py.File(tmp_path / "more.weights.h5", "r+") as file:
        file.copy("layers/dense", "layers/dense_9")
        file["layers/dense_9/vars"].attrs["name"] = "further"
    step = load_step.replace("[layers/dense]", "[layers/dense_9]")
    (output,) = write_recipe(tmp_path, step, "save: out.weights.h5").plan().outputs
    assert output.how == "built", what


def test_renamed_layers_are_noted_anew(tmp_path: Path):
    save(chain(), tmp_path, "w.weights.h5")
    rename = "rename: {layers: part_0, to: first}"
    (output,) = run(tmp_path, LOAD, rename, "save: out.weights.h5").outputs
    assert output.how == "streamed"
    with h5py.File(tmp_path / "out.weights.h5") as file:
        assert file["layers/dense/vars"].attrs["name"] == "first"
