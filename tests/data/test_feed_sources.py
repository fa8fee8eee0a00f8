"""Batches from images, TFRecord files, saved datasets and functions."""

from __future__ import annotations

import gzip
import itertools
from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
import tensorflow as tf

from modelrecipe.data import open_feed
from modelrecipe.errors import RecipeError
from tests.data.reading import said, spec, write_records
from tests.data.test_feed import assert_equal, assert_resumes, feeds, plain

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of PNG and JPEG files of several sizes."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for number, name in enumerate(("cat", "dog", "emu")):
        (folder / "img" / name).mkdir(parents=True)
        for place in range(3 + number):
            image = random.integers(0, 256, (6 + place, 9 - place, 3), np.uint8)
            encoded = tf.io.encode_jpeg(image) if place % 2 else tf.io.encode_png(image)
            (folder / "img" / name / f"{place}.{'jpg' if place % 2 else 'png'}").write_bytes(encoded.numpy())
    return folder


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ("", {}),
        (", color_mode: grayscale, interpolation: nearest, label_mode: categorical", {"color_mode": "grayscale", "interpolation": "nearest", "label_mode": "categorical"}),
        (", crop_to_aspect_ratio: true, interpolation: bicubic", {"crop_to_aspect_ratio": True, "interpolation": "bicubic"}),
        (", label_mode: none", {"label_mode": None}),
    ],
)  # fmt: skip
def test_images_are_those_of_keras(options: str, arguments: dict[str, object], pictures: Path):
    text = f"{{images: {{path: img, image_size: [5, 4]{options}}}, shuffle: false}}"
    wanted = keras.utils.image_dataset_from_directory(
        pictures / "img", image_size=(5, 4), shuffle=False, batch_size=4, verbose=False, **arguments
    )
    mine = plain(feeds(text, pictures).train.dataset(0))
    assert_equal([batch if len(batch) == 2 else batch[0] for batch in mine], plain(wanted))


def test_images_resume(pictures: Path):
    feed = feeds("{images: {path: img, image_size: [5, 4]}, validation: 0.25, stratified: true}", pictures).train
    assert feed.examples == 9
    assert_resumes(feed)


def test_classes_of_images_are_chosen_by_number(pictures: Path):
    feed = feeds("{images: {path: img, image_size: [2, 2]}, classes: [2, 0]}", pictures).train
    labels = [int(label) for _, y in plain(feed.dataset(0)) for label in y]
    assert (labels.count(0), labels.count(1)) == (5, 3)


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Eleven examples in two files."""
    examples = [
        {
            "image": tf.io.encode_png(np.full((3, 2, 1), number, np.uint8)).numpy(),
            "raw": np.full(2, number, "<i2").tobytes(),
            "values": np.array([number, number / 2], np.float32),
            "label": number % 3,
            "name": f"n{number}".encode(),
        }
        for number in range(11)
    ]
    write_records(tmp_path / "a.tfrecord", *examples[:4])
    write_records(tmp_path / "b.tfrecord", *examples[4:])
    return tmp_path


RECORDS = (
    "tfrecord: {files: '*.tfrecord', features: {image: {shape: [3, 2, 1], encoding: image},"
    " raw: {shape: [2], dtype: int16, encoding: raw}, values: {shape: [2]}, label: {dtype: int64}, name: {dtype: string}}}"
)


def test_records_are_read_by_where_they_lie(records: Path):
    feed = feeds(
        f"{{{RECORDS}, x: {{i: {{key: image, scale: 2}}, r: raw, v: values, n: name}}, y: label}}", records
    ).train
    assert (feed.examples, feed.batches) == (11, 3)
    assert_resumes(feed)
    for x, y in plain(feed.dataset(0)):
        number = x["r"][:, 0]
        np.testing.assert_array_equal(y, number % 3)
        np.testing.assert_array_equal(x["v"], np.stack([number, number / 2], -1).astype(np.float32))
        np.testing.assert_array_equal(x["i"][:, 2, 1, 0], number.astype(np.float32) * 2)
        assert x["n"].tolist() == [f"n{one}".encode() for one in number]


def test_tensorflow_reads_the_same_records(records: Path):
    theirs = tf.data.TFRecordDataset([str(records / "a.tfrecord"), str(records / "b.tfrecord")])
    wanted = [
        int(tf.io.parse_single_example(item, {"label": tf.io.FixedLenFeature((), tf.int64)})["label"])
        for item in theirs
    ]
    feed = feeds(f"{{{RECORDS}, x: values, y: label, shuffle: false}}", records).train
    assert [int(label) for _, y in plain(feed.dataset(0)) for label in y] == wanted


@pytest.mark.parametrize("kind", ["GZIP", "ZLIB"])
def test_compressed_records_give_the_same_batches(kind: str, records: Path):
    text = f"{{{RECORDS}, x: values, y: label, validation: 3}}"
    wanted = feeds(text, records)
    plain_file = records / "b.tfrecord"
    items = [item.numpy() for item in tf.data.TFRecordDataset(str(plain_file))]
    with tf.io.TFRecordWriter(str(plain_file), options=kind) as writer:
        for item in items:
            writer.write(item)
    found = feeds(text, records)
    assert found.summary.notes == ("unpacked into temporary files: 'b.tfrecord'",)
    assert_resumes(found.train)
    for one, other in zip(plain(found.train.dataset(1)), plain(wanted.train.dataset(1)), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_streams_of_compression_behind_each_other_are_one_file(records: Path):
    path = records / "b.tfrecord"
    whole = path.read_bytes()
    path.write_bytes(gzip.compress(whole[:100]) + gzip.compress(whole[100:]))
    assert feeds(f"{{{RECORDS}, x: values, y: label}}", records).train.examples == 11


def test_labels_of_records_are_read_where_they_choose(records: Path):
    found = feeds(f"{{{RECORDS}, x: values, y: label, classes: [2, 1], validation: 0.3, stratified: true}}", records)
    assert found.validation is not None
    assert (found.train.examples, found.validation.examples) == (5, 2)
    assert sorted(int(label) for _, y in plain(found.validation.dataset(0)) for label in y) == [0, 1]
    assert found.summary.tensors is not None
    assert found.summary.tensors[1].values is not None
    assert found.summary.tensors[1].values.counts == {0: 3, 1: 4}


@pytest.mark.parametrize("batched", [True, False])
def test_a_saved_dataset_is_read_as_it_is(batched: bool, tmp_path: Path):
    x = np.arange(13 * 2, dtype=np.float32).reshape(13, 2)
    data = tf.data.Dataset.from_tensor_slices((x, np.arange(13) % 4))
    (data.batch(5) if batched else data).save(str(tmp_path / "saved"))
    text = f"{{dataset: saved, batched: {str(batched).lower()}, validation: 3}}"
    found = feeds(text, tmp_path)
    assert found.validation is not None
    assert (found.train.examples, found.validation.examples) == (10, 3)
    numbers = [
        [int(row[0]) // 2 for one, _ in plain(feed.dataset(0)) for row in one]
        for feed in (found.train, found.validation)
    ]
    assert sorted(itertools.chain(*numbers)) == list(range(13))
    assert numbers[0] != sorted(numbers[0])
    assert_resumes(found.train)
    assert list(found.summary.digests()) == ["saved"]


def test_a_mapping_of_a_dataset_has_its_own_keys(tmp_path: Path):
    tf.data.Dataset.from_tensor_slices({"image": np.zeros((6, 2, 2)), "label": np.arange(6)}).save(
        str(tmp_path / "saved")
    )
    found = feeds("{dataset: saved, x: image, y: label, classes: [5, 1], shuffle: false}", tmp_path)
    ((x, y),) = plain(found.train.dataset(0))
    assert (x.dtype, y.tolist()) == (np.float32, [1, 0])
    with pytest.raises(RecipeError) as caught:
        feeds("{dataset: saved, x: imag}", tmp_path)
    assert said(caught.value, tmp_path) == ["x: there is no key 'imag'; did you mean 'image'?"]


CODE = """
import numpy as np
import tensorflow as tf

