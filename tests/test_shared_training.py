"""Transfer from real, public models: their backbones under new heads, trained on the shipped digits or on noise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.running import write_recipe

if TYPE_CHECKING:
    from modelrecipe import Outcome

DIGITS = Path(__file__).resolve().parents[1] / "recipes" / "digits" / "digits.npz"
COLOUR = f"{{npz: {DIGITS}, x: {{key: [images, images, images], resize: [32, 32], scale: 16}}, y: labels, take: 320}}"
NOISE = "{npz: noise.npz, x: x, y: y}"
HEAD = "with: {class: Dense, config: {units: 10, activation: softmax}}, weights: fresh"

pytestmark = pytest.mark.slow


def grey(size: int, scale: float) -> str:
    """The digits as images of one channel."""
    x = f"{{key: images, shape: [8, 8, 1], resize: [{size}, {size}], scale: {scale}}}"
    return f"{{npz: {DIGITS}, x: {x}, y: labels, take: 320}}"


def transfer(shared_models: Path, folder: Path, name: str, edit: str, data: str, loss: str, head: str) -> Outcome:
    """A new head on a frozen backbone, one epoch; then all but BatchNormalization for another."""
    training = f"data: {data}, loss: {loss}, batch_size: 32"
    return write_recipe(
        folder,
        f"load: {shared_models / name}",
        edit,
        "freeze: '*'",
        f"unfreeze: {head}",
        f"train: {{{training}, epochs: 1, learning_rate: 0.01}}",
        "save: head.keras",
        "unfreeze: '*'",
        f"train: {{{training}, epochs: 1, learning_rate: 0.0001}}",
        "save: all.keras",
    ).run()


@pytest.mark.parametrize(
    ("name", "edit", "data", "head"),
    [
        ("mlperf_resnet8_cifar10.h5", f"replace: {{layers: dense, {HEAD}}}", COLOUR, "dense"),
        ("sudoku_digits.keras", f"replace: {{layers: dense, {HEAD}}}", grey(28, 0.0625), "dense"),
        (
            "stm_yamnet256_backbone.h5",
            "insert: {after: {last: 1}, layer: {class: Dense, name: head, config: {units: 10, activation: softmax}}}",
            NOISE,
            "head",
        ),
    ],
    ids=["resnet8", "digits", "yamnet"],
)
def test_a_new_head_learns_on_a_backbone_that_stays_still(
    name: str, edit: str, data: str, head: str, shared_models: Path, tmp_path: Path
):
    drawn = np.random.default_rng(0)
    np.savez(tmp_path / "noise.npz", x=drawn.standard_normal((64, 96, 64, 1), np.float32), y=drawn.integers(0, 10, 64))
    outcome = transfer(shared_models, tmp_path, name, edit, data, "sparse_categorical_crossentropy", head)
    first, second = (output.proof for output in outcome.outputs)
    assert first is not None
    assert second is not None
    assert (first.changed, first.fresh) == (0, 2)
    assert first.identical > second.identical > 0 or "batch_norm" not in str(outcome.steps)
    assert second.changed > 0
