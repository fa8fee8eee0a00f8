"""Whether data fit a model and its loss, in words that say what to write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from modelrecipe.data import Port, check_against
from tests.data.reading import summary, write_arrays

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = (Port(name="image", shape=(None, 8, 8, 1)),)
HEAD = (Port(name="head", shape=(None, 5)),)
LABELS = "sparse_categorical_crossentropy"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    labels = np.arange(20) % 10
    rows = np.eye(5)[labels % 5]
    write_arrays(
        tmp_path / "d.npz",
        images=np.zeros((20, 8, 8), np.uint8),
        shaped=np.zeros((20, 8, 8, 1), np.uint8),
        small=np.zeros((20, 4, 4, 1), np.uint8),
        labels=labels,
        good=labels % 5,
        below=labels % 5 - 1,
        fraction=labels / 4,
        rows=rows,
        many=np.minimum(rows + np.eye(5)[(labels + 1) % 5], 1),
        wide=rows * 3,
        text=np.array(["a"] * 20),
    )
    return tmp_path


def told(folder: Path, text: str, loss: str | dict[str, str] | None = LABELS, inputs=IMAGE, outputs=HEAD) -> list[str]:
    found = check_against(summary(text, folder), inputs, outputs, loss)
    return [f"{'.'.join(map(str, error.at))}: {error.told()}" for error in found]


@pytest.mark.parametrize(
    ("x", "said"),
    [
        ("shaped", []),
        ("{key: images, shape: [8, 8, 1]}", []),
        ("{key: small, resize: [8, 8]}", []),
        ("images", ["x: 'images' gives (None, 8, 8), but input 'image' expects (None, 8, 8, 1); write shape: [8, 8, 1]"]),
        ("small", ["x: 'small' gives (None, 4, 4, 1), but input 'image' expects (None, 8, 8, 1); write resize: [8, 8]"]),
        ("labels", ["x: 'labels' gives (None,), but input 'image' expects (None, 8, 8, 1)"]),
        ("{imag: shaped}", ["x.imag: the model has no input 'imag'; did you mean 'image'?", "x: nothing feeds the input 'image'; name a tensor for it"]),
    ],
)  # fmt: skip
def test_inputs_are_compared_by_name_and_shape(folder: Path, x: str, said: list[str]):
    assert told(folder, f"{{npz: d.npz, x: {x}, y: good}}") == said


@pytest.mark.parametrize(
    ("loss", "y", "said"),
    [
        (LABELS, "good", []),
        ("SparseCategoricalCrossentropy", "{key: good, shape: [1]}", []),
        (LABELS, "labels", ["y: 'labels' reaches 9, but 'head' has 5 outputs; labels go from 0 to 4; 'classes' chooses and numbers them"]),
        (LABELS, "below", ["y: 'below' goes down to -1, but labels begin at 0; number them by 'classes'"]),
        (LABELS, "fraction", ["y: 'fraction' holds fractions, which are no labels; remove 'scale', or take another loss"]),
        (LABELS, "rows", ["y: 'rows' gives (None, 5), but labels for output 'head' are (None,); rows of shares take the loss categorical_crossentropy"]),
        (LABELS, "text", ["y: 'text' holds texts; number them: classes: [...]"]),
        ("categorical_crossentropy", "rows", []),
        ("categorical_crossentropy", "{key: good, one_hot: 5}", []),
        ("categorical_crossentropy", "good", ["y: 'good' gives (None,), but output 'head' is (None, 5); write one_hot: 5, or take the loss sparse_categorical_crossentropy"]),
        ("KLDivergence", "many", ["y: the rows of 'many' do not add up to 1, as kl_divergence takes them; take binary_crossentropy where several may be true"]),
        ("binary_crossentropy", "many", []),
        ("binary_crossentropy", "wide", ["y: 'wide' lies between 0 and 3, but binary_crossentropy takes 0 to 1; scale the targets, or take another loss"]),
        ("mse", "wide", []),
        ("mse", "fraction", ["y: 'fraction' gives (None,), but output 'head' is (None, 5)"]),
        ({"head": LABELS}, "labels", ["y: 'labels' reaches 9, but 'head' has 5 outputs; labels go from 0 to 4; 'classes' chooses and numbers them"]),
        (None, "labels", []),
    ],
)  # fmt: skip
def test_targets_are_compared_with_the_loss(folder: Path, loss: str | dict[str, str] | None, y: str, said: list[str]):
    assert told(folder, f"{{npz: d.npz, x: shaped, y: {y}}}", loss) == said


def test_grey_images_are_told_how_to_get_three_channels(folder: Path):
    port = Port(name="image", shape=(None, 32, 32, 3))
    assert told(folder, "{npz: d.npz, x: images, y: good}", inputs=[port]) == [
        "x: 'images' gives (None, 8, 8), but input 'image' expects (None, 32, 32, 3); write key: [images, images, images],"
        " resize: [32, 32] for three channels"
    ]


def test_several_inputs_must_have_names(folder: Path):
    two = (*IMAGE, Port(name="other", shape=(None, 5)))
    assert told(folder, "{npz: d.npz, x: shaped, y: good}", inputs=two) == [
        "x: the model has 2 inputs, 'image', 'other', but one tensor is given; write x: {image: ..., other: ...}"
    ]
    assert told(folder, "{npz: d.npz, x: {image: shaped}, y: good}", inputs=two) == [
        "x: nothing feeds the input 'other'; name a tensor for it"
    ]
    assert told(folder, "{npz: d.npz, x: {image: shaped, other: rows}, y: {head: good}}", inputs=two) == []


def test_a_last_size_of_one_makes_no_difference_to_a_loss(folder: Path):
    for shape, y in (((None,), "{key: good, shape: [1]}"), ((None, 1), "good"), ((None,), "good")):
        assert (
            told(folder, f"{{npz: d.npz, x: shaped, y: {y}}}", "mse", outputs=(Port(name="head", shape=shape),)) == []
        )


def test_a_loss_needs_a_target(folder: Path):
    assert told(folder, "{npz: d.npz, x: shaped}") == ["y: no 'y' is given; write y: {head: ...}"]


def test_types_are_compared(folder: Path):
    ids = (Port(name="ids", shape=(None, 5), dtype="int32"),)
    assert told(folder, "{npz: d.npz, x: rows, y: good}", inputs=ids) == [
        "x: 'rows' gives float32, but input 'ids' expects int32; write dtype: int32"
    ]
    words = (Port(name="words", shape=(None,), dtype="string"),)
    assert told(folder, "{npz: d.npz, x: labels, y: good}", inputs=words) == [
        "x: 'labels' holds int64, but input 'words' expects string"
    ]
    assert told(folder, "{npz: d.npz, x: text, y: good}", inputs=words) == []


def test_a_validation_source_is_compared_too(folder: Path):
    text = "{npz: d.npz, x: shaped, y: good, validation: {npz: d.npz, y: labels}}"
    assert told(folder, text) == [
        "validation.y: 'labels' reaches 9, but 'head' has 5 outputs; labels go from 0 to 4; 'classes' chooses and numbers them"
    ]
