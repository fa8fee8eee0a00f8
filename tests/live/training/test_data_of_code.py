"""Data of which only Python or TensorFlow can tell what they are: refused as others are, once they are opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from modelrecipe.errors import RecipeError
from tests.live.training.plain import network
from tests.running import OUTPUT, SOURCE, told, write_recipe

if TYPE_CHECKING:
    from pathlib import Path

CODE = """
import numpy as np
import tensorflow as tf

X = np.zeros((8, 5), "float32")

def too_many_labels():
    return X, np.arange(8) % 4

def too_narrow():
    return X[:, :3], np.arange(8) % 3

def stream_of_labels():
    return tf.data.Dataset.from_tensor_slices((X, np.arange(8) % 4))

def numbers():
    return X, np.zeros(8, "float32")
"""
LABELS = "loss: sparse_categorical_crossentropy"
OPENED = {
    "labels beyond the outputs": (
        f"train: {{data: {{function: 'many:too_many_labels'}}, {LABELS}, epochs: 1}}",
        "train.data.y: 'y' reaches 3, but 'last' has 3 outputs; labels go from 0 to 2; 'classes' chooses and numbers them",
    ),
    "another shape": (
        f"train: {{data: {{function: 'narrow:too_narrow'}}, {LABELS}, epochs: 1}}",
        "train.data.x: 'x' gives (None, 3), but input 'enter' expects (None, 5)",
    ),
    "targets that Keras would stretch": (
        "train: {data: {function: 'stretched:numbers'}, loss: mse, epochs: 1}",
        "train.data.y: 'y' gives (None,), but output 'last' is (None, 3)",
    ),
    "a metric of rows": (
        f"train: {{data: {{function: 'rows:numbers'}}, {LABELS}, metrics: CategoricalAccuracy, epochs: 1}}",
        "train.metrics: 'CategoricalAccuracy' takes targets (None, 3), but 'y' gives (None,);"
        " write SparseCategoricalAccuracy for labels",
    ),
    "labels that are measured": (
        f"evaluate: {{data: {{function: 'measured:too_many_labels'}}, {LABELS}}}",
        "evaluate.data.y: 'y' reaches 3, but 'last' has 3 outputs;"
        " labels go from 0 to 2; 'classes' chooses and numbers them",
    ),
    "labels that come one after the other": (
        f"train: {{data: {{function: 'stream:stream_of_labels'}}, {LABELS}, epochs: 1}}",
        "train.data.y: 'y' holds the label 3, but 'last' has 3 outputs;"
        " labels go from 0 to 2; 'classes' chooses and numbers them",
    ),
    "a label that comes in a later batch": (
        f"train: {{data: {{function: 'later:stream_of_labels', shuffle: false}}, batch_size: 2, {LABELS}, epochs: 1}}",
        "train.data.y: 'y' holds the label 3, but 'last' has 3 outputs;"
        " labels go from 0 to 2; 'classes' chooses and numbers them",
    ),
    "labels of a stream that are measured": (
        f"evaluate: {{data: {{function: 'seen:stream_of_labels'}}, {LABELS}}}",
        "evaluate.data.y: 'y' holds the label 3, but 'last' has 3 outputs;"
        " labels go from 0 to 2; 'classes' chooses and numbers them",
    ),
}


@pytest.mark.parametrize("name", OPENED)
def test_what_does_not_fit_is_refused_before_the_first_batch(name: str, tmp_path: Path):
    step, wanted = OPENED[name]
    module = step.partition("'")[2].partition(":")[0]
    (tmp_path / f"{module}.py").write_text(CODE, encoding="utf-8")
    network().save(tmp_path / SOURCE)
    with pytest.raises(RecipeError) as caught:
        write_recipe(tmp_path, f"load: {SOURCE}", step, f"save: {OUTPUT}").run(allow_code=True)
    assert not (tmp_path / OUTPUT).exists()
    assert told(caught.value).partition(": ")[2] == wanted
