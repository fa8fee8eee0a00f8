"""`data:` as text: what it may say, and what contradicts itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

from modelrecipe.data import DataSource, TensorSpec
from tests.data.reading import spec, spec_problems


def test_a_tensor_is_a_key_columns_or_a_mapping():
    assert spec("{npz: d.npz, x: images}").x == TensorSpec(key="images")
    assert spec("{csv: d.csv, x: [a, b]}").x == ("a", "b")
    assert spec("{npz: d.npz, x: {key: images, shape: [8, 8, 1]}}").x == TensorSpec(key="images", shape=(8, 8, 1))
    assert spec("{csv: d.csv, x: {key: [a, b], scale: 2}}").x == TensorSpec(key=("a", "b"), scale=2.0)


def test_a_mapping_of_names_is_told_from_a_tensor():
    assert spec("{npz: d.npz, x: {left: a, right: {key: b, scale: 2}}}").x == {
        "left": TensorSpec(key="a"),
        "right": TensorSpec(key="b", scale=2.0),
    }
    # Inputs may be called like the keys of a tensor; the values decide.
    assert spec("{npz: d.npz, x: {scale: a, offset: b}}").x == {
        "scale": TensorSpec(key="a"),
        "offset": TensorSpec(key="b"),
    }


def test_validation_is_a_share_a_number_or_a_source():
    assert spec("{npz: d.npz, validation: 0.2}").validation == 0.2
    assert spec("{npz: d.npz, validation: 50}").validation == 50
    assert spec("{npz: d.npz, validation: {npz: t.npz}}").validation == DataSource(npz="t.npz")
    assert spec("{npz: d.npz, validation: t.npz}").validation == DataSource(npz="t.npz")


def test_a_validation_source_takes_over_what_it_does_not_say():
    own = spec("{npz: d.npz, x: a, y: b, validation: {npz: t.npz, y: c}}").validation_source()
    assert own == DataSource(npz="t.npz", x=TensorSpec(key="a"), y=TensorSpec(key="c"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "{x: a}",
            "needs a source of examples; write one of: npz, npy, csv, parquet, images, tfrecord, dataset, tfds, keras, function",
        ),
        ("{npz: a.npz, csv: b.csv}", "has both 'npz' and 'csv'; keep one"),
        ("{npz: a.npz, arguments: {n: 3}}", "'arguments' belong to a 'function'"),
        ("{npz: a.npz, batched: true}", "'batched' belongs to a 'dataset' or a 'function'"),
        (
            "{npz: a.npz, take: 1.5}",
            "1.5 is no share of the examples; write 2 for a number of examples, or a share below 1",
        ),
        ("{npz: a.npz, validation: 0}", "must be more than 0, not 0"),
        ("{npz: a.npz, classes: [1, 2, 1]}", "the class '1' is named twice; keep one"),
        ("{npz: a.npz, stratified: true}", "nothing is drawn; write take or validation"),
        (
            "{npz: a.npz, x: {key: a, one_hot: 3, scale: 2}}",
            "rows of 0 and 1 take no 'scale'; remove 'scale' or 'one_hot'",
        ),
        ("{npz: a.npz, x: {key: a, shap: [8, 8]}}", "unknown key 'shap'; did you mean 'shape'?"),
        (
            "{npz: a.npz, augment: [RandomFlipp]}",
            "unknown layer class 'RandomFlipp'; did you mean 'RandomFlip' or 'RandomCrop'?",
        ),
        (
            "{npz: a.npz, augment: [RandomRotation]}",
            "RandomRotation needs the argument 'factor'; add 'factor' to its config",
        ),
        (
            "{npz: a.npz, augment: [{class: RandomFlip, inherit: config}]}",
            "an augmenting layer has no predecessor to take from",
        ),
        ("{function: 'read'}", "must be a function, as package.module:name, not 'read'"),
        ("{keras: imdb}", None),
        ("{images: {path: a, image_size: [8]}}", None),
        (
            "{tfrecord: {files: a, features: {i: {shape: [8, 8], encoding: image}}}}",
            "an image has three sizes, with 1, 3 or 4 channels; write shape: [height, width, channels]",
        ),
        (
            "{tfrecord: {files: a, features: {i: {dtype: string, encoding: raw}}}}",
            "bytes cannot be read as string; write dtype: uint8",
        ),
        (
            "{tfrecord: {files: a, features: {i: {resize: nearest}}}}",
            "only an image can be resized; write encoding: image",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(text: str, told: str | None):
    found = [problem.told() for problem in spec_problems(text)]
    assert len(found) == 1
    if told is not None:
        assert found == [told]


def test_every_name_is_fetched_from_its_room():
    import modelrecipe.data

    assert all(callable(getattr(modelrecipe.data, name)) for name in modelrecipe.data.__all__)


def test_the_room_is_free_of_heavy_packages():
    code = (
        "import sys, modelrecipe.data.spec; words = 'numpy' in sys.modules\n"
        "from modelrecipe.data import check_against, describe, require_permission\n"
        "print(words, [name for name in ('keras', 'tensorflow', 'pandas', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "False []\n"
