"""`convert`: any model file in, one that plain Keras opens out, and the recipe that did it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from modelrecipe.cli import main
from modelrecipe.conversion import conversion_recipe
from tests.old_keras import assert_same_numbers, perturb, tf_keras, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def old() -> tf_keras.Model:
    layers = tf_keras.layers
    source = layers.Input((6, 6, 3), name="image")
    shown = layers.SeparableConv2D(4, 3, name="conv/1", activation="hard_sigmoid")(source)
    return perturb(tf_keras.Model(source, layers.Dense(2)(layers.Flatten()(shown))))


@pytest.fixture
def folder(tmp_path: Path, old: tf_keras.Model, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(old, tmp_path / "old.h5")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def convert(*arguments: str):
    return CliRunner().invoke(main, ["convert", *arguments])


def test_an_old_file_becomes_one_that_keras_3_opens_with_the_same_numbers(folder: Path, old: tf_keras.Model):
    result = convert("old.h5", "new.keras")
    assert result.exit_code == 0
    images = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype("float32")
    assert_same_numbers(old, keras.saving.load_model(folder / "new.keras"), images)


@pytest.mark.usefixtures("folder")
def test_the_recipe_is_printed_and_the_repairs_are_told():
    text = convert("old.h5", "new.keras").stdout
    assert text.startswith(
        'version: 1\nname: "convert old.h5"\nsteps:\n  - load: old.h5\n  - check: {finite: true}\n  - save: new.keras\n'
    )
    assert "· 3 repairs: removed-arguments (conv/1), slash-names (conv/1)," in text
    assert "hard-sigmoid (conv_1)" in " ".join(text.split())


def test_the_lock_names_the_repairs(folder: Path):
    convert("old.h5", "new.keras")
    lock = json.loads((folder / "new.keras.lock.json").read_text())
    assert lock["inputs"]["old.h5"]["repairs"] == ["removed-arguments", "slash-names", "hard-sigmoid"]


@pytest.mark.usefixtures("folder")
def test_json_holds_the_recipe_and_the_outcome():
    found = json.loads(convert("old.h5", "new.keras", "--json").stdout)
    assert found["text"].startswith("version: 1\n")
    assert found["outputs"][0]["file"] == "new.keras"


def test_an_output_that_exists_needs_force(folder: Path):
    (folder / "new.keras").write_bytes(b"mine")
    refused = convert("old.h5", "new.keras")
    assert (refused.exit_code, (folder / "new.keras").read_bytes()) == (1, b"mine")
    assert "'new.keras' exists; pass --force" in refused.stderr
    assert convert("old.h5", "new.keras", "--force").exit_code == 0


@pytest.mark.parametrize("name", ["model.h5", "no", "- a.h5", "${x}.h5", "a: b.h5", "näme 1.h5", "5"])
def test_any_name_of_a_file_stands_in_the_recipe(tmp_path: Path, name: str):
    recipe, _ = conversion_recipe(tmp_path / name, tmp_path / "out.keras")
    assert recipe.steps[0].data == str(tmp_path / name)
