"""`load: {architecture, weights}`: every container, matched by path, name or order, and what is refused."""

from __future__ import annotations

import json
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest
import yaml

from tests import zoo
from tests.old_keras import assert_same_numbers, perturb, tf_keras
from tests.running import differences, load, refuse, run, told, write_recipe

if TYPE_CHECKING:
    from pathlib import Path


def small(name: str = "dense", head: int = 2) -> keras.Model:
    """A chain with a nested model, statistics, and a layer in a wrapper."""
    inner = keras.Sequential(
        [
            keras.layers.Input((4, 3)),
            keras.layers.Conv1D(5, 2, name="conv"),
            keras.layers.BatchNormalization(name="bn"),
        ],
        name="backbone",
    )
    inputs = keras.layers.Input((4, 3), name="pixels")
    x = keras.layers.Bidirectional(keras.layers.GRU(3, name="gru"), name="both")(inner(inputs))
    x = keras.layers.Dropout(0.1, name="drop")(x)
    outputs = keras.layers.Dense(head, name=name)(x)
    return randomised(keras.Model(inputs, outputs))


def randomised(model: keras.Model) -> keras.Model:
    random = np.random.default_rng(5)
    for variable in model.weights:
        if "float" in str(variable.dtype):
            variable.assign(random.uniform(0.1, 0.9, variable.shape))
    return model


def old(head: int = 2) -> Any:
    """The same as tf_keras makes it."""
    layers = tf_keras.layers
    inner = tf_keras.Sequential(
        [layers.Input((4, 3)), layers.Conv1D(5, 2, name="conv"), layers.BatchNormalization(name="bn")], name="backbone"
    )
    inputs = layers.Input((4, 3), name="pixels")
    x = layers.Bidirectional(layers.GRU(3, name="gru"), name="both")(inner(inputs))
    return perturb(tf_keras.Model(inputs, layers.Dense(head, name="dense")(layers.Dropout(0.1, name="drop")(x))))


def write_json(model: Any, folder: Path) -> None:
    (folder / "model.json").write_text(model.to_json(), encoding="utf-8")


def loaded(folder: Path, file: str, more: str = "", architecture: str = "model.json") -> keras.Model:
    run(
        folder, f"load: {{architecture: {architecture}, weights: {file}{more}}}", "save: {path: out.keras, force: true}"
    )
    return load(folder / "out.keras")


def as_npz(model: keras.Model, path: Path, *, names: bool, compress: bool = False) -> None:
    arrays = [np.asarray(variable) for variable in model.weights if "seed" not in variable.path]
    paths = [variable.path for variable in model.weights if "seed" not in variable.path]
    write = np.savez_compressed if compress else np.savez
    write(path, **dict(zip(paths, arrays, strict=True))) if names else write(path, *arrays)


def as_safetensors(tensors: dict[str, np.ndarray], path: Path) -> None:
    kinds = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, array in tensors.items():
        data = np.ascontiguousarray(array).tobytes()
        place = [len(body), len(body) + len(data)]
        header[name] = {"dtype": kinds[array.dtype.name], "shape": list(array.shape), "data_offsets": place}
        body += data
    raw = json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + body)


def named(model: keras.Model, separator: str = "/") -> dict[str, np.ndarray]:
    pairs = [(variable.path, np.asarray(variable)) for variable in model.weights if "seed" not in variable.path]
    return {path.replace("/", separator): array for path, array in pairs}


INPUTS = np.linspace(-1, 1, 24, dtype="float32").reshape(2, 4, 3)


def test_the_weights_of_keras_3_go_by_path(tmp_path: Path):
    model = small()
    write_json(model, tmp_path)
    model.save_weights(tmp_path / "w.weights.h5")
    outcome = write_recipe(tmp_path, "load: {architecture: model.json, weights: w.weights.h5}", "save: out.keras").run()
    assert outcome.steps[0].notes == ("14 tensors for 4 layers, by_path, from HDF5 with groups of layers",)
    assert differences(model, load(tmp_path / "out.keras")) == []
    assert outcome.outputs[0].proof.identical == 14
    lock = json.loads((tmp_path / "out.keras.lock.json").read_text())
    assert sorted(lock["inputs"]) == ["model.json", "w.weights.h5"]


