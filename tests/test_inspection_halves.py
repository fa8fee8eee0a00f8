"""What `inspect` tells of half a model and of what is neither: every container, and one clear error."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import keras
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from rich.cells import cell_len

from modelrecipe.cli import main
from modelrecipe.errors import FileError, UsageError
from modelrecipe.inspection import inspect_file
from modelrecipe.report.inspection import render_inspection
from modelrecipe.selector import Selector
from tests.old_keras import tf_keras

if TYPE_CHECKING:
    from collections.abc import Callable


def small() -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [layers.Input((3,)), layers.Dense(4, name="first"), layers.Dense(2, name="second")], name="small"
    )


def old() -> Any:
    layers = tf_keras.layers
    return tf_keras.Sequential(
        [layers.Dense(4, input_shape=(3,), name="first"), layers.Dense(2, name="second")], name="small"
    )


def safetensors(path: Path) -> None:
    header, content = {}, b""
    for variable in small().weights:
        data = np.asarray(variable).tobytes()
        offsets = [len(content), len(content) + len(data)]
        header[variable.path] = {"dtype": "F32", "shape": list(variable.shape), "data_offsets": offsets}
        content += data
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)


def bare(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["first/kernel"] = np.zeros((3, 4), "float32")
        file["first/bias"] = np.zeros(4, "float32")


FILES: dict[str, Callable[[Path], Any]] = {
    "w.weights.h5": lambda path: small().save_weights(path),
    "w.weights.json": lambda path: small().save_weights(path, max_shard_size=1e-7),
    "old.h5": lambda path: old().save_weights(path),
    "bare.h5": bare,
    "named.npz": lambda path: np.savez(path, **{item.path: np.asarray(item) for item in small().weights}),
    "bare.npz": lambda path: np.savez(path, *(np.asarray(item) for item in small().weights)),
    "w.safetensors": safetensors,
    "ck.index": lambda path: old().save_weights(path.with_suffix(""), save_format="tf"),
    "m.json": lambda path: path.write_text(small().to_json()),
    "m.yaml": lambda path: path.write_text(yaml.safe_dump(json.loads(small().to_json()))),
    "old.json": lambda path: path.write_text(old().to_json()),
}


def make(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    FILES[name](folder / name)
    monkeypatch.chdir(folder)
    return Path(name)


@pytest.mark.parametrize(
    ("name", "container", "writer", "match", "first"),
    [
        ("w.weights.h5", "HDF5, weights only", "Keras 3", "by_path", ("layers/dense/vars/0", "first")),
        ("w.weights.json", "HDF5 in shards, weights only", "Keras 3", "by_path", ("layers/dense/vars/0", "first")),
        ("old.h5", "HDF5, weights only", f"Keras {tf_keras.__version__}", "by_name", ("first/first/kernel:0", None)),
        ("named.npz", "NumPy archive, weights only", None, "by_name", ("small/first/kernel", None)),
        ("bare.npz", "NumPy archive, weights only", None, "by_order", ("arr_0", None)),
        ("w.safetensors", "safetensors, weights only", None, "by_name", ("small/first/kernel", None)),
        ("ck.index", "TensorFlow checkpoint, weights only", None, "by_path", ("layer_with_weights-0/kernel", "first")),
    ],
)
def test_weights_are_listed_with_what_is_missing(
    name: str,
    container: str,
    writer: str | None,
    match: str,
    first: tuple[str, str | None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    found = inspect_file(make(tmp_path, name, monkeypatch))
    assert (found.kind, found.writer, found.match, found.totals.parameters) == ("weights", writer, match, 26)
    assert [(item.shape, item.dtype) for item in found.entries] == [
        (shape, "float32") for shape in ((3, 4), (4,), (4, 2), (2,))
    ]
    assert (found.entries[0].name, found.entries[0].label) == first
    assert found.missing == f"load: {{architecture: ..., weights: {name}}}"
    text = render_inspection(found, width=120)
    assert text.splitlines()[1].startswith(f"  {container}, ")
    assert f"an architecture is missing, which comes from elsewhere: {found.missing}\n" in text


def test_the_text_of_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = render_inspection(inspect_file(make(tmp_path, "w.weights.h5", monkeypatch)))
    size = text.splitlines()[1].split(", ")[2]
    assert text.splitlines() == [
        "w.weights.h5",
        f"  HDF5, weights only, {size}, written by Keras 3",
        "  4 tensors, 26 parameters",
        "  an architecture is missing, which comes from elsewhere: load: {architecture:",
        "  ..., weights: w.weights.h5}",
        "  its tensors find their layers by their place in the file",
        "",
        " tensor                 layer   shape   type",
        " layers/dense/vars/0    first   (3, 4)  float32",
        " layers/dense/vars/1    first   (4,)    float32",
        " layers/dense_1/vars/0  second  (4, 2)  float32",
        " layers/dense_1/vars/1  second  (2,)    float32",
    ]


def test_hdf5_that_is_no_work_of_keras_is_weights_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = inspect_file(make(tmp_path, "bare.h5", monkeypatch))
    assert (found.format, found.writer, found.match) == ("hdf5", None, "by_name")
    assert sorted(item.name for item in found.entries) == ["first/bias", "first/kernel"]
    assert "HDF5, weights only" in render_inspection(found)


def test_a_checkpoint_is_found_by_prefix_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    by_index = inspect_file(make(tmp_path, "ck.index", monkeypatch))
    assert inspect_file(Path("ck")).entries == by_index.entries
    assert inspect_file(tmp_path).entries == by_index.entries


@pytest.mark.parametrize("name", ["m.json", "m.yaml", "old.json"])
def test_an_architecture_is_listed_with_what_is_missing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = inspect_file(make(tmp_path, name, monkeypatch))
    assert (found.kind, found.type, found.name) == ("architecture", "Sequential", "small")
    assert [(facts.path, facts.parameters) for facts in found.layers][1:] == [("first", 16), ("second", 10)]
    assert found.layers[-1].outputs == ((None, 2),)
    assert found.missing == f"load: {{architecture: {name}, weights: ...}}"
    text = render_inspection(found, width=120)
    assert f"the weights are missing, which come from elsewhere or begin fresh: {found.missing}\n" in text
    assert f"  {'YAML' if name.endswith('yaml') else 'JSON'}, architecture only, " in text
    assert "not compiled" not in text
    assert [facts.path for facts in inspect_file(Path(name), Selector(name="sec*")).layers] == ["second"]


def test_an_old_architecture_names_its_writer_and_repairs(tmp_path: Path):
    data = json.loads(old().to_json())
    data["config"]["layers"][1]["config"]["groups"] = 1
    data |= {"class_name": "Sequential", "keras_version": "2.2.0", "config": data["config"]["layers"][1:]}
    (tmp_path / "m.json").write_text(json.dumps(data))
    found = inspect_file(tmp_path / "m.json")
    assert found.writer == "Keras 2.2.0"
    assert [item.repair for item in found.repairs][:1] == ["sequential-list"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("width", [40, 60, 80])
def test_no_line_is_too_wide(name: str, width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = render_inspection(inspect_file(make(tmp_path, name, monkeypatch)), width=width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    if width >= 60 and name in ("w.weights.h5", "ck.index"):
        assert "…" not in text


@pytest.mark.parametrize("name", FILES)
def test_all_is_there_as_data(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make(tmp_path, name, monkeypatch)
    done = CliRunner().invoke(main, ["inspect", name, "--json"])
    data = json.loads(done.stdout)
    assert done.exit_code == 0
    assert (data["file"], bool(data["layers"])) == (name, data["kind"] == "architecture")
    assert bool(data["entries"]) == (data["kind"] == "weights")


def test_weights_have_no_layers_to_select(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make(tmp_path, "w.weights.h5", monkeypatch)
    with pytest.raises(UsageError) as caught:
        inspect_file(Path("w.weights.h5"), Selector(name="first"))
    assert str(caught.value) == (
        "--layers: 'w.weights.h5' holds weights only, so there are no layers to select; leave it out"
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("w.weights.h5", "'cut' is truncated: its HDF5 part is longer than what is there"),
        ("old.h5", "'cut' is truncated: its HDF5 part is longer than what is there"),
        ("bare.npz", "'cut' is a truncated or damaged zip (file is not a zip file)"),
        ("m.json", "'cut' is not JSON ("),
        ("w.weights.json", "'cut' is not JSON ("),
    ],
)
def test_what_is_cut_off_is_one_error(name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    content = make(tmp_path, name, monkeypatch).read_bytes()
    Path("cut").write_bytes(content[: len(content) * 3 // 5])
    with pytest.raises(FileError) as caught:
        inspect_file(Path("cut"))
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"\0\1hello",
            "'x' is no model, no architecture and no file of weights; it begins with b'\\x00\\x01hello'; known are "
            ".keras, HDF5, SavedModel directories, JSON and YAML of Keras, .weights.json, .npz, safetensors and "
            "TensorFlow checkpoints",
        ),
        (b"", "'x' is empty"),
        (b'{"a": 1}', "'x' describes no Keras model: it has no 'class_name'"),
        (b"# Title\n\nSome words.\n", "'x' describes no Keras model: it is no mapping"),
        (b"version: 1\nsteps: []\n", "'x' is a recipe, not a model; a recipe takes its steps in with 'include: x'"),
    ],
)
def test_what_is_neither_half_is_one_error(content: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("x").write_bytes(content)
    with pytest.raises(FileError) as caught:
        inspect_file(Path("x"))
    assert str(caught.value) == said


def test_a_zip_with_a_damaged_architecture_is_not_taken_for_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    small().save("m.keras")
    with zipfile.ZipFile("m.keras") as source, zipfile.ZipFile("other.keras", "w") as target:
        for name in source.namelist():
            target.writestr(name, b"{" if name == "config.json" else source.read(name))
    with pytest.raises(FileError, match=r"config\.json"):
        inspect_file(Path("other.keras"))
