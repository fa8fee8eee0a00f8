"""What follows a merge of masked tensors, against tf_keras."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from modelrecipe.errors import FileError
from modelrecipe.formats import read_checkpoint
from tests.old_keras import assert_same_numbers, convert, perturb, tf_keras, write

if TYPE_CHECKING:
    from pathlib import Path

old = tf_keras.layers
IDS = np.array([[1, 2, 3, 0, 0], [0, 2, 0, 1, 1], [3, 0, 0, 0, 0]], "int32")
OTHER = np.array([[1, 0, 0, 0, 0], [2, 2, 2, 2, 0], [0, 0, 1, 1, 0]], "int32")
SERIES = np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32") * (OTHER != 0)[..., None].astype("float32")


def words(name: str) -> Any:
    return old.Embedding(5, 4, mask_zero=True, name=name)


def mended(file: Path) -> tuple[str, ...]:
    origin = read_checkpoint(file).origin
    found = [item for item in origin.repairs if item.repair == "merged-masks"] if origin else []
    return found[0].layers if found else ()


@pytest.mark.parametrize("merge", ["Add", "Multiply", "Average", "Concatenate"])
@pytest.mark.parametrize("second", ["masked", "masking", "plain"])
def test_a_recurrent_layer_behind_a_merge_keeps_its_mask(merge: str, second: str, tmp_path: Path) -> None:
    ids = tf_keras.Input((5,), dtype="int32")
    other = tf_keras.Input((5,), dtype="int32") if second == "masked" else tf_keras.Input((5, 4))
    tensor = {"masked": words("b"), "masking": old.Masking(name="b"), "plain": old.Dense(4, name="b")}[second](other)
    merged = old.Dense(3)(getattr(old, merge)()([words("a")(ids), tensor]))
    series = old.GRU(3, return_sequences=True, name="x")(merged)
    model = perturb(tf_keras.Model([ids, other], [old.Bidirectional(old.LSTM(2), name="y")(series), series]))
    file = write(model, tmp_path / "old.h5")
    assert mended(file) == ("x", "y")
    assert_same_numbers(model, convert(file), [IDS, OTHER if second == "masked" else SERIES])


def test_it_looks_into_nested_models(tmp_path: Path) -> None:
    ids, plain = tf_keras.Input((5,), dtype="int32"), tf_keras.Input((5, 4))
    inner = tf_keras.Model([ids, plain], old.LSTM(3, name="x")(old.Add()([words("a")(ids), plain])), name="inner")
    sources = [tf_keras.Input((5,), dtype="int32"), tf_keras.Input((5, 4))]
    model = perturb(tf_keras.Model(sources, inner(sources)))
    file = write(model, tmp_path / "old.h5")
    assert mended(file) == ("inner/x",)
    assert_same_numbers(model, convert(file), [IDS, SERIES])


def test_a_mask_that_no_argument_can_say_is_refused(tmp_path: Path) -> None:
    model = tf_keras.Sequential(
        [
            tf_keras.Input((2, 5), dtype="int32"),
            old.TimeDistributed(words("a")),
            old.TimeDistributed(old.LSTM(2)),
            old.LSTM(3, name="x"),
        ]
    )
    with pytest.raises(FileError, match="layer 'x' takes a mask that layers before it merge in another way in Keras 3"):
        read_checkpoint(write(model, tmp_path / "old.h5"))


def test_a_merge_of_one_mask_with_itself_is_left_alone(tmp_path: Path) -> None:
    ids = tf_keras.Input((5,), dtype="int32")
    embedded = words("a")(ids)
    model = perturb(tf_keras.Model(ids, old.LSTM(3)(old.Add()([embedded, old.Dense(4)(embedded)]))))
    file = write(model, tmp_path / "old.h5")
    assert mended(file) == ()
    assert_same_numbers(model, convert(file), IDS)
