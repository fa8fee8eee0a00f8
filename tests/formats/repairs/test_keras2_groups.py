"""`.keras` files of Keras 2.12 to 2.15: three layouts of groups, written here by tf_keras, its history put back."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import keras
import numpy as np
import pytest
from tf_keras.src.saving import saving_lib as _saving_lib

from modelrecipe.errors import FileError
from modelrecipe.formats import read_checkpoint
from tests.old_keras import assert_same_numbers, convert, perturb, tf_keras, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

layers: Any = tf_keras.layers
saving_lib: Any = _saving_lib
LAYOUTS = ("2.13", "2.14", "2.15")


def lay_out(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """Let tf_keras write as a version did: see the history of its `saving_lib.py`."""
    if version != "2.15":
        kept = saving_lib.ATTR_SKIPLIST - {"_layer_checkpoint_dependencies"}
        monkeypatch.setattr(saving_lib, "ATTR_SKIPLIST", kept)
        monkeypatch.setattr(saving_lib, "_walk_trackable", walk_by_name)
    if version == "2.13":
        monkeypatch.setattr(saving_lib, "_save_container_state", save_container_counting_all)
    monkeypatch.setattr(saving_lib.keras, "__version__", f"{version}.0", raising=False)


def walk_by_name(trackable: Any) -> Iterator[tuple[str, Any]]:
    for name in dir(trackable):
        if not name.startswith("__") and name not in saving_lib.ATTR_SKIPLIST:
            try:
                yield name, getattr(trackable, name)
            except Exception:
                continue


def save_container_counting_all(container: Any, *stores: Any, inner_path: str, visited_trackables: set[int]) -> None:
    used: dict[str, int] = {}
    for item in container.values() if isinstance(container, dict) else container:
        if saving_lib._is_keras_trackable(item):
            name = saving_lib.generic_utils.to_snake_case(type(item).__name__)
            used[name] = used.get(name, -1) + 1
            name = f"{name}_{used[name]}" if used[name] else name
            saving_lib._save_state(
                item, *stores, inner_path=f"{inner_path}/{name}", visited_trackables=visited_trackables
            )


def single(layer: Any, *shape: int) -> Any:
    inputs = tf_keras.Input(shape)
    return tf_keras.Model(inputs, layer(inputs))


def chain() -> Any:
    names = ("zebra", "apple", "middle")
    return tf_keras.Sequential(
        [layers.Input((4,)), *(layers.Dense(4, name=name) for name in names), layers.Dropout(0.5), layers.Dense(4)]
    )


def nested() -> Any:
    inner = tf_keras.Sequential([layers.Dense(4), layers.BatchNormalization(), layers.Dense(4)])
    deep = tf_keras.Sequential([layers.Input((4,)), layers.Dense(4), inner, layers.Dense(4)])
    inputs = tf_keras.Input((4,))
    functional = tf_keras.Model(inputs, layers.Add()([inputs, layers.Dense(4)(inputs)]))
    return tf_keras.Model(inputs, layers.Dense(2)(functional(deep(layers.Dense(4)(inputs)))))


def shared() -> Any:
    inputs = tf_keras.Input((4,))
    twice, first = layers.Dense(4, name="twice"), layers.Dense(4)
    inner = tf_keras.Sequential([first, twice, layers.Dense(4), layers.Dense(4)])
    return tf_keras.Model(inputs, inner(layers.Dense(4)(twice(twice(inputs)))))


def weightless_between() -> Any:
    """Layers of one class with and without weights: only Keras before 2.14 counts them differently."""
    plain = {"center": False, "scale": False}
    stack = [layers.LayerNormalization(**({} if number in (1, 3) else plain)) for number in range(5)]
    return tf_keras.Sequential([layers.Input((4,)), *stack])


def attention() -> Any:
    inputs = tf_keras.Input((4, 6))
    found = layers.MultiHeadAttention(2, 3)(inputs, inputs)
    return tf_keras.Model(inputs, layers.MultiHeadAttention(3, 2, use_bias=False)(found, inputs))


def wrapped_model() -> Any:
    inner = [layers.Input((4,)), layers.Dense(3, name="z"), layers.BatchNormalization(), layers.Dense(4, name="a")]
    return single(layers.TimeDistributed(tf_keras.Sequential(inner)), 3, 4)


MODELS: dict[str, Callable[[], Any]] = {
    "chain": chain,
    "nested": nested,
    "weightless_between": weightless_between,
    "attention": attention,
    "wrapped_model": wrapped_model,
    "cells": lambda: single(layers.RNN([layers.LSTMCell(3), layers.GRUCell(2), layers.LSTMCell(2)]), 4, 2),
    "cell": lambda: single(layers.RNN(layers.SimpleRNNCell(3)), 4, 2),
    "both_ways": lambda: single(
        layers.Bidirectional(layers.GRU(3), backward_layer=layers.LSTM(3, go_backwards=True)), 4, 2
    ),
    "lstm_both_ways": lambda: single(layers.Bidirectional(layers.LSTM(3)), 4, 2),
    "conv_lstm": lambda: single(layers.ConvLSTM2D(3, 2), 4, 5, 5, 2),
    "normalization": lambda: single(layers.Normalization(), 5),
    "separable": lambda: single(layers.SeparableConv2D(2, 2), 5, 5, 2),
    "depthwise": lambda: single(layers.DepthwiseConv2D(2), 5, 5, 2),
    "prelu": lambda: single(layers.PReLU(), 5, 5, 2),
    "einsum": lambda: single(layers.EinsumDense("abc,cd->abd", (None, 3), bias_axes="d"), 4, 5),
    "group_norm": lambda: single(layers.GroupNormalization(2), 4, 4),
    "conv_transpose": lambda: single(layers.Conv1DTranspose(2, 2), 4, 4),
    "embedding": lambda: tf_keras.Sequential([layers.Input((4,)), layers.Embedding(5, 2)]),
}


@pytest.mark.parametrize("version", LAYOUTS)
@pytest.mark.parametrize("name", MODELS)
def test_every_layout_gives_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, version: str
) -> None:
    model = perturb(MODELS[name]())
    for layer in model.layers:
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()
    lay_out(monkeypatch, version)
    file = write(model, tmp_path / "old.keras")
    shape = [3, *model.input_shape[1:]]
    inputs = np.random.default_rng(1).uniform(0, 2, shape).astype("float32")
    assert_same_numbers(model, convert(file), inputs)
    moved = version != "2.15" or name == "attention"
    repairs = [item.repair for item in read_checkpoint(file).origin.repairs]  # type: ignore[union-attr]
    assert ("keras-2-groups" in repairs) == moved


def stored(file: Path) -> dict[str, list[np.ndarray]]:
    checkpoint = read_checkpoint(file)
    return {item.path: [tensor.read() for tensor in checkpoint.tensors(item)] for item in checkpoint.layers()}


def assert_holds(file: Path, model: Any) -> None:
    found = stored(file)
    for layer in model.layers:
        if isinstance(layer, tf_keras.Model):
            continue
        for one, other in zip(found[layer.name], layer.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("version", LAYOUTS)
def test_layer_that_two_models_share_is_saved_in_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    model = perturb(shared())
    lay_out(monkeypatch, version)
    file = write(model, tmp_path / "old.keras")
    assert_holds(file, model)
    inner = model.layers[3]
    found = stored(file)
    for layer in inner.layers:
        path = layer.name if layer.name == "twice" else f"{inner.name}/{layer.name}"
        np.testing.assert_array_equal(found[path][0], layer.get_weights()[0])


@pytest.mark.parametrize("version", LAYOUTS)
def test_state_of_training_belongs_to_no_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    model = perturb(chain())
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.ones((4, 4)), np.ones((4, 4)), verbose=0)
    lay_out(monkeypatch, version)
    file = write(model, tmp_path / "old.keras")
    assert_holds(file, model)
    checkpoint = read_checkpoint(file)
    assert checkpoint.weights.of("") == ()
    assert checkpoint.origin is not None
    assert checkpoint.origin.has_optimizer_state


def with_windows_names(file: Path) -> None:
    """Give the groups the names that they have in files written on Windows."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    content = io.BytesIO()
    with h5py.File(io.BytesIO(members["model.weights.h5"])) as old, h5py.File(content, "w") as new:

        def copy(name: str, item: object) -> None:
            layer, found, rest = name.rpartition("vars")
            if found and not rest.startswith("/"):
                new.require_group(layer.rstrip("/").replace("/", "\\") or "/").create_group("vars")
            elif isinstance(item, h5py.Dataset):
                layer, _, number = name.rpartition("/vars/")
                new[layer.replace("/", "\\")]["vars"][number] = item[()]  # type: ignore[index]

        old.visititems(copy)
    members["model.weights.h5"] = content.getvalue()
    with zipfile.ZipFile(file, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)


