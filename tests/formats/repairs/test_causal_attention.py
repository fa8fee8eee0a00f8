from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from modelrecipe.formats import read_checkpoint
from tests.old_keras import assert_same_numbers, convert, perturb, tf_keras, write

if TYPE_CHECKING:
    from pathlib import Path

old = tf_keras.layers


def say_causal(value: Any, classes: tuple[str, ...]) -> Any:
    """A configuration as tf.keras 2.10 wrote it: tf_keras has the argument, and forgets to write it."""
    if isinstance(value, list):
        return [say_causal(item, classes) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: say_causal(item, classes) for key, item in value.items()}
    if value.get("class_name") in classes:
        found["config"]["causal"] = True
    return found


def rewrite(file: Path, *classes: str) -> Path:
    with h5py.File(file, "r+") as opened:
        config = say_causal(json.loads(opened.attrs["model_config"]), classes)
        opened.attrs["model_config"] = json.dumps(config)
    return file


@pytest.mark.parametrize("is_nested", [False, True])
def test_each_call_is_causal(is_nested: bool, tmp_path: Path) -> None:
    source = tf_keras.Input((5, 4))
    first = old.Attention(causal=True, name="dot")([source, source])
    model = tf_keras.Model(source, old.AdditiveAttention(causal=True, name="sum")([first, source]), name="inner")
    if is_nested:
        outer = tf_keras.Input((5, 4))
        model = tf_keras.Model(outer, model(outer))
    file = rewrite(write(perturb(model), tmp_path / "old.h5"), "Attention", "AdditiveAttention")
    origin = read_checkpoint(file).origin
    assert origin is not None
    mended = next(item for item in origin.repairs if item.repair == "causal-attention")
    assert mended.layers == (("inner/dot", "inner/sum") if is_nested else ("dot", "sum"))
    assert_same_numbers(model, convert(file), np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32"))


def test_attention_that_sees_all_is_left_alone(tmp_path: Path) -> None:
    source = tf_keras.Input((5, 4))
    model = tf_keras.Model(source, old.Attention()([source, source]))
    origin = read_checkpoint(write(model, tmp_path / "old.h5")).origin
    assert origin is not None
    assert "causal-attention" not in [item.repair for item in origin.repairs]
