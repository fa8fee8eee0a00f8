"""The recipes on the page about old files do what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import keras
import numpy as np

from modelrecipe import load_recipe
from tests.old_keras import tf_keras, write
from tests.running import load

PAGE = Path(__file__).resolve().parents[1] / "docs" / "old_files.md"


def recipe_of(mark: str) -> str:
    """The YAML block behind the comment `<!-- mark -->`."""
    [found] = re.findall(rf"<!-- {mark} -->\n```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return found


def model() -> keras.Model:
    layers = keras.layers
    backbone = keras.Sequential([layers.Input((4, 3)), layers.Conv1D(2, 2, name="conv")], name="backbone")
    given = layers.Input((4, 3))
    hidden = layers.Dense(3, name="dense_1")(layers.Dense(5, name="dense_0")(backbone(given)))
    return keras.Model(given, layers.Dense(2, name="head")(hidden))


def test_weights_go_where_map_fresh_and_ignore_say(tmp_path: Path):
    (tmp_path / "model.json").write_text(model().to_json())
    random = np.random.default_rng(3)
    names = {
        "encoder.stem": (2, 3, 2),
        "block_0": (2, 5),
        "block_1": (5, 3),
        "classifier": (3, 9),
        "ema.classifier": (3, 9),
    }
    arrays = {f"{name}.kernel": random.random(shape, "float32") for name, shape in names.items()}
    arrays |= {f"{name}.bias": random.random(shape[-1:], "float32") for name, shape in names.items()}
    header, content = {}, b""
    for name, array in arrays.items():
        offsets = [len(content), len(content) + array.nbytes]
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": offsets}
        content += array.tobytes()
    text = json.dumps(header).encode()
    (tmp_path / "theirs.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + content)
    (tmp_path / "recipe.yaml").write_text(recipe_of("weights"))
    load_recipe(tmp_path / "recipe.yaml").run()
    after = load(tmp_path / "model.keras")
    places = {
        "encoder.stem": after.get_layer("backbone").get_layer("conv"),
        "block_0": after.get_layer("dense_0"),
        "block_1": after.get_layer("dense_1"),
    }
    for name, layer in places.items():
        assert np.array_equal(np.asarray(layer.kernel), arrays[f"{name}.kernel"])
        assert np.array_equal(np.asarray(layer.bias), arrays[f"{name}.bias"])


def test_a_layer_stands_for_python_code(tmp_path: Path):
    layers = tf_keras.layers
    given = layers.Input((4, 3))
    normalized = layers.Lambda(lambda x: x / 127.5 - 1, name="normalize")(given)
    old = tf_keras.Model(given, layers.Dense(2, name="out")(normalized))
    write(old, tmp_path / "driver.h5")
    (tmp_path / "recipe.yaml").write_text(recipe_of("replace"))
    load_recipe(tmp_path / "recipe.yaml").run()
    images = np.random.default_rng(3).integers(0, 256, (2, 4, 3)).astype("float32")
    after, before = load(tmp_path / "driver.keras")(images), old(images)
    assert float(np.abs(np.asarray(after) - np.asarray(before)).max()) <= 1.5e-5
