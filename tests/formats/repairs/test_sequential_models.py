"""Sequential models as Keras before 2.2.3 wrote them, names with slashes, and initializers with a dtype."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from modelrecipe.formats import read_checkpoint
from tests.old_keras import assert_same_numbers, convert, perturb, tf_keras, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

layers = tf_keras.layers
IMAGES = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype("float32")


def chain() -> list[Any]:
    return [
        layers.Conv2D(4, 3, activation="relu", name="conv", input_shape=(6, 6, 3)),
        layers.Flatten(name="flat"),
        layers.Dense(2, name="dense"),
    ]


def plain() -> tf_keras.Model:
    return perturb(tf_keras.Sequential(chain(), name="chain"))


def nested() -> tf_keras.Model:
    source = layers.Input((6, 6, 3), name="image")
    return perturb(tf_keras.Model(source, tf_keras.Sequential(chain(), name="chain")(source)))


def rewritten(model: tf_keras.Model, path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Path:
    """Write the model as Keras 2.1.6 would have: `change` takes and gives its serialised configuration."""
    write(model, path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        file.attrs["model_config"] = json.dumps(change(config))
        file.attrs["keras_version"] = "2.1.6"
    return path


def everywhere(data: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """Change every serialised object in a configuration, the inner ones first."""
    if isinstance(data, list):
        return [everywhere(item, change) for item in data]
    if not isinstance(data, dict):
        return data
    found = {key: everywhere(value, change) for key, value in data.items()}
    return change(found) if "class_name" in found else found


def as_a_list(data: dict[str, Any]) -> dict[str, Any]:
    if data["class_name"] != "Sequential":
        return data
    return {**data, "config": [item for item in data["config"]["layers"] if item["class_name"] != "InputLayer"]}


def without_input(data: dict[str, Any]) -> dict[str, Any]:
    if data["class_name"] != "Sequential":
        return data
    kept = [item for item in data["config"]["layers"] if item["class_name"] != "InputLayer"]
    return {**data, "config": {**data["config"], "layers": kept}}


def with_typed_initializers(data: dict[str, Any]) -> dict[str, Any]:
    is_initializer = data["class_name"] in ("GlorotUniform", "Zeros")
    return {**data, "config": {**data["config"], "dtype": "float32"}} if is_initializer else data


def repairs(path: Path) -> list[str]:
    origin = read_checkpoint(path).origin
    return [item.repair for item in origin.repairs] if origin else []


@pytest.mark.parametrize("make", [plain, nested])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (as_a_list, ["sequential-list", "sequential-shape"]),
        (without_input, ["sequential-shape"]),
        (with_typed_initializers, ["initializer-dtype"]),
    ],
)
def test_the_numbers_stay(make: Callable[[], tf_keras.Model], change: Any, expected: list[str], tmp_path: Path):
    model = make()
    path = rewritten(model, tmp_path / "old.h5", lambda config: everywhere(config, change))
    assert repairs(path) == expected
    assert_same_numbers(model, convert(path), IMAGES)


@pytest.mark.parametrize("make", [plain, nested])
def test_nothing_is_mended_where_nothing_is_wrong(make: Callable[[], tf_keras.Model], tmp_path: Path):
    assert repairs(rewritten(make(), tmp_path / "old.h5", lambda config: config)) == []


def test_slashes_in_names_give_way_and_the_names_stay_apart(tmp_path: Path):
    source = layers.Input((4,), name="in/put")
    inner_source = layers.Input((4,))
    inner = tf_keras.Model(inner_source, layers.Dense(3, name="a/b")(inner_source), name="bo/dy")
    shown = layers.Dense(3, name="a_b")(layers.Dense(3, name="a/b")(inner(source)))
    model = perturb(tf_keras.Model(source, shown))
    write(model, tmp_path / "old.h5")
    [mended] = [item for item in read_checkpoint(tmp_path / "old.h5").origin.repairs if item.repair == "slash-names"]
    assert set(mended.layers) == {"bo/dy/a/b", "in/put", "bo/dy", "a/b"}
    new = convert(tmp_path / "old.h5")
    assert [layer.name for layer in new.layers] == ["in_put", "bo_dy", "a_b_1", "a_b"]
    assert_same_numbers(model, new, np.random.default_rng(1).normal(size=(2, 4)).astype("float32"))
