"""What `inspect` tells of directories: an unzipped file, SavedModels with and without layers."""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras
import pytest
import tensorflow as tf

from modelrecipe.errors import FileError
from modelrecipe.inspection import inspect_file
from modelrecipe.report.inspection import render_inspection
from tests.old_keras import tf_keras, write


def old(path: Path) -> Path:
    """A small model as a SavedModel."""
    layers = tf_keras.layers
    return write(tf_keras.Sequential([layers.Dense(4, input_shape=(3,)), layers.Dense(2)]), path)


def test_an_unzipped_file_is_a_model(tmp_path: Path):
    keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)]).save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        archive.extractall(tmp_path / "folder")
    found = inspect_file(tmp_path / "folder")
    assert (found.kind, found.totals.parameters) == ("model", 8)
    assert "  unzipped Keras zip, " in render_inspection(found)


def test_a_saved_model_of_keras_is_a_model(tmp_path: Path):
    old(tmp_path / "saved")
    found = inspect_file(tmp_path / "saved")
    assert (found.kind, found.totals.parameters, found.obstacles) == ("model", 26, ())
    assert "  SavedModel directory, " in render_inspection(found)
    weights = inspect_file(tmp_path / "saved" / "variables")
    assert (weights.kind, weights.totals.parameters) == ("weights", 26)


class Sum(tf.Module):
    """A function without layers, of one tensor or of two."""

    def __init__(self, *, takes: int) -> None:
        super().__init__()
        spec = tf.TensorSpec((None, 2), tf.float32)
        self.sum = tf.function(lambda *given: tf.add_n(given), input_signature=[spec] * takes)


def test_a_saved_model_without_layers_is_one_opaque_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    module = Sum(takes=1)
    tf.saved_model.save(module, "saved", signatures=module.sum)
    found = inspect_file(Path("saved"))
    assert (found.format, [facts.type for facts in found.layers]) == ("tfsm", ["InputLayer", "TFSMLayer"])
    assert found.totals.parameters is None
    assert found.obstacles == (
        f"'saved' is a SavedModel of TensorFlow {tf.__version__} without Keras metadata: functions, no layers "
        "(signatures: 'serving_default'); take it in as one opaque layer with 'format: tfsm'",
        "'saved_model' (TFSMLayer) executes the graph of a SavedModel directory; pass --allow-code if you trust it",
    )


def test_a_saved_model_that_can_be_no_layer_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    module = Sum(takes=2)
    tf.saved_model.save(module, "saved", signatures=module.sum)
    with pytest.raises(FileError) as caught:
        inspect_file(Path("saved"))
    assert caught.value.hint == (
        "it cannot be taken in as one opaque layer either: 'saved': its signature 'serving_default' takes 2 tensors "
        "('given_0', 'given_1'), but a TFSMLayer gives one"
    )


def test_a_damaged_saved_model_is_one_error(tmp_path: Path):
    old(tmp_path / "saved")
    content = (tmp_path / "saved" / "saved_model.pb").read_bytes()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(content[:200])
    with pytest.raises(FileError, match=r"saved_model\.pb' is damaged: "):
        inspect_file(tmp_path / "saved")
