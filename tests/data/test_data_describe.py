"""`describe`: what data are without TensorFlow, and everything that is wrong with them at once."""

from __future__ import annotations

import gzip
import re
import shutil
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
from blake3 import blake3

from modelrecipe.data import arrays, require_permission, survey
from modelrecipe.errors import LanguageError
from tests.data.reading import refused, spec, summary, write_arrays, write_records

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = np.arange(10 * 4, dtype=np.uint8).reshape(10, 2, 2)
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0], np.uint8)
PNG = b"\x89PNG\r\n\x1a\nrest"


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    write_arrays(tmp_path / "digits.npz", images=IMAGES, labels=LABELS, weights=np.ones(10), note="text")
    return tmp_path


def test_counts_shapes_types_and_labels(digits: Path):
    found = summary(
        "{npz: digits.npz, x: {key: images, shape: [2, 2, 1], scale: 0.1}, y: labels, validation: 0.2}", digits
    )
    assert (found.examples, found.validation_examples) == (8, 2)
    assert found.tensors is not None
    x, y = found.tensors
    assert (x.role, x.name, x.key, x.shape, x.dtype, x.values) == (
        "x",
        None,
        "'images'",
        (None, 2, 2, 1),
        "float32",
        None,
    )
    assert (y.role, y.shape, y.dtype, y.at) == ("y", (None,), "uint8", ("y",))
    assert y.values is not None
    assert (y.values.lowest, y.values.highest, y.values.counts) == (0, 2, {0: 4, 1: 3, 2: 3})


def test_classes_are_numbered_in_their_order(digits: Path):
    found = summary("{npz: digits.npz, x: images, y: labels, classes: [2, 0]}", digits)
    assert found.examples == 7
    assert found.tensors is not None
    assert found.tensors[1].dtype == "int32"
    assert found.tensors[1].values is not None
    assert found.tensors[1].values.counts == {0: 3, 1: 4}


def test_rows_of_one_hot_labels_are_shares(digits: Path):
    found = summary("{npz: digits.npz, x: images, y: {key: labels, one_hot: 3}}", digits)
    assert found.tensors is not None
    assert (found.tensors[1].shape, found.tensors[1].dtype) == ((None, 3), "float32")
    assert found.tensors[1].values is not None
    assert found.tensors[1].values.is_share


def test_the_keys_x_and_y_need_no_mention(tmp_path: Path):
    write_arrays(tmp_path / "d.npz", x=IMAGES, y=LABELS, sample_weight=np.ones(10))
    found = summary("d.npz", tmp_path)
    assert found.tensors is not None
    assert [item.role for item in found.tensors] == ["x", "y", "sample_weight"]


def test_several_inputs_and_outputs_have_names(digits: Path):
    found = summary("{npz: digits.npz, x: {a: images, b: labels}, y: {c: labels, d: weights}}", digits)
    assert found.tensors is not None
    assert [(item.role, item.name) for item in found.tensors] == [("x", "a"), ("x", "b"), ("y", "c"), ("y", "d")]


def test_a_validation_source_has_its_own_count(digits: Path):
    write_arrays(digits / "test.npz", images=IMAGES[:3], labels=LABELS[:3])
    found = summary("{npz: digits.npz, x: images, y: labels, take: 5, validation: test.npz}", digits)
    assert (found.examples, found.validation_examples) == (5, 3)
    assert list(found.digests()) == ["digits.npz", "test.npz"]


def test_files_in_folders_are_npy(tmp_path: Path):
    np.save(tmp_path / "a.npy", IMAGES)
    np.save(tmp_path / "b.npy", LABELS)
    found = summary("{npy: {x: a.npy, y: b.npy}}", tmp_path)
    assert found.examples == 10
    assert sorted(found.digests()) == ["a.npy", "b.npy"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_have_columns(kind: str, tmp_path: Path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"a": [1, 2, 3], "b": [0.5, 1.5, 2.5], "kind": ["cat", "dog", "cat"], "name": ["u", "v", "w"]}
    )
    path = tmp_path / f"t.{kind}"
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    found = summary(f"{{{kind}: t.{kind}, x: {{table: [a, b], text: name}}, y: kind, classes: [dog, cat]}}", tmp_path)
    assert found.tensors is not None
    assert [(item.key, item.shape, item.dtype) for item in found.tensors] == [
        ("'a', 'b'", (None, 2), "float32"),
        ("'name'", (None,), "string"),
        ("'kind'", (None,), "int32"),
    ]
    assert found.tensors[2].values is not None
    assert found.tensors[2].values.counts == {0: 1, 1: 2}
    assert refused(f"{{{kind}: t.{kind}, x: [a, c]}}", tmp_path) == [
        "x: there is no column 'c'; it has: a, b, kind, name"
    ]


