from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from modelrecipe.formats import read_checkpoint
from tests.old_keras import assert_same_numbers, convert, perturb, tf_keras, write

if TYPE_CHECKING:
    from pathlib import Path

old = tf_keras.layers
SERIES = (5, 4)


def values() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.normal(size=(3, *SERIES)).astype("float32") for _ in range(2)]


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize("is_nested", [False, True])
def test_a_decoder_starts_from_the_states_of_its_encoder(kind: str, is_nested: bool, tmp_path: Path) -> None:
    make = getattr(old, kind)
    first, second = tf_keras.Input(SERIES), tf_keras.Input(SERIES)
    _, *states = make(3, return_state=True)(first)
    model = tf_keras.Model([first, second], make(3, return_sequences=True, name="x")(second, initial_state=states))
    if is_nested:
        sources = [tf_keras.Input(SERIES), tf_keras.Input(SERIES)]
        model = tf_keras.Model(sources, model(sources))
    file = write(perturb(model), tmp_path / "old.h5")
    origin = read_checkpoint(file).origin
    assert origin is not None
    mended = next(item for item in origin.repairs if item.repair == "rnn-states")
    assert [path.rpartition("/")[2] for path in mended.layers] == ["x"]
    assert_same_numbers(model, convert(file), values())


def test_both_directions_get_their_states(tmp_path: Path) -> None:
    first, second = tf_keras.Input(SERIES), tf_keras.Input(SERIES)
    _, *states = old.Bidirectional(old.LSTM(3, return_state=True))(first)
    model = perturb(tf_keras.Model([first, second], old.Bidirectional(old.LSTM(3))(second, initial_state=states)))
    assert_same_numbers(model, convert(write(model, tmp_path / "old.h5")), values())


def test_a_layer_without_given_states_is_left_alone(tmp_path: Path) -> None:
    model = tf_keras.Sequential([tf_keras.Input(SERIES), old.LSTM(3)])
    origin = read_checkpoint(write(model, tmp_path / "old.h5")).origin
    assert origin is not None
    assert "rnn-states" not in [item.repair for item in origin.repairs]