def test_layers_of_other_names_go_by_class_and_order_when_all_fits(tmp_path: Path):
    model = small()
    model.save_weights(tmp_path / "w.weights.h5")
    other = small(name="another")
    write_json(other, tmp_path)
    outcome = run(tmp_path, "load: {architecture: model.json, weights: w.weights.h5}", "save: out.keras")
    assert outcome.steps[0].notes[1] == "the file names layers otherwise: matched by class and order, as Keras does"
    assert_same_numbers(model, load(tmp_path / "out.keras"), INPUTS)


@pytest.mark.parametrize("file", ["m.keras", "m.h5"])
def test_a_whole_model_is_a_source_of_weights(file: str, tmp_path: Path):
    model = small()
    write_json(model, tmp_path)
    model.save(tmp_path / file)
    assert_same_numbers(model, loaded(tmp_path, file), INPUTS)


@pytest.mark.parametrize("file", ["m.keras", "m.h5"])
def test_a_model_file_gives_its_architecture_alone(file: str, tmp_path: Path):
    model, other = small(), small()
    for variable in other.weights:
        variable.assign(np.zeros(variable.shape))
    other.save(tmp_path / file)
    model.save_weights(tmp_path / "w.weights.h5")
    assert_same_numbers(model, loaded(tmp_path, "w.weights.h5", architecture=file), INPUTS)


def test_shards_are_one_file(tmp_path: Path):
    model = small()
    write_json(model, tmp_path)
    model.save_weights(tmp_path / "w.weights.json", max_shard_size=2.5e-7)
    assert len(list(tmp_path.glob("w_*.weights.h5"))) > 1
    assert_same_numbers(model, loaded(tmp_path, "w.weights.json"), INPUTS)
    lock = json.loads((tmp_path / "out.keras.lock.json").read_text())
    assert {"w.weights.json", "w_00000.weights.h5", "w_00001.weights.h5"} <= set(lock["inputs"])


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("compress", [True, False])
def test_arrays_of_numpy_go_by_name_or_by_order(names: bool, compress: bool, tmp_path: Path):
    model = small()
    write_json(model, tmp_path)
    as_npz(model, tmp_path / "w.npz", names=names, compress=compress)
    assert_same_numbers(model, loaded(tmp_path, "w.npz"), INPUTS)


def test_an_order_that_may_be_two_is_refused(tmp_path: Path):
    layers = keras.layers
    inner = keras.Sequential([layers.Input((3,)), layers.BatchNormalization(), layers.BatchNormalization()])
    model = keras.Sequential([layers.Input((3,)), inner])
    write_json(model, tmp_path)
    np.savez(tmp_path / "w.npz", *model.get_weights())
    error = refuse(tmp_path, "load: {architecture: model.json, weights: w.npz}", "save: out.keras")
    assert told(error).partition(": load")[2] == (
        f".weights: '{tmp_path}/w.npz' fits the architecture in two orders: a nested model's statistics may stand behind "
        "its other weights or not; write the weights with names"
    )


def test_bare_arrays_of_a_plain_chain_go_by_order(tmp_path: Path):
    layers = keras.layers
    model = randomised(
        keras.Sequential([layers.Input((3,)), layers.Dense(4), layers.BatchNormalization(), layers.Dense(2)])
    )
    write_json(model, tmp_path)
    np.savez(tmp_path / "w.npz", *model.get_weights())
    after = loaded(tmp_path, "w.npz")
    assert_same_numbers(model, after, INPUTS.reshape(8, 3))


@pytest.mark.parametrize("separator", ["/", "."])
def test_safetensors_go_by_name(separator: str, tmp_path: Path):
    model = small()
    write_json(model, tmp_path)
    as_safetensors(named(model, separator), tmp_path / "w.safetensors")
    assert_same_numbers(model, loaded(tmp_path, "w.safetensors"), INPUTS)


def test_numbers_of_another_type_are_cast_and_told(tmp_path: Path):
    model = small()
    write_json(model, tmp_path)
    tensors = {name: array.astype(ml_dtypes.bfloat16) for name, array in named(model).items()}
    as_safetensors(tensors, tmp_path / "w.safetensors")
    outcome = run(tmp_path, "load: {architecture: model.json, weights: w.safetensors}", "save: out.keras")
    assert "14 tensors in another type than the file's" in outcome.steps[0].notes
    kernel = np.asarray(load(tmp_path / "out.keras").get_layer("dense").kernel)
    assert np.array_equal(kernel, np.asarray(model.get_layer("dense").kernel).astype(ml_dtypes.bfloat16).astype("f4"))