def test_a_gap_in_a_table_is_refused(tmp_path: Path):
    pytest.importorskip("pandas")
    (tmp_path / "t.csv").write_text("a,b\n1,x\n2,\n,z\n")
    assert refused("{csv: t.csv, x: a, y: b}", tmp_path) == [
        "y: 'b' holds nothing in row 1; fill it, or leave the row out"
    ]
    assert refused("{csv: t.csv, x: b, y: a}", tmp_path) == [
        "y: 'a' holds 1 number that is not finite, the first in example 2; mend the data, or leave the examples out"
    ]


def test_a_folder_of_images_has_classes(tmp_path: Path):
    for name in ("b/2.png", "a/1.PNG", "b/deep/1.jpg", "a/note.txt", ".hidden/1.png"):
        (tmp_path / "img" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "img" / name).write_bytes(PNG)
    found = summary("{images: {path: img, image_size: [4, 5], color_mode: grayscale}}", tmp_path)
    assert (found.examples, found.class_names) == (3, ("a", "b"))
    assert found.tensors is not None
    assert [(item.shape, item.dtype) for item in found.tensors] == [((None, 4, 5, 1), "float32"), ((None,), "int32")]
    assert found.tensors[1].values is not None
    assert found.tensors[1].values.counts == {0: 1, 1: 2}
    assert list(found.digests()) == ["img"]
    shapes = {
        mode: summary(f"{{images: {{path: img, label_mode: {mode}}}}}", tmp_path).tensors
        for mode in ("categorical", "binary", "none")
    }
    assert [[item.shape for item in tensors[1:]] for tensors in shapes.values() if tensors] == [
        [(None, 2)],
        [(None, 1)],
        [],
    ]