@pytest.mark.parametrize("version", LAYOUTS)
@pytest.mark.parametrize("name", ["chain", "nested", "wrapped_model", "attention"])
def test_names_that_windows_joined_are_taken_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, version: str
) -> None:
    model = perturb(MODELS[name]())
    lay_out(monkeypatch, version)
    file = write(model, tmp_path / "old.keras")
    before = stored(file)
    with_windows_names(file)
    after = stored(file)
    assert before.keys() == after.keys()
    for path in before:
        for one, other in zip(before[path], after[path], strict=True):
            np.testing.assert_array_equal(one, other)
    repairs = [item.repair for item in read_checkpoint(file).origin.repairs]  # type: ignore[union-attr]
    assert repairs[0] == "windows-groups"


def test_repairs_can_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(monkeypatch, "2.13")
    file = write(chain(), tmp_path / "old.keras")
    with pytest.raises(FileError) as refused:
        read_checkpoint(file, mends=False)
    assert str(refused.value) == (
        f"'{file}' keeps its weights as Keras 2.12 to 2.14 did, which only repairs make readable"
    )


def test_group_without_a_layer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(monkeypatch, "2.13")
    file = write(chain(), tmp_path / "old.keras")
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    del config["config"]["layers"][2]
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    with pytest.raises(FileError) as refused:
        read_checkpoint(file)
    assert str(refused.value) == (
        f"'{file}' names its groups of weights as Keras 2 did, by class and order, and they are not as many as the "
        "layers of the model; save the model again with the Keras that wrote it, as HDF5"
    )


def test_vocabulary_follows_its_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = tf_keras.Input((1,), dtype="int64")
    lookup = layers.IntegerLookup(name="ids")
    lookup.adapt([7, 8, 9])
    model = tf_keras.Model(inputs, layers.Dense(2)(layers.Embedding(5, 2)(lookup(inputs))))
    lay_out(monkeypatch, "2.14")
    file = write(model, tmp_path / "old.keras")
    origin = read_checkpoint(file).origin
    assert origin is not None
    assert {key: list(members.values()) for key, members in origin.asset_layers.items()} == {"ids": ["vocabulary.txt"]}


def test_files_of_keras_3_need_no_repair(tmp_path: Path) -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.Sequential([keras.layers.Dense(3)])(inputs)))
    model.save(tmp_path / "new.keras")
    origin = read_checkpoint(tmp_path / "new.keras").origin
    assert origin is not None
    assert origin.repairs == ()