def test_the_weights_of_keras_2_go_by_name(tmp_path: Path):
    model = old()
    write_json(model, tmp_path)
    model.save_weights(tmp_path / "w.h5")
    assert_same_numbers(model, loaded(tmp_path, "w.h5"), INPUTS)


def test_the_groups_of_keras_2_go_by_class_and_order(tmp_path: Path):
    model = old()
    write_json(model, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        (tmp_path / "w.weights.h5").write_bytes(archive.read("model.weights.h5"))
    assert_same_numbers(model, loaded(tmp_path, "w.weights.h5"), INPUTS)


def test_a_checkpoint_of_tensorflow_goes_by_its_objects(tmp_path: Path):
    model = old()
    write_json(model, tmp_path)
    model.save_weights(tmp_path / "ckpt", save_format="tf")
    assert_same_numbers(model, loaded(tmp_path, "ckpt"), INPUTS)
    assert_same_numbers(model, loaded(tmp_path, "ckpt.index"), INPUTS)
    assert_same_numbers(model, loaded(tmp_path, "ckpt", ", match: by_name"), INPUTS)


def test_an_architecture_of_yaml_is_read(tmp_path: Path):
    model = old()
    config = json.loads(model.to_json())
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    text = (tmp_path / "model.yaml").read_text().replace("batch_input_shape:\n", "batch_input_shape: !!python/tuple\n")
    (tmp_path / "model.yaml").write_text(text, encoding="utf-8")
    assert "!!python/tuple" in text
    model.save_weights(tmp_path / "w.h5")
    assert_same_numbers(model, loaded(tmp_path, "w.h5", architecture="model.yaml"), INPUTS)


def test_a_recipe_is_an_architecture_without_its_outputs(tmp_path: Path):
    model = small(head=3)
    small().save(tmp_path / "m.keras")
    (tmp_path / "net.yaml").write_text(
        "version: 1\nsteps:\n  - load: m.keras\n  - replace: {layers: dense, with: {class: Dense, config: {units: 3}}}\n"
        "  - save: never.keras\n"
    )
    model.save_weights(tmp_path / "w.weights.h5")
    after = loaded(tmp_path, "w.weights.h5", architecture="net.yaml")
    assert_same_numbers(model, after, INPUTS)
    assert not (tmp_path / "never.keras").exists()


def test_an_application_takes_weights_and_a_fresh_head(tmp_path: Path):
    arguments = {"input_shape": (32, 32, 3), "alpha": 0.35}
    model = randomised(keras.applications.MobileNetV2(weights=None, classes=7, **arguments))
    model.save_weights(tmp_path / "w.weights.h5")
    application = "{name: MobileNetV2, input_shape: [32, 32, 3], alpha: 0.35, classes: 5}"
    step = f"load: {{architecture: {application}, weights: w.weights.h5, fresh: predictions}}"
    plan = write_recipe(tmp_path, step, "save: out.keras").plan()
    assert plan.steps[0].is_unknown
    assert write_recipe(tmp_path, step, "save: out.keras").plan(exact=True).steps[0].notes[0].startswith("260 tensors")
    outcome = run(tmp_path, step, "save: out.keras")
    assert outcome.outputs[0].proof.fresh == 2
    after = load(tmp_path / "out.keras")
    assert differences(model, after)[0].startswith("~ predictions")
    assert {item.split("/")[0].split(".")[0] for item in differences(model, after)} == {"~ predictions"}


def test_an_architecture_alone_begins_with_fresh_weights(tmp_path: Path):
    write_json(small(), tmp_path)
    outcome = run(tmp_path, "load: {architecture: model.json}", "save: out.keras", head="seed: 4")
    assert outcome.steps[0].notes == ("fresh weights: no file is named",)
    first = load(tmp_path / "out.keras")
    run(tmp_path, "load: {architecture: model.json}", "save: {path: out.keras, force: true}", head="seed: 4")
    assert differences(first, load(tmp_path / "out.keras")) == []


def test_names_of_the_file_may_be_other_ones(tmp_path: Path):
    model = small()
    write_json(model, tmp_path)
    renamed = {"dense/": "classifier/out/", "backbone/conv/": "encoder/1/conv/"}
    tensors = named(model)
    for ours, theirs in renamed.items():
        tensors = {name.replace(ours, theirs): array for name, array in tensors.items()}
    tensors = {name.replace("/", "."): array for name, array in tensors.items()}
    assert {"classifier.out.kernel", "encoder.1.conv.kernel"} <= set(tensors)
    as_safetensors(tensors, tmp_path / "w.safetensors")
    more = ', map: {classifier.out: dense, "encoder.1.co*": "backbone/co*"}'
    assert_same_numbers(model, loaded(tmp_path, "w.safetensors", more), INPUTS)


def test_a_nested_model_takes_the_weights_of_one_that_stood_alone(tmp_path: Path):
    model = small()
    write_json(model, tmp_path)
    backbone = randomised(keras.models.clone_model(model.get_layer("backbone")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        backbone.save(tmp_path / "b.h5")
    run(tmp_path, "load: {architecture: model.json, weights: b.h5, fresh: {any: [both, dense]}}", "save: out.keras")
    after = load(tmp_path / "out.keras").get_layer("backbone")
    assert_same_numbers(backbone, after, INPUTS)


def test_hard_sigmoid_of_old_weights_keeps_its_meaning(tmp_path: Path):
    layers = tf_keras.layers
    inputs = layers.Input((4, 3))
    model = perturb(tf_keras.Model(inputs, layers.LSTM(3, recurrent_activation="hard_sigmoid", name="lstm")(inputs)))
    write_json(model, tmp_path)
    model.save_weights(tmp_path / "w.h5")
    assert_same_numbers(model, loaded(tmp_path, "w.h5"), INPUTS)


def test_all_that_does_not_fit_is_told_at_once(tmp_path: Path):
    small(head=3).save_weights(tmp_path / "w.weights.h5")
    with h5py.File(tmp_path / "w.weights.h5", "r+") as file:
        del file["layers/bidirectional"]
        group = file.create_group("layers/dense_1/vars")
        group.attrs["name"] = "other"
        group["0"] = np.zeros(2)
    write_json(small(), tmp_path)
    error = refuse(tmp_path, "load: {architecture: model.json, weights: w.weights.h5}", "save: out.keras")
    lines = error.message.splitlines()
    assert lines[0].endswith("does not fit the architecture (by_path):")
    assert lines[1].startswith("  it holds nothing for 'both' (backward_gru/gru_cell/kernel (5, 9), ")
    assert lines[2] == (
        "  it holds another shape for 'dense/kernel' ((6, 3) in the file, (6, 2) in the architecture), "
        "'dense/bias' ((3,) in the file, (2,) in the architecture)"
    )
    assert lines[3] == "  it holds for no layer 'layers/dense_1/vars/0'"
    assert error.hint == "rename with 'map', or name layers under 'fresh' and names of the file under 'ignore'"


def test_what_is_named_may_be_left(tmp_path: Path):
    model = small(head=3)
    model.save_weights(tmp_path / "w.weights.h5")
    with h5py.File(tmp_path / "w.weights.h5", "r+") as file:
        file["layers/dense_1/vars/0"] = np.zeros(2)
    write_json(small(), tmp_path)
    more = ", fresh: dense, ignore: [layers/dense_1]"
    outcome = run(
        tmp_path, f"load: {{architecture: model.json, weights: w.weights.h5{more}}}", "save: out.keras", head="seed: 1"
    )
    assert outcome.steps[0].notes == (
        "12 tensors for 3 layers, by_path, from HDF5 with groups of layers",
        "fresh weights: 'dense'",
        "left in the file: 'layers/dense_1/vars/0', 'layers/dense/vars/0', 'layers/dense/vars/1'",
    )
    assert outcome.outputs[0].proof.identical == 12


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (", ignore: [nothing*]", "load.ignore: 'FOLDER/w.weights.h5' holds nothing named 'nothing*'"),
        (", fresh: dens", "load.fresh.name: no layer matches name 'dens'; nearest layers: 'dense'"),
        (", map: {tail: dense}", "load.map.tail: no name in 'FOLDER/w.weights.h5' begins with 'tail'"),
        (", map: {dense: tail}", "load.map.dense: the architecture has no layer 'tail'"),
    ],
)
def test_a_name_that_names_nothing_is_refused(more: str, said: str, tmp_path: Path):
    model = small()
    write_json(model, tmp_path)
    model.save_weights(tmp_path / "w.weights.h5")
    error = refuse(tmp_path, f"load: {{architecture: model.json, weights: w.weights.h5{more}}}", "save: out.keras")
    assert told(error).partition(": ")[2] == said.replace("FOLDER", str(tmp_path))


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("load: {weights: w.h5}", "needs 'path', 'application' or 'architecture'; say which model"),
        ("load: {path: m.keras, weights: w.h5}", "load.weights: 'weights' belongs to an 'architecture'"),
        ("load: {architecture: m.json, fresh: head}", "load.fresh: 'fresh' speaks of weights, but no file is named"),
        (
            "load: {architecture: m.json, weights: w.h5, match: by_order, map: {a: b}}",
            "load.map: 'map' renames, but 'by_order' looks at no names; keep one",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(step: str, said: str, tmp_path: Path):
    assert told(refuse(tmp_path, step).problems[0]).endswith(said)


@pytest.mark.parametrize("file", ["w.weights.h5", "w.h5"])
@pytest.mark.parametrize(
    "name",
    ["residual", "attention_by_keyword", "attention_mask", "spectral_normalisation", "adapted_normalization"],
)
def test_layers_of_every_kind_get_their_weights(name: str, file: str, tmp_path: Path):
    model = zoo.ZOO[name]()
    write_json(model, tmp_path)
    if file == "w.h5":
        model.save(tmp_path / file)
    else:
        model.save_weights(tmp_path / file)
    assert differences(model, loaded(tmp_path, file)) == []


def test_a_plan_says_the_same_as_the_run(tmp_path: Path):
    model = small()
    write_json(model, tmp_path)
    model.save_weights(tmp_path / "w.weights.h5")
    recipe = write_recipe(tmp_path, "load: {architecture: model.json, weights: w.weights.h5}", "save: out.keras")
    plan, outcome = recipe.plan(), recipe.run()
    assert plan.steps[0].notes == outcome.steps[0].notes
    assert plan.steps[0].parameters == outcome.steps[0].parameters == 249
    assert plan.steps[0].target == "model.json with w.weights.h5"


def test_a_vocabulary_is_no_weight(tmp_path: Path):
    layers = keras.layers
    lookup = layers.StringLookup(name="lookup")
    lookup.adapt(np.array(["a", "b"]))
    inputs = layers.Input((1,), dtype="string")
    model = keras.Model(inputs, layers.Dense(2)(layers.Rescaling(1.0)(lookup(inputs))))
    config = json.loads(model.to_json())
    for layer in config["config"]["layers"]:
        layer["config"].pop("vocabulary", None)
    (tmp_path / "model.json").write_text(json.dumps(config))
    model.save_weights(tmp_path / "w.weights.h5")
    error = refuse(tmp_path, "load: {architecture: model.json, weights: w.weights.h5}", "save: out.keras")
    assert told(error).partition(" ")[2] == (
        "load.architecture: 'lookup' (StringLookup) has a vocabulary, which no file of weights holds; load the whole model "
        "file, or write the vocabulary into the architecture"
    )


def test_a_recipe_that_names_itself_is_refused(tmp_path: Path):
    small().save_weights(tmp_path / "w.weights.h5")
    error = refuse(tmp_path, "load: {architecture: recipe.yaml, weights: w.weights.h5}", "save: out.keras")
    assert "names itself as its architecture" in error.message


def test_a_recipe_that_is_an_architecture_imports_what_the_outer_one_names(tmp_path: Path):
    write_recipe(tmp_path, "load: {architecture: model.json}", head="imports: [json]", name="inner.yaml")
    model = small()
    (tmp_path / "model.json").write_text(model.to_json())
    steps = ("load: {architecture: inner.yaml}", "save: out.keras")
    assert told(refuse(tmp_path, *steps)).replace(f"{tmp_path}/", "") == (
        "3:26: load.architecture: 'inner.yaml' imports 'json', which this recipe does not; name it under imports here too"
    )
    run(tmp_path, *steps, head="imports: [json]", allow_code=True)
    assert load(tmp_path / "out.keras").to_json() == model.to_json()