def test_classes_of_a_folder_may_be_named(tmp_path: Path):
    for name in ("train/cat/1.png", "train/dog/1.png", "train/emu/1.png", "val/cat/1.png", "val/emu/1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(PNG)
    found = summary("{images: {path: train}, classes: [emu, cat], validation: {images: {path: val}}}", tmp_path)
    assert (found.examples, found.validation_examples, found.class_names) == (2, 2, ("emu", "cat"))
    assert refused("{images: {path: train}, classes: [emu, cta]}", tmp_path) == [
        "classes.1: there is no class 'cta'; did you mean 'cat'?"
    ]
    assert refused("{images: {path: train}, validation: {images: {path: val}}}", tmp_path) == [
        "validation: the classes for validation are cat, emu, but those for training cat, dog, emu; write classes: [...] with the names that both have"
    ]


def test_records_are_counted_by_their_headers(tmp_path: Path):
    for part in range(2):
        write_records(tmp_path / f"d-{part}.tfrecord", *({"x": np.ones(4, np.float32), "y": n} for n in range(3)))
    text = "{tfrecord: {files: 'd-*.tfrecord', features: {x: {shape: [4]}, y: {dtype: int64}}}, validation: 2}"
    found = summary(text, tmp_path)
    assert (found.examples, found.validation_examples) == (4, 2)
    assert found.tensors is not None
    assert [(item.shape, item.dtype) for item in found.tensors] == [((None, 4), "float32"), ((None,), "int64")]
    assert list(found.digests()) == ["d-0.tfrecord", "d-1.tfrecord"]


def test_what_keras_ships_is_known_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    found = summary("{keras: {name: cifar10, split: test}, validation: 0.1}", tmp_path)
    assert (found.examples, found.validation_examples) == (9000, 1000)
    assert found.notes == ("'cifar10' is downloaded by Keras when it is first read",)
    assert found.tensors is not None
    assert found.tensors[1].values is not None
    assert found.tensors[1].values.highest == 9


def test_what_only_tensorflow_can_tell_is_left_open(tmp_path: Path):
    found = summary("{function: 'mine:read'}", tmp_path)
    assert (found.examples, found.validation_examples, found.tensors) == (None, None, None)


def test_a_function_needs_permission():
    require_permission(spec("{npz: d.npz}"), allow_code=False)
    require_permission(spec("{function: 'mine:read'}"), allow_code=True)
    with pytest.raises(LanguageError) as caught:
        require_permission(spec("{npz: d.npz, validation: {function: 'mine:read'}}"), allow_code=False)
    assert (
        caught.value.told() == "the data run Python code: they come from 'mine:read'; pass --allow-code if you trust it"
    )
    assert caught.value.at == ("validation", "function")


# Digests


def test_a_digest_is_of_names_and_content(tmp_path: Path):
    for name in ("a/1.png", "b/1.png"):
        (tmp_path / "img" / name).parent.mkdir(parents=True)
        (tmp_path / "img" / name).write_bytes(PNG)
    text = "{images: {path: img}}"
    (first,) = summary(text, tmp_path).digests().values()
    assert first == "eb106849a1f98e3b8f754a54cdf261ca4b0f56a819166d998446c9be98b152df"
    (tmp_path / "img" / "b" / "note.txt").write_text("not read")
    assert list(summary(text, tmp_path).digests().values()) == [first]
    shutil.copytree(tmp_path / "img", tmp_path / "elsewhere" / "img")
    assert list(summary(text, tmp_path / "elsewhere").digests().values()) == [first]
    (tmp_path / "img" / "b" / "1.png").rename(tmp_path / "img" / "b" / "2.png")
    (renamed,) = summary(text, tmp_path).digests().values()
    (tmp_path / "img" / "b" / "2.png").write_bytes(PNG + b"!")
    (changed,) = summary(text, tmp_path).digests().values()
    assert len({first, renamed, changed}) == 3


def test_a_digest_is_of_content_and_read_once(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.arange(3))
    found = summary("{npy: {x: a.npy}}", tmp_path)
    digest = found.digests()
    assert digest == {"a.npy": blake3((tmp_path / "a.npy").read_bytes()).hexdigest()}
    (tmp_path / "a.npy").unlink()
    assert found.digests() == digest


# Refusals


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{npz: digit.npz, x: images}", "npz: 'digit.npz' does not exist; did you mean 'digits.npz'?"),
        ("{npz: digits.npz}", "x: nothing says which tensor is the input; write x: one of images, labels, weights"),
        ("{npz: digits.npz, x: image}", "x: there is no key 'image'; did you mean 'images'?"),
        ("{npz: digits.npz, x: images, y: {head: label}}", "y.head: there is no key 'label'; did you mean 'labels'?"),
        ("{npz: digits.npz, x: note}", "x: 'note' is a single value, not one for each example; name another key"),
        ("{npz: digits.npz, x: {key: images, shape: [3, 1]}}", "x.shape: 'images' has 4 numbers in each example, but (3, 1) has 3; its shape is (2, 2)"),
        ("{npz: digits.npz, x: {key: images, resize: [4, 4]}}", "x.resize: 'images' gives (None, 2, 2), but images are (None, height, width, channels); write shape: [height, width, channels]"),
        ("{npz: digits.npz, x: {key: [labels, images]}}", "x: 'images' cannot be stacked: its examples are of (2, 2), but 'labels' of ()"),
        ("{npz: digits.npz, x: images, y: {key: labels, one_hot: 2}}", "y.one_hot: 'labels' reaches 2, but one_hot is 2; write one_hot: 3"),
        ("{npz: digits.npz, x: images, y: {key: weights, one_hot: 2}}", "y.one_hot: 'weights' holds float64, but rows of 0 and 1 are made of whole numbers; remove 'one_hot', or name the labels in 'classes'"),
        ("{npz: digits.npz, x: images, y: labels, classes: [1, 7]}", "classes: 'labels' has no example of '7'; it holds 0, 1, 2"),
        ("{npz: digits.npz, x: images, y: labels, classes: [one]}", "classes: 'labels' holds numbers, but 'classes' names 'one'"),
        ("{npz: digits.npz, x: images, classes: [1]}", "classes: 'classes' need one target with labels; write y: ..."),
        ("{npz: digits.npz, x: images, sample_weight: weights}", "sample_weight: weights without targets have no use; write y: ..."),
        ("{npz: digits.npz, x: images, y: labels, take: 11}", "take: 11 examples cannot be drawn from 10; write fewer"),
        ("{npz: digits.npz, x: images, y: labels, validation: 10}", "validation: 10 examples cannot be drawn from 10; validation leaves at least one for training"),
        ("{npz: digits.npz, x: images, y: labels, validation: 0.01}", "validation: 0.01 of 10 examples is none; write a larger share"),
        ("{npz: digits.npz, x: images, y: weights, take: 0.5, stratified: true}", "stratified: 'weights' holds fractions, which are no labels; remove 'stratified'"),
        ("{npz: digits.npz, x: images, y: {a: labels, b: labels}, take: 0.5, stratified: true}", "stratified: 'stratified' needs one target with labels; write stratified: one of a, b"),
        ("{npz: digits.npz, x: images, validation: {npz: other.npz}}", "validation.npz: 'other.npz' does not exist"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(text: str, told: str, digits: Path):
    assert refused(text, digits) == [told]


def test_all_problems_are_told_at_once(digits: Path):
    text = "{npz: digits.npz, x: image, y: {key: label}, validation: {npz: digits.npz, x: images, y: pixels}}"
    assert refused(text, digits) == [
        "x: there is no key 'image'; did you mean 'images'?",
        "y: there is no key 'label'; did you mean 'labels'?",
        "validation.y: there is no key 'pixels'; it has: images, labels, weights",
    ]


def test_lengths_must_agree(tmp_path: Path):
    write_arrays(tmp_path / "d.npz", x=IMAGES, y=LABELS[:-1])
    assert refused("d.npz", tmp_path) == ["y: 'y' has 9, but 'x' has 10 examples; name tensors that belong together"]


def test_no_examples_are_refused(tmp_path: Path):
    write_arrays(tmp_path / "d.npz", x=IMAGES[:0])
    assert refused("d.npz", tmp_path) == [": there are no examples"]


def test_targets_must_be_finite_and_weights_not_negative(tmp_path: Path):
    y = np.ones((10, 2))
    y[3], y[7, 1] = np.nan, np.inf
    write_arrays(tmp_path / "d.npz", x=IMAGES, y=y, z=LABELS, sample_weight=np.linspace(-1, 1, 10))
    assert refused("d.npz", tmp_path) == [
        "y: 'y' holds 3 numbers that are not finite, the first in example 3; mend the data, or leave the examples out"
    ]
    assert refused("{npz: d.npz, y: z}", tmp_path) == [
        "sample_weight: 'sample_weight' goes down to -1; weights are not below zero"
    ]


def test_nothing_is_unpickled(tmp_path: Path):
    write_arrays(tmp_path / "d.npz", x=np.array([{}, []], object), y=[1, 2])
    told = "'x' holds Python objects, which are never unpickled; save it as an array of numbers or texts"
    assert refused("d.npz", tmp_path) == [f"x: {told}"]
    np.save(tmp_path / "x.npy", np.array([{}, []], object))
    assert refused("{npy: {x: x.npy}}", tmp_path)[0].startswith("npy.x: 'x.npy' holds Python objects")
    assert summary("{npz: d.npz, x: y}", tmp_path).examples == 2


def test_what_is_no_array_is_refused(tmp_path: Path):
    (tmp_path / "d.npz").write_bytes(b"PK\x03\x04 nothing")
    (tmp_path / "e.npy").write_bytes(b"nothing at all")
    write_arrays(tmp_path / "c.npz", x=np.ones(3, complex))
    assert refused("d.npz", tmp_path) == [
        "npz: 'd.npz' is no NumPy archive: file is not a zip file; write one with numpy.savez"
    ]
    assert refused("{npy: {x: e.npy}}", tmp_path)[0].startswith("npy.x: 'e.npy' is no NumPy file: ")
    assert refused("c.npz", tmp_path) == [
        "x: 'x' holds complex128, which TensorFlow cannot train on; save it as plain numbers"
    ]


def test_sizes_are_not_believed(tmp_path: Path):
    write_arrays(tmp_path / "d.npz", x=IMAGES)
    with zipfile.ZipFile(tmp_path / "d.npz") as archive:
        content = archive.read("x.npy").replace(b"(10, 2, 2)", b"(99, 9, 9)")
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("x.npy", content)
    assert refused("d.npz", tmp_path) == [
        "npz: 'd.npz' is no NumPy archive: 'x' says that it has 8,019 bytes, but has 40; write one with numpy.savez"
    ]


def test_a_bomb_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(arrays, "_LARGE", 10_000)
    np.savez_compressed(tmp_path / "d.npz", x=np.zeros(1_000_000))
    (told,) = refused("d.npz", tmp_path)
    assert told.startswith("npz: 'x' of 'd.npz' would swell from ")
    assert told.endswith(" to 8,000,128 bytes; save it without compression")


def test_large_targets_are_read_only_when_they_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(survey, "_LARGE", 5)
    write_arrays(tmp_path / "d.npz", x=IMAGES, y=LABELS)
    for text, is_read in (("d.npz", False), ("{npz: d.npz, classes: [0, 1]}", True)):
        found = summary(text, tmp_path)
        assert found.tensors is not None
        assert (found.tensors[1].values is not None) is is_read


def test_folders_that_hold_no_images_are_refused(tmp_path: Path):
    text = "{images: {path: img}}"
    assert refused(text, tmp_path) == ["images: 'img' does not exist"]
    (tmp_path / "img").mkdir()
    assert refused(text, tmp_path) == [
        "images: 'img' has no sub-folders; put the images of each class into one of its own"
    ]
    (tmp_path / "img" / "a").mkdir()
    assert refused(text, tmp_path) == ["images: 'img' has no images; they end in .bmp, .gif, .jpeg, .jpg, .png"]
    (tmp_path / "img" / "a" / "1.png").write_bytes(b"text")
    assert refused(text, tmp_path) == [
        "images: 'img/a/1.png' is no BMP, GIF, JPEG or PNG image; remove it from the folder"
    ]
    (tmp_path / "img" / "a" / "1.png").write_bytes(PNG)
    assert refused("{images: {path: img, label_mode: binary}}", tmp_path) == [
        "images.label_mode: 'img' has 1 sub-folder, but two classes are asked for; write label_mode: int"
    ]


def test_damaged_records_are_refused(tmp_path: Path):
    path = tmp_path / "d.tfrecord"
    text = "{tfrecord: {files: d.tfrecord, features: {x: {dtype: int64}}}}"
    write_records(path, {"x": 1}, {"x": 2})
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    assert refused(text, tmp_path) == ["tfrecord: 'd.tfrecord' is cut off in record 1; write it anew"]
    path.write_bytes(b"\x1f\x8b" + whole)
    (found,) = refused(text, tmp_path)
    assert re.fullmatch(r"tfrecord: 'd.tfrecord' is damaged: Error -3 .*; write it anew", found)
    path.write_bytes(gzip.compress(whole)[:-9])
    assert refused(text, tmp_path) == ["tfrecord: 'd.tfrecord' is cut off; write it anew"]
    path.write_bytes(gzip.compress(whole[:-3]))
    assert refused(text, tmp_path) == ["tfrecord: 'd.tfrecord' is cut off in record 1; write it anew"]
    path.write_bytes(gzip.compress(b"hello" * 9))
    assert refused(text, tmp_path) == [
        "tfrecord: 'd.tfrecord' is no TFRecord file; write one with tf.io.TFRecordWriter"
    ]
    path.write_bytes(b"hello" * 9)
    assert refused(text, tmp_path) == [
        "tfrecord: 'd.tfrecord' is no TFRecord file; write one with tf.io.TFRecordWriter"
    ]
    write_records(path, {"label": 1})
    assert refused(text, tmp_path) == ["tfrecord.features.x: there is no feature 'x' in 'd.tfrecord'; it has: label"]
    path.write_bytes(b"")
    assert refused(text, tmp_path) == [": there are no examples"]
    assert refused("{tfrecord: {files: 'e-*', features: {x: {}}}}", tmp_path) == [
        "tfrecord.files: no file matches 'e-*'; mend the pattern"
    ]


def test_a_folder_without_a_saved_dataset_is_refused(tmp_path: Path):
    assert refused("{dataset: d}", tmp_path) == ["dataset: 'd' does not exist"]
    (tmp_path / "d").mkdir()
    assert refused("{dataset: d}", tmp_path) == [
        "dataset: 'd' holds no saved dataset; write one with tf.data.Dataset.save"
    ]


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    assert refused("{csv: t.csv, x: a}", tmp_path) == [
        "csv: 't.csv' is read by pandas, which is not installed; pip install 'modelrecipe[data]'"
    ]
    assert refused("{tfds: mnist}", tmp_path) == [
        "tfds: 'mnist' needs tensorflow_datasets, which is not installed; pip install tensorflow-datasets"
    ]
