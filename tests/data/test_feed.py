"""Batches from arrays: their order is a function of seed and epoch, and any epoch can be entered at any batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf

from modelrecipe.data import Feed, Feeds, open_feed
from modelrecipe.data.feed import rows
from modelrecipe.errors import RecipeError
from tests.data.reading import said, spec, write_arrays

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

COUNT = 23
IMAGES = np.arange(COUNT * 4, dtype=np.uint8).reshape(COUNT, 2, 2)
LABELS = np.arange(COUNT, dtype=np.int64) % 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_arrays(tmp_path / "d.npz", x=IMAGES, y=LABELS, wide=IMAGES.astype(float) / 3, weights=np.ones(COUNT))
    return tmp_path


def feeds(text: str, folder: Path, batch_size: int = 4, seed: int = 1, **options: Any) -> Feeds:
    return open_feed(spec(text), folder, batch_size=batch_size, seed=seed, **options)


def plain(data: Iterable[Any]) -> list[Any]:
    return [tf.nest.map_structure(lambda value: value.numpy(), batch) for batch in data]


def assert_equal(some: list[Any], others: list[Any]) -> None:
    assert len(some) == len(others)
    for one, other in zip(some, others, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def assert_resumes(feed: Feed) -> None:
    """Every epoch entered anywhere goes on with the bits that it would have had."""
    whole = plain(feed.dataset(2))
    assert len(whole) == feed.batches
    assert_equal(plain(feed.dataset(2)), whole)
    for start in (1, feed.batches - 1, feed.batches):
        data = feed.dataset(2, start=start)
        assert data.element_spec == feed.element_spec
        assert_equal(plain(data), whole[start:])


def seen(feed: Feed, epoch: int = 0) -> list[int]:
    """The first pixel of each example, which tells which one it is."""
    return [int(pixel) // 4 for batch in plain(feed.dataset(epoch)) for pixel in batch[0][:, 0, 0]]


@pytest.mark.parametrize("is_small", [True, False])
@pytest.mark.parametrize(
    "text",
    [
        "d.npz",
        "{npz: d.npz, x: {a: {key: x, shape: [4], scale: 0.1}, b: wide}, y: {key: y, one_hot: 3}, sample_weight: weights}",
        "{npz: d.npz, take: 0.7, stratified: true, classes: [2, 0]}",
        "{npz: d.npz, shuffle: false}",
    ],
)
def test_an_epoch_can_be_entered_at_any_batch(text: str, is_small: bool, folder: Path, monkeypatch: pytest.MonkeyPatch):
    small = plain(feeds(text, folder).train.dataset(2))
    monkeypatch.setattr(rows, "SMALL", rows.SMALL if is_small else 0)
    feed = feeds(text, folder).train
    assert_resumes(feed)
    assert_equal(plain(feed.dataset(2)), small)


def test_an_epoch_is_not_entered_behind_its_end(folder: Path):
    with pytest.raises(RecipeError) as caught:
        feeds("d.npz", folder).train.dataset(0, start=7)
    assert caught.value.told() == (
        "an epoch has 6 batches, so none can begin at batch 7; the data, or batch_size, may have changed"
    )


def test_every_epoch_has_every_example_in_another_order(folder: Path):
    feed = feeds("d.npz", folder).train
    orders = [seen(feed, epoch) for epoch in range(3)]
    assert [sorted(order) for order in orders] == [list(range(COUNT))] * 3
    assert len({tuple(order) for order in orders}) == 3
    assert (feed.examples, feed.batches) == (COUNT, 6)
    assert seen(feeds("d.npz", folder, seed=2).train) != orders[0]
    assert seen(feeds("d.npz", folder, batch_size=7).train) == orders[0]


def test_targets_stay_with_their_inputs(folder: Path):
    for x, y in plain(feeds("d.npz", folder).train.dataset(1)):
        np.testing.assert_array_equal(LABELS[x[:, 0, 0] // 4], y)
        np.testing.assert_array_equal(IMAGES[x[:, 0, 0] // 4], x)


def test_without_shuffling_the_order_is_that_of_the_source(folder: Path):
    assert seen(feeds("{npz: d.npz, shuffle: false}", folder).train, epoch=5) == list(range(COUNT))


def test_validation_is_apart_and_in_order(folder: Path):
    found = feeds("{npz: d.npz, validation: 0.3}", folder)
    assert found.validation is not None
    own = seen(found.validation)
    assert own == sorted(own) == seen(found.validation, epoch=4)
    assert sorted([*own, *seen(found.train)]) == list(range(COUNT))
    other = feeds("{npz: d.npz, validation: 0.3}", folder, batch_size=9).validation
    assert other is not None
    assert seen(other) == own
    assert (found.summary.examples, found.summary.validation_examples) == (16, 7)


def test_validation_may_come_from_elsewhere(folder: Path):
    write_arrays(folder / "test.npz", x=IMAGES[::2], y=LABELS[::2])
    found = feeds("{npz: d.npz, take: 5, classes: [0, 2], validation: test.npz}", folder)
    assert found.validation is not None
    assert found.train.examples == 5
    assert seen(found.validation) == [number for number in range(0, COUNT, 2) if LABELS[number] != 1]
    assert {int(label) for _, y in plain(found.validation.dataset(0)) for label in y} == {0, 1}


def test_a_remainder_may_be_left_out_of_training(folder: Path):
    found = feeds("{npz: d.npz, validation: 3}", folder, batch_size=8, drop_remainder=True)
    assert found.validation is not None
    assert found.train.element_spec[0].shape.as_list() == [8, 2, 2]
    assert [len(y) for _, y in plain(found.train.dataset(0))] == [8, 8]
    assert [len(y) for _, y in plain(found.validation.dataset(0))] == [3]
    assert_resumes(found.train)


def test_tensors_become_what_describe_says(folder: Path):
    text = (
        "{npz: d.npz, x: {key: x, shape: [2, 2, 1], resize: [3, 5], scale: 0.5, offset: -1}, y: {key: y, one_hot: 4}}"
    )
    found = feeds(text, folder)
    assert found.summary.tensors is not None
    for tensor, part in zip(found.summary.tensors, found.train.element_spec, strict=True):
        assert (tensor.shape, tensor.dtype) == (tuple(part.shape.as_list()), part.dtype.name)
    x, y = plain(found.train.dataset(0))[0]
    assert (x.shape, y.shape) == ((4, 3, 5, 1), (4, 4))
    wide = feeds("{npz: d.npz, x: {key: wide, scale: 3, offset: 1}, shuffle: false}", folder).train
    np.testing.assert_array_equal(
        plain(wide.dataset(0))[0][0], (IMAGES / 3)[:4].astype(np.float32) * np.float32(3) + np.float32(1)
    )


def test_columns_are_stacked(tmp_path: Path):
    pytest.importorskip("pandas")
    (tmp_path / "t.csv").write_text("a,b,kind\n1,2.5,cat\n3,4.5,dog\n5,6.5,cat\n")
    feed = feeds("{csv: t.csv, x: [a, b], y: kind, classes: [dog, cat], shuffle: false}", tmp_path).train
    ((x, y),) = plain(feed.dataset(0))
    np.testing.assert_array_equal(x, np.array([[1, 2.5], [3, 4.5], [5, 6.5]], np.float32))
    assert y.tolist() == [1, 0, 1]


def test_a_grey_image_is_stacked_to_three_channels(tmp_path: Path):
    images = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4)
    write_arrays(tmp_path / "d.npz", images=images, y=np.arange(2))
    text = "{npz: d.npz, x: {key: [images, images, images], dtype: float32}, shuffle: false}"
    ((x, _),) = plain(feeds(text, tmp_path).train.dataset(0))
    np.testing.assert_array_equal(x, np.stack([images] * 3, -1).astype(np.float32))


def test_texts_and_mapped_files_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    np.save(tmp_path / "x.npy", np.array(["a", "bc", "def"]))
    np.save(tmp_path / "y.npy", np.arange(3, dtype=">i4"))
    text = "{npy: {x: x.npy, y: y.npy}, shuffle: false}"
    for small in (rows.SMALL, 0):
        monkeypatch.setattr(rows, "SMALL", small)
        ((x, y),) = plain(feeds(text, tmp_path).train.dataset(0))
        assert (x.tolist(), y.tolist()) == ([b"a", b"bc", b"def"], [0, 1, 2])


def test_inputs_that_are_not_finite_are_refused(tmp_path: Path):
    x = np.ones((5, 3), np.float32)
    x[2, 1] = np.inf
    write_arrays(tmp_path / "d.npz", x=x, y=np.arange(5))
    with pytest.raises(RecipeError) as caught:
        feeds("{npz: d.npz, validation: {npz: d.npz}}", tmp_path)
    assert said(caught.value, tmp_path) == [
        "x: 'x' holds 1 number that is not finite, the first in example 2; mend the data, or leave the examples out"
    ]


def test_a_batch_must_be_filled_once(folder: Path):
    with pytest.raises(RecipeError) as caught:
        feeds("{npz: d.npz, take: 3}", folder, drop_remainder=True)
    assert said(caught.value, folder) == [": 3 examples fill no batch of 4; write a smaller batch_size"]
