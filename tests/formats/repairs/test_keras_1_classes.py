"""Classes, merges and branches of Keras 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from modelrecipe import formats
from modelrecipe.errors import FileError
from tests.keras_1 import layer, model, node, numbers, sequential, write
from tests.old_keras import TOLERANCE, convert, outputs, tf_keras
from tests.old_keras import write as write_keras_2

if TYPE_CHECKING:
    from pathlib import Path

_A, _B = numbers(3, 4, seed=1), numbers(3, 4, seed=2)


def _same(path: Path, expected: np.ndarray, inputs: Any) -> None:
    given = outputs(convert(path), inputs)
    assert given[0].shape == expected.shape
    assert float(np.abs(given[0] - expected).max()) <= TOLERANCE


def _merge(mode: Any, *calls: Any, **config: Any) -> dict[str, Any]:
    told = {"mode": mode, "mode_type": "raw", "concat_axis": -1, "dot_axes": -1, "arguments": {}, "output_mask": None}
    told |= {"output_shape": None, "output_shape_type": "raw", "output_mask_type": "raw"}
    return layer("Merge", config.pop("called", "merge_1"), *calls, **(told | config))


def _dense(name: str, *calls: Any, **config: Any) -> dict[str, Any]:
    arguments = {"output_dim": 4, "activation": "linear", "bias": False, "init": "normal", "input_dim": 4}
    return layer("Dense", name, *calls, **(arguments | config))


def _cosine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(1, keepdims=True) / np.sqrt((one**2).sum(1) * (other**2).sum(1))[:, None]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("sum", _A + _B),
        ("mul", _A * _B),
        ("ave", (_A + _B) / 2),
        ("max", np.maximum(_A, _B)),
        ("concat", np.concatenate([_A, _B], axis=-1)),
        ("dot", (_A * _B).sum(1, keepdims=True)),
        ("cos", _cosine(_A, _B)),
    ],
)
def test_a_merge_becomes_the_layer_of_its_mode(tmp_path, mode, expected):
    config = model({"a": [None, 4], "b": [None, 4]}, [_merge(mode, node("a", "b"))], "merge_1")
    _same(write(tmp_path / "a.h5", config, {"a": [], "b": [], "merge_1": []}), expected, [_A, _B])


def test_a_sequential_model_that_begins_with_branches_becomes_functional(tmp_path):
    """One branch begins with a merge itself, the other is functional; all their layers are listed flat."""
    first = sequential(_dense("dense_1", batch_input_shape=[None, 4], input_dtype="float32"), _dense("dense_2"))
    second = sequential(_dense("dense_3", batch_input_shape=[None, 4]))
    inner = sequential(_merge("sum", called="merge_2", layers=[first, second]), _dense("dense_4"))
    third = model({"x": [None, 4]}, [_dense("dense_5", node("x"))], "dense_5")
    config = sequential(_merge("concat", layers=[inner, third]), _dense("dense_6", input_dim=8))
    names = ["dense_1", "dense_2", "dense_3", "dense_4", "dense_5"]
    kernels = [numbers(4, 4, seed=seed) for seed in range(5)]
    arrays = {name: [(f"{name}_W", kernel)] for name, kernel in zip(names, kernels, strict=True)}
    last = numbers(8, 4)
    path = write(tmp_path / "a.h5", config, arrays | {"dense_6": [("dense_6_W", last)]})
    one, two, three, four, five = kernels
    hidden = np.concatenate([(_A @ one @ two + _B @ three) @ four, _A @ five], axis=-1)
    _same(path, hidden @ last, [_A, _B, _A])
    assert "keras-1-branches" in [item.repair for item in formats.read_checkpoint(path).origin.repairs]


def test_a_layer_of_both_branches_is_shared(tmp_path):
    branches = [
        sequential(_dense(f"dense_{number}", batch_input_shape=[None, 4]), _dense("shared")) for number in (1, 2)
    ]
    config = sequential(_merge("sum", layers=branches), layer("Activation", "activation_1", activation="tanh"))
    kernels = {name: numbers(4, 4, seed=number) for number, name in enumerate(["dense_1", "shared", "dense_2"])}
    path = write(tmp_path / "a.h5", config, {name: [(f"{name}_W", kernel)] for name, kernel in kernels.items()})
    one, shared, two = kernels.values()
    _same(path, np.tanh(_A @ one @ shared + _B @ two @ shared), [_A, _B])


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (layer("MaxoutDense", "m"), "layer 'm' is a MaxoutDense of Keras 1, for which Keras 3 has no counterpart"),
        (layer("Highway", "h"), "layer 'h' is a Highway of Keras 1, for which Keras 3 has no counterpart"),
        (
            layer("LocallyConnected1D", "l", nb_filter=2),
            "layer 'l' is a LocallyConnected1D of Keras 1, for which Keras 3 has no counterpart",
        ),
        (
            layer("BatchNormalization", "n", mode=1, axis=-1),
            "layer 'n' (BatchNormalization of Keras 1) has mode 1, which normalizes each sample by itself; "
            "BatchNormalization of Keras 3 does not",
        ),
        (
            layer("BatchNormalization", "n", mode=2, axis=-1),
            "layer 'n' (BatchNormalization of Keras 1) has mode 2, which normalizes each batch by itself, in inference "
            "too; BatchNormalization of Keras 3 does not",
        ),
        (
            _merge(["code", None, None], mode_type="lambda"),
            "layer 'merge_1' (Merge of Keras 1) merges by Python code, which is not executed",
        ),
        (
            _merge("cos", dot_axes=[2, 2]),
            "layer 'merge_1' (Merge of Keras 1) has mode 'cos' along the axes [2, 2], which Keras 3 does not compute the "
            "same way",
        ),
        (
            layer("Deconvolution2D", "d", nb_row=3, nb_col=3, subsample=[2, 2], output_shape=[None, 8, 8, 2]),
            "layer 'd' (Deconvolution2D of Keras 1) gives [None, 8, 8, 2], a size that Conv2DTranspose of Keras 3 does "
            "not give with its strides",
        ),
    ],
)
def test_what_has_no_counterpart_is_refused_with_layer_and_class(tmp_path, held, message):
    config = sequential(sequential(_dense("dense_1", batch_input_shape=[None, 4]), held), _dense("dense_2"))
    path = write(tmp_path / "a.h5", config, {"sequential_1": [], "dense_2": []})
    with pytest.raises(FileError) as refused:
        formats.read_checkpoint(path)
    assert refused.value.message.removeprefix(f"'{path}': ") == message
    assert refused.value.hint == "replace it by a layer of Keras 3"


def test_a_layer_that_begins_two_branches_is_refused(tmp_path):
    branch = sequential(_dense("dense_1", batch_input_shape=[None, 4]))
    config = sequential(_merge("sum", layers=[branch, branch]))
    path = write(tmp_path / "a.h5", config, {"dense_1": []})
    with pytest.raises(FileError, match="layer 'dense_1_input' begins two branches of a merge"):
        formats.read_checkpoint(path)


def test_a_file_of_keras_2_is_left_alone(tmp_path):
    layers = tf_keras.layers
    built = tf_keras.Sequential(
        [
            layers.Input((6, 6, 3)),
            layers.Conv2D(2, 3),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    path = write_keras_2(built, tmp_path / "a.h5")
    assert not [
        item for item in formats.read_checkpoint(path).origin.repairs if item.repair.startswith(("keras-1", "theano"))
    ]
