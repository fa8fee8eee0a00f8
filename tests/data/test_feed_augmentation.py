"""Augmentation: random, but the same bits for the same seed, epoch and batch, wherever an epoch is entered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from modelrecipe.errors import RecipeError
from tests.data.reading import said, write_arrays
from tests.data.test_feed import assert_equal, assert_resumes, feeds, plain

if TYPE_CHECKING:
    from pathlib import Path

FLIP = "{class: RandomFlip, config: {mode: horizontal}}"
ROTATE = "{class: RandomRotation, config: {factor: 0.2}}"
ZOOM = "{class: RandomZoom, config: {height_factor: 0.3}}"
NOISE = "{class: GaussianNoise, config: {stddev: 0.5}}"
JITTER = "{class: RandomColorJitter, config: {value_range: [0, 255], brightness_factor: 0.3, hue_factor: 0.2}}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = np.random.default_rng(0).integers(0, 256, (22, 8, 8, 3), np.uint8)
    write_arrays(tmp_path / "d.npz", x=images, y=np.arange(22) % 2)
    return tmp_path


@pytest.mark.parametrize("layers", [f"{FLIP}, {ROTATE}, {ZOOM}", NOISE, JITTER])
def test_augmented_epochs_resume_to_the_same_bits(layers: str, folder: Path):
    text = f"{{npz: d.npz, augment: [{layers}], validation: 4}}"
    found = feeds(text, folder)
    assert_resumes(found.train)
    again = feeds(text, folder).train
    assert_equal(plain(again.dataset(1, start=2)), plain(found.train.dataset(1))[2:])


def test_epochs_batches_and_seeds_differ(folder: Path):
    def first(seed: int, epoch: int, batch: int) -> bytes:
        feed = feeds(
            f"{{npz: d.npz, x: {{key: x, scale: 0}}, shuffle: false, augment: [{NOISE}]}}", folder, seed=seed
        ).train
        return plain(feed.dataset(epoch))[batch][0].tobytes()

    places = [(1, 0, 0), (1, 0, 1), (1, 1, 0), (2, 0, 0)]
    assert len({first(*place) for place in places}) == 4


def test_validation_and_targets_are_left_alone(folder: Path):
    own = feeds(f"{{npz: d.npz, validation: 4, augment: [{FLIP}, {ROTATE}]}}", folder)
    bare = feeds("{npz: d.npz, validation: 4}", folder)
    assert own.validation is not None
    assert bare.validation is not None
    assert_equal(plain(own.validation.dataset(0)), plain(bare.validation.dataset(0)))
    mine, theirs = plain(own.train.dataset(0)), plain(bare.train.dataset(0))
    assert_equal([y for _, y in mine], [y for _, y in theirs])
    assert any((x != other).any() for (x, _), (other, _) in zip(mine, theirs, strict=True))


def test_one_of_several_inputs_is_augmented_by_name(folder: Path):
    text = f"{{npz: d.npz, x: {{a: x, b: x}}, y: y, shuffle: false, augment: {{a: [{NOISE}]}}}}"
    x, _ = plain(feeds(text, folder).train.dataset(0))[0]
    with np.load(folder / "d.npz") as data:
        np.testing.assert_array_equal(x["b"], data["x"][:4])
        assert (x["a"] != data["x"][:4]).any()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("augment: [{class: RandomCrop, config: {height: 4, width: 4}}]", "augment: the layers give (None, 4, 4, 3) for (None, 8, 8, 3), but validation has no augmentation; keep the shape"),
        ("augment: {image: [RandomInvert]}", "augment: the one input has no name; write augment: [...]"),
        ("x: {a: x}, augment: [RandomInvert]", "augment: the inputs have names: a; write augment: {a: [...]}"),
        ("x: {a: x}, augment: {b: [RandomInvert]}", "augment: the inputs have names: a; write augment: {a: [...]}"),
    ],
)  # fmt: skip
def test_layers_that_do_not_fit_are_refused(text: str, told: str, folder: Path):
    with pytest.raises(RecipeError) as caught:
        feeds(f"{{npz: d.npz, {text}}}", folder)
    assert said(caught.value, folder) == [told]