def arrays(count=6):
    return {"a": np.arange(count), "b": np.ones((count, 2))}, np.arange(count)

def dataset():
    return tf.data.Dataset.range(9).map(lambda n: (tf.cast(n, tf.float32)[None], n)).filter(lambda x, n: n != 4)

def endless():
    return tf.data.Dataset.range(9).repeat()

def broken():
    raise OSError("no network")
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delitem(__import__("sys").modules, "own_digits", raising=False)
    (tmp_path / "own_digits.py").write_text(CODE)
    return tmp_path


def test_a_function_gives_arrays_or_a_dataset(code: Path):
    found = feeds("{function: 'own_digits:arrays', arguments: {count: 7}, shuffle: false}", code, allow_code=True)
    assert found.summary.examples == 7
    x, y = plain(found.train.dataset(0))[0]
    assert (sorted(x), x["a"].tolist(), x["b"].shape, y.tolist()) == (["a", "b"], [0, 1, 2, 3], (4, 2), [0, 1, 2, 3])
    stream = feeds("{function: 'own_digits:dataset'}", code, allow_code=True).train
    assert stream.examples == 8
    assert_resumes(stream)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("own_digits:endless", "function: the dataset has no end; remove its repeat()"),
        ("own_digits:broken", "function: 'own_digits:broken' failed: OSError: no network"),
        ("own_digits:nothing", "function: the module 'own_digits' has no function 'nothing'"),
        ("no_digits:read", "function: the module 'no_digits' cannot be imported: No module named 'no_digits'; put it beside the recipe, or install it"),
    ],
)  # fmt: skip
def test_functions_that_give_nothing_are_refused(name: str, told: str, code: Path):
    with pytest.raises(RecipeError) as caught:
        feeds(f"{{function: '{name}'}}", code, allow_code=True)
    assert said(caught.value, code) == [told]


def test_no_function_runs_without_permission(code: Path):
    with pytest.raises(RecipeError) as caught:
        open_feed(spec("{function: 'own_digits:broken'}"), code, batch_size=2, seed=0)
    assert said(caught.value, code) == [
        "function: the data run Python code: they come from 'own_digits:broken'; pass --allow-code if you trust it"
    ]
