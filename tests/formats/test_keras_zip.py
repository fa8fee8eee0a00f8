"""`.keras` files: every tensor is the live model's, and what is rewritten differs in nothing but the edits."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import h5py
import ml_dtypes
import numpy as np
import pytest

from modelrecipe.errors import FileError
from modelrecipe.formats import read_checkpoint, rewrite
from modelrecipe.graph import walk
from tests.formats.edits import (
    assert_holds_the_weights_of,
    contents,
    differences,
    freeze,
    halve,
    rename,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import keras


def build(name: str) -> keras.Model:
    """A model of the zoo, whose modules import Keras."""
    from tests.zoo import ZOO

    return ZOO[name]()


def load(path: Path, *, compile: bool = True) -> keras.Model:
    import keras

    return keras.saving.load_model(path, compile=compile)


def assert_same_answers(a: keras.Model, b: keras.Model) -> None:
    from tests.zoo import assert_same_outputs, sample_inputs

    assert_same_outputs(a, b, sample_inputs(a))


def names(path: Path, key: str) -> list[str]:
    return [tensor.name for tensor in read_checkpoint(path).weights[key]]


KNOWN = [
    "adapted_normalization",
    "attention_scores",
    "batch_norm_variants",
    "bfloat16",
    "bidirectional",
    "chain",
    "compiled_and_trained",
    "convolutional_recurrence",
    "float16",
    "frozen_nested",
    "grouped_query_attention",
    "layer_inside_and_outside",
    "masked_gru_stack",
    "mixed_bfloat16",
    "names_in_descending_order",
    "names_like_other_classes",
    "names_with_punctuation",
    "nested_called_three_times",
    "nested_three_deep",
    "operations_in_nested",
    "prelu",
    "separable_convolution",
    "sequential_in_sequential",
    "sequential_without_input",
    "shared_twice",
    "stacked_cells",
    "text_vectorization",
    "time_distributed_dense",
    "transformer_block",
    "unicode_names",
    "wrapper_in_wrapper",
]


@pytest.mark.parametrize("name", KNOWN)
def test_tensors_are_those_of_the_live_model(save: Callable[..., Path], name: str) -> None:
    model = build(name)
    checkpoint = read_checkpoint(save(model))
    assert_holds_the_weights_of(checkpoint, model)
    assert checkpoint.parameters() == model.count_params()


@pytest.mark.parametrize("name", [*KNOWN, "custom_composite_shared", "functional_subclass_called_twice"])
def test_rewriting_without_edits_changes_no_member(save: Callable[..., Path], tmp_path: Path, name: str) -> None:
    path = save(build(name))
    rewrite(read_checkpoint(path), tmp_path / "out.keras", "keras")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "out.keras") as new:
        assert new.namelist() == old.namelist()
        assert [new.read(member) for member in new.namelist()] == [old.read(member) for member in old.namelist()]
        assert {info.compress_type for info in new.infolist()} == {zipfile.ZIP_STORED}
        assert {info.date_time for info in new.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_inner_variables_have_the_names_that_keras_gives_them(save: Callable[..., Path]) -> None:
    import keras

    x = keras.Input((5, 4))
    y = keras.layers.MultiHeadAttention(2, 2, name="attention")(x, x)
    y = keras.layers.TimeDistributed(keras.layers.Dense(3, name="step"), name="each")(y)
    y = keras.layers.LayerNormalization(name="norm")(y)
    y = keras.layers.Bidirectional(keras.layers.LSTM(2, name="rnn"), name="both")(y)
    path = save(keras.Model(x, keras.layers.BatchNormalization(name="bn")(y)))
    assert sorted(names(path, "attention")) == sorted(
        f"{part}/{name}" for part in ("query", "key", "value", "attention_output") for name in ("kernel", "bias")
    )
    assert names(path, "each") == ["step/kernel", "step/bias"]
    assert names(path, "norm") == ["gamma", "beta"]
    assert sorted(names(path, "both")) == sorted(
        f"{way}_rnn/lstm_cell/{name}"
        for way in ("forward", "backward")
        for name in ("kernel", "recurrent_kernel", "bias")
    )
    moving = [(tensor.name, tensor.slot, tensor.is_trainable) for tensor in read_checkpoint(path).weights["bn"]]
    assert moving == [
        ("gamma", "vars/0", True),
        ("beta", "vars/1", True),
        ("moving_mean", "vars/2", False),
        ("moving_variance", "vars/3", False),
    ]


def test_more_than_ten_variables_are_in_order(save: Callable[..., Path]) -> None:
    import keras

    @keras.saving.register_keras_serializable("formats")
    class Many(keras.layers.Layer):
        def build(self, _: Any) -> None:
            self.all = [self.add_weight(shape=(), name=f"w{number}") for number in range(12)]
            self.count = self.add_weight(shape=(), dtype="int32", trainable=False)
            for number, variable in enumerate(self.all):
                variable.assign(number)

        def call(self, x: Any) -> Any:
            return x + sum(self.all)

    x = keras.Input((4,))
    tensors = read_checkpoint(save(keras.Model(x, Many(name="many")(x)))).weights["many"]
    assert [float(tensor.read()) for tensor in tensors] == [*range(12), 0]
    assert [tensor.name for tensor in tensors] == [str(number) for number in range(13)]
    assert [tensor.is_trainable for tensor in tensors] == [True] * 12 + [False]


def test_inner_layers_of_one_name_are_told_apart(save: Callable[..., Path]) -> None:
    import keras

    @keras.saving.register_keras_serializable("formats")
    class Twins(keras.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.left = keras.layers.Dense(4, name="twin", use_bias=False)
            self.right = keras.layers.Dense(4, name="twin", use_bias=False)

        def call(self, x: Any) -> Any:
            return self.left(x) + self.right(x)

    x = keras.Input((4,))
    path = save(keras.Model(x, Twins(name="twins")(x)))
    assert names(path, "twins") == ["left/0", "right/0"]


def test_bfloat16_is_read_as_such(save: Callable[..., Path]) -> None:
    model = build("bfloat16")
    for tensors in read_checkpoint(save(model)).weights.values():
        for tensor in tensors:
            assert tensor.dtype == "bfloat16"
            assert tensor.read().dtype == ml_dtypes.bfloat16


def test_layer_shared_by_two_graphs_has_one_key(save: Callable[..., Path]) -> None:
    checkpoint = read_checkpoint(save(build("layer_inside_and_outside")))
    keys = {located.path: located.layer.key for located in walk(checkpoint.model)}
    assert keys["inner/shared"] == keys["shared"]
    assert len(contents(checkpoint)) == 4


def test_layer_that_keras_saved_for_one_of_two_places_only_is_refused(save: Callable[..., Path]) -> None:
    path = save(build("layer_in_two_nested_models"))
    with pytest.raises(FileError) as refused:
        read_checkpoint(path)
    assert str(refused.value) == (
        f"'{path}' holds no weights of layer 'right/shared'; "
        "give each its own layer: Keras does not save one that several nested models share"
    )


def test_origin_tells_of_writer_compilation_and_optimizer(save: Callable[..., Path]) -> None:
    import keras

    trained = read_checkpoint(save(build("compiled_and_trained"))).origin
    assert trained is not None
    assert trained.format == "keras_zip"
    assert trained.writer == f"Keras {keras.__version__}"
    assert trained.compile_config is not None
    assert trained.compile_config["loss"]
    assert trained.has_optimizer_state
    plain = read_checkpoint(save(build("chain"))).origin
    assert plain is not None
    assert (plain.compile_config, plain.has_optimizer_state) == (None, False)


def vocabulary_model() -> keras.Model:
    import keras

    vectorize = keras.layers.TextVectorization(name="vectorize")
    vectorize.adapt(["a b c", "b"])
    words = keras.Input((1,), dtype="string", name="words")
    inner = keras.Model(words, keras.layers.Embedding(9, 2, name="table")(vectorize(words)), name="inner")
    outer = keras.Input((1,), dtype="string")
    return keras.Model(outer, inner(outer))


def test_assets_belong_to_their_layers(save: Callable[..., Path]) -> None:
    origin = read_checkpoint(save(vocabulary_model())).origin
    assert origin is not None
    folder = "layers/functional/layers/text_vectorization"
    members = (f"{folder}/_lookup_layer/vocabulary.txt", f"{folder}/vocabulary.txt")
    assert origin.assets == members
    assert origin.asset_layers == {
        "inner/vectorize": {members[0]: "_lookup_layer/vocabulary.txt", members[1]: "vocabulary.txt"}
    }


def test_assets_survive_rewriting(save: Callable[..., Path], tmp_path: Path) -> None:
    model = vocabulary_model()
    checkpoint = halve(read_checkpoint(save(model)), "inner/table", "embeddings")
    rewrite(checkpoint, tmp_path / "out.keras", "keras")
    words = np.array([["b"], ["z"]])
    np.testing.assert_array_equal(
        np.asarray(load(tmp_path / "out.keras")(words)), np.asarray(model(words)) * np.float32(0.5)
    )


def test_weights_of_a_functional_subclass_are_kept_under_its_own_key(save: Callable[..., Path]) -> None:
    import keras

    @keras.saving.register_keras_serializable("formats")
    class Tempered(keras.Model):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.temperature = self.add_weight(shape=(), name="temperature", initializer="ones")
            self.aside = keras.layers.Dense(2, name="aside")
            self.aside.build((None, 3))

    x = keras.Input((3,), name="x")
    inner = Tempered(x, keras.layers.Dense(2, name="head")(x), name="inner")
    y = keras.Input((3,), name="y")
    checkpoint = read_checkpoint(save(keras.Model(y, inner(y))))
    assert [(t.name, t.slot) for t in checkpoint.weights["inner/head"]] == [("kernel", "vars/0"), ("bias", "vars/1")]
    assert [(tensor.name, tensor.slot) for tensor in checkpoint.weights["inner"]] == [
        ("0", "vars/0"),
        ("aside/0", "aside/vars/0"),
        ("aside/1", "aside/vars/1"),
    ]
    alone = read_checkpoint(save(inner, "alone.keras"))
    assert [tensor.slot for tensor in alone.weights[""]] == ["vars/0", "aside/vars/0", "aside/vars/1"]


def subclassed() -> keras.Model:
    import keras

    @keras.saving.register_keras_serializable("formats")
    class Encoder(keras.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.stem = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(4)], name="encoder")
            self.attention = keras.layers.MultiHeadAttention(2, 2)
            self.blocks = [keras.layers.Dense(4, name="a"), [keras.layers.LayerNormalization(name="b")]]
            self.dropout = keras.layers.Dropout(0.5)

        def build(self, _: Any) -> None:
            self.scale = self.add_weight(shape=(4,), name="scale", initializer="ones")

        def call(self, x: Any) -> Any:
            x = self.stem(x) * self.scale
            x = self.dropout(self.attention(x, x))
            return self.blocks[1][0](self.blocks[0](x))

    model = Encoder(name="whole")
    model(np.ones((1, 3, 4), "float32"))
    return model


def test_groups_of_an_opaque_model_are_its_layers(save: Callable[..., Path]) -> None:
    model = subclassed()
    checkpoint = read_checkpoint(save(model))
    assert checkpoint.is_opaque
    found = {located.path: (located.layer.class_name, len(checkpoint.tensors(located))) for located in checkpoint.inner}
    assert found == {
        "multi_head_attention": ("MultiHeadAttention", 8),
        "a": ("Dense", 2),
        "b": ("LayerNormalization", 2),
        "dropout": ("Dropout", 0),
        "encoder": ("Sequential", 0),
        "encoder/dense": ("Dense", 2),
        "encoder/dense_1": ("Dense", 2),
    }
    assert [located.parents[-1].name for located in checkpoint.inner if "/" in located.path] == ["encoder", "encoder"]
    assert [(tensor.name, tensor.slot) for tensor in checkpoint.weights["encoder/dense_1"]] == [
        ("kernel", "layers/sequential/layers/dense_1/vars/0"),
        ("bias", "layers/sequential/layers/dense_1/vars/1"),
    ]
    assert [(tensor.name, tensor.slot) for tensor in checkpoint.weights[""]] == [("0", "vars/0")]
    assert sorted(contents(checkpoint).values()) == sorted(v.numpy().tobytes() for v in model.weights)


def test_opaque_model_is_rewritten(save: Callable[..., Path], tmp_path: Path) -> None:
    checkpoint = read_checkpoint(save(subclassed()))
    rewrite(halve(checkpoint, "encoder/dense", "kernel"), tmp_path / "out.keras", "keras")
    assert differences(checkpoint, read_checkpoint(tmp_path / "out.keras")) == ["encoder/dense:kernel"]


@pytest.mark.parametrize(
    ("name", "key", "tensor"),
    [
        ("nested_three_deep", None, None),
        ("bidirectional", "both", "forward_lstm/lstm_cell/kernel"),
        ("bfloat16", None, None),
        ("compiled_and_trained", None, None),
        ("layer_inside_and_outside", "shared", "kernel"),
    ],
)
def test_edited_tensor_is_all_that_differs(
    save: Callable[..., Path], tmp_path: Path, name: str, key: str | None, tensor: str | None
) -> None:
    checkpoint = read_checkpoint(save(build(name)))
    key = key or list(checkpoint.weights)[-1]
    tensor = tensor or checkpoint.weights[key][0].name
    edited = halve(checkpoint, key, tensor)
    rewrite(edited, tmp_path / "out.keras", "keras")
    again = read_checkpoint(tmp_path / "out.keras")
    assert differences(checkpoint, again) == [f"{key}:{tensor}"]
    assert contents(again) == contents(edited)
    assert len((tmp_path / "out.keras").read_bytes()) == len((tmp_path / "m.keras").read_bytes())


def test_keras_loads_what_was_edited(save: Callable[..., Path], tmp_path: Path) -> None:
    model = build("nested_three_deep")
    checkpoint = read_checkpoint(save(model))
    key = list(checkpoint.weights)[-1]
    rewrite(halve(checkpoint, key, "kernel"), tmp_path / "out.keras", "keras")
    live: Any = model
    for name in key.split("/"):
        live = live.get_layer(name)
    live.kernel.assign(live.kernel * 0.5)
    assert_same_answers(model, load(tmp_path / "out.keras"))


def test_tensor_taken_from_another_file_is_written(save: Callable[..., Path], tmp_path: Path) -> None:
    checkpoint = read_checkpoint(save(build("chain")))
    key = next(iter(checkpoint.weights))
    rewrite(halve(checkpoint, key, "kernel"), tmp_path / "other.keras", "keras")
    other = read_checkpoint(tmp_path / "other.keras")
    taken = replace(checkpoint, weights=checkpoint.weights.having(key, other.weights[key]))
    rewrite(taken, tmp_path / "out.keras", "keras")
    assert differences(other, read_checkpoint(tmp_path / "out.keras")) == []


def test_tensor_of_another_shape_is_refused(save: Callable[..., Path], tmp_path: Path) -> None:
    checkpoint = read_checkpoint(save(build("chain")))
    key = next(iter(checkpoint.weights))
    kernel, *rest = checkpoint.weights[key]
    wrong = replace(checkpoint, weights=checkpoint.weights.having(key, [replace(kernel, shape=(1, 1)), *rest]))
    with pytest.raises(FileError) as refused:
        rewrite(wrong, tmp_path / "out.keras", "keras")
    assert str(refused.value) == (
        f"'kernel' of layer '{key}' is float32 (1, 1), but the file keeps room for float32 {kernel.shape}"
    )


def test_renamed_layers_are_renamed_in_architecture_and_weights(save: Callable[..., Path], tmp_path: Path) -> None:
    model = build("nested_two_deep")
    checkpoint = read_checkpoint(save(model))
    paths = [located.path for located in walk(checkpoint.model) if checkpoint.weights.of(located.layer.key)]
    nested = [located.path for located in walk(checkpoint.model) if located.layer.graph is not None]
    edited = rename(checkpoint, {paths[-1]: "a_new_name", nested[0]: "another"})
    rewrite(edited, tmp_path / "out.keras", "keras")
    again = read_checkpoint(tmp_path / "out.keras")
    assert again.model == replace(edited.model, graph=again.model.graph)
    assert [located.layer.name for located in walk(again.model)] == [
        located.layer.name for located in walk(edited.model)
    ]
    assert sorted(contents(again).values()) == sorted(contents(checkpoint).values())
    assert_same_answers(model, load(tmp_path / "out.keras"))


def test_two_layers_may_swap_names(save: Callable[..., Path], tmp_path: Path) -> None:
    model = build("chain")
    checkpoint = read_checkpoint(save(model))
    one, other = list(checkpoint.weights)[:2]
    rewrite(rename(checkpoint, {one: other, other: one}), tmp_path / "out.keras", "keras")
    again = read_checkpoint(tmp_path / "out.keras")
    assert contents(again)[f"{other}:kernel"] == contents(checkpoint)[f"{one}:kernel"]
    assert_same_answers(model, load(tmp_path / "out.keras"))


def optimizer_members(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as member, h5py.File(member) as file:
        return [name for name in file if name == "optimizer"]


def test_freezing_drops_the_optimizers_state_and_its_room(save: Callable[..., Path], tmp_path: Path) -> None:
    model = build("compiled_and_trained")
    path = save(model)
    checkpoint = read_checkpoint(path)
    frozen = freeze(checkpoint, "head")
    rewrite(frozen, tmp_path / "out.keras", "keras")
    again = read_checkpoint(tmp_path / "out.keras")
    assert (optimizer_members(path), optimizer_members(tmp_path / "out.keras")) == (["optimizer"], [])
    assert again.origin is not None
    assert again.origin.compile_config is not None
    assert not again.origin.has_optimizer_state
    assert differences(checkpoint, again) == []
    assert again.trainable_parameters() == frozen.trainable_parameters()
    assert (tmp_path / "out.keras").stat().st_size < path.stat().st_size
    rewrite(frozen, tmp_path / "twice.keras", "keras")
    assert (tmp_path / "out.keras").read_bytes() == (tmp_path / "twice.keras").read_bytes()


def test_keras_loads_what_was_frozen(save: Callable[..., Path], tmp_path: Path) -> None:
    model = build("nested_once")
    checkpoint = read_checkpoint(save(model))
    key = next(key for key in checkpoint.weights if "/" in key)
    rewrite(freeze(checkpoint, key), tmp_path / "out.keras", "keras")
    loaded = load(tmp_path / "out.keras")
    outer, inner = key.split("/")
    assert not loaded.get_layer(outer).get_layer(inner).trainable
    assert_same_answers(model, loaded)


def test_edit_and_freeze_together(save: Callable[..., Path], tmp_path: Path) -> None:
    checkpoint = read_checkpoint(save(build("compiled_and_trained")))
    rewrite(halve(freeze(checkpoint, "head"), "head", "kernel"), tmp_path / "out.keras", "keras")
    assert differences(checkpoint, read_checkpoint(tmp_path / "out.keras")) == ["head:kernel"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["m.keras", "out.keras"]


@pytest.mark.parametrize("name", ["compiled_and_trained", "nested_three_deep"])
def test_weights_alone_load_into_the_same_model(save: Callable[..., Path], tmp_path: Path, name: str) -> None:
    model = build(name)
    checkpoint = read_checkpoint(save(model))
    rewrite(checkpoint, tmp_path / "out.weights.h5", "weights_h5")
    again = load(tmp_path / "m.keras", compile=False)
    for variable in again.weights:
        variable.assign(variable * 0)
    again.load_weights(tmp_path / "out.weights.h5")
    assert_same_answers(model, again)
    with h5py.File(tmp_path / "out.weights.h5") as file:
        assert "optimizer" not in file


def test_metadata_and_unknown_members_are_copied(save: Callable[..., Path], tmp_path: Path) -> None:
    path = save(build("chain"))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("notes.txt", "by hand")
    checkpoint = read_checkpoint(path)
    checkpoint = freeze(checkpoint, next(iter(checkpoint.weights)))
    rewrite(checkpoint, tmp_path / "out.keras", "keras")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "out.keras") as new:
        assert new.read("notes.txt") == b"by hand"
        assert new.read("metadata.json") == old.read("metadata.json")
        assert json.loads(new.read("config.json")).keys() == json.loads(old.read("config.json")).keys()


def without_labels(path: Path) -> None:
    """Drop the names of layers from the weight file, which the first versions of Keras 3 did not write."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights = path.with_name("labels.h5")
    weights.write_bytes(members["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        groups: list[h5py.Group] = []
        file.visititems(lambda _, found: groups.append(found) if isinstance(found, h5py.Group) else None)
        for group in groups:
            group.attrs.pop("name", None)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, weights.read_bytes() if name == "model.weights.h5" else content)


@pytest.mark.parametrize(
    "name",
    ["nested_three_deep", "names_in_descending_order", "layer_inside_and_outside", "sequential_in_functional"],
)
def test_groups_without_names_are_told_by_class_and_order(save: Callable[..., Path], name: str) -> None:
    model = build(name)
    path = save(model)
    without_labels(path)
    assert_holds_the_weights_of(read_checkpoint(path), model)


@pytest.mark.slow
def test_resnet_is_read_whole(save: Callable[..., Path]) -> None:
    import keras

    path = save(keras.applications.ResNet50(weights=None))
    assert read_checkpoint(path).parameters() == 25_636_712
