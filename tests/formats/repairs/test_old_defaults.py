"""A file without the arguments that came later, made by taking them out of one of tf_keras."""

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


def without(value: Any, *names: str) -> Any:
    """A configuration without these arguments, at any depth."""
    if isinstance(value, dict):
        return {key: without(item, *names) for key, item in value.items() if key not in names}
    return [without(item, *names) for item in value] if isinstance(value, list) else value


def rewrite(file: Path, version: str, *names: str) -> Path:
    """The file as another version would have written it, without arguments that it did not know."""
    with h5py.File(file, "r+") as opened:
        config = without(json.loads(opened.attrs["model_config"]), *names)
        opened.attrs["model_config"] = json.dumps(config)
        opened.attrs["keras_version"] = version
    return file


def mended(file: Path) -> tuple[str, ...]:
    origin = read_checkpoint(file).origin
    found = [item for item in origin.repairs if item.repair == "old-defaults"] if origin else []
    return found[0].layers if found else ()


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_a_gru_without_reset_after_has_one_row_of_biases(is_wrapped: bool, tmp_path: Path) -> None:
    gru = old.GRU(3, reset_after=False, recurrent_activation="sigmoid", name="x")
    layer = old.Bidirectional(gru, name="both") if is_wrapped else gru
    model = perturb(tf_keras.Sequential([tf_keras.Input((5, 4)), layer]))
    file = rewrite(write(model, tmp_path / "old.h5"), "2.1.2", "reset_after")
    assert mended(file) == (("both/x",) if is_wrapped else ("x",))
    assert_same_numbers(model, convert(file), np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32"))


def test_recurrent_layers_without_an_inner_activation_have_the_old_one(tmp_path: Path) -> None:
    hard = {"recurrent_activation": "hard_sigmoid"}
    model = tf_keras.Sequential(
        [
            tf_keras.Input((3, 6, 6, 2)),
            old.ConvLSTM2D(2, 2, name="film", **hard),
            old.Reshape((25, 2)),
            old.LSTM(3, name="series", **hard),
        ]
    )
    file = rewrite(write(perturb(model), tmp_path / "old.h5"), "2.2.2", "recurrent_activation")
    assert mended(file) == ("film", "series")
    values = np.random.default_rng(0).normal(size=(2, 3, 6, 6, 2)).astype("float32")
    assert_same_numbers(model, convert(file), values)


def test_a_whole_configuration_is_left_alone(tmp_path: Path) -> None:
    model = tf_keras.Sequential([tf_keras.Input((5, 4)), old.GRU(3, return_sequences=True), old.LSTM(2)])
    assert mended(write(model, tmp_path / "old.h5")) == ()
