"""HDF5 models: every tensor is the live model's, and what is rewritten differs in nothing but the edits."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import h5py
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

pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")


def build(name: str) -> keras.Model:
    from tests.zoo import ZOO

    return ZOO[name]()


def load(path: Path) -> keras.Model:
    import keras

    return keras.saving.load_model(path, compile=False)


def assert_same_answers(a: keras.Model, b: keras.Model) -> None:
    from tests.zoo import assert_same_outputs, sample_inputs

    assert_same_outputs(a, b, sample_inputs(a))


def described(path: Path, key: str) -> list[tuple[str, str, bool]]:
    return [(tensor.name, tensor.slot, tensor.is_trainable) for tensor in read_checkpoint(path).weights[key]]


def refusal(path: Path) -> str:
    with pytest.raises(FileError) as refused:
        read_checkpoint(path)
    return str(refused.value)


KNOWN = [
    "adapted_normalization",
    "attention_scores",
    "batch_norm_variants",
    "bidirectional",
    "chain",
    "compiled_and_trained",
    "convolutional_recurrence",
    "custom_holding_a_layer",
    "float16",
    "frozen_container_of_trainable_leaves",
    "frozen_nested",
    "frozen_sequential",
    "functional_in_sequential",
    "half_frozen_nested",
    "mobile_block",
    "names_in_descending_order",
    "names_with_punctuation",
    "nested_called_three_times",
    "nested_three_deep",
    "nested_twice_side_by_side",
    "sequential_in_sequential",
    "sequential_without_input",
    "shared_at_depths",
    "stacked_cells",
    "subclassed_inside_functional",
    "time_distributed_model",
    "transformer_block",
    "unicode_names",
    "wrapper_in_wrapper",
]


@pytest.mark.parametrize("name", KNOWN)
def test_tensors_are_those_of_the_live_model(save: Callable[..., Path], name: str) -> None:
    model = build(name)
    checkpoint = read_checkpoint(save(model, "m.h5"))
    assert_holds_the_weights_of(checkpoint, model)
    assert checkpoint.parameters() == model.count_params()


@pytest.mark.parametrize("name", KNOWN)
def test_rewriting_without_edits_changes_no_byte(save: Callable[..., Path], tmp_path: Path, name: str) -> None:
    path = save(build(name), "m.h5")
    rewrite(read_checkpoint(path), tmp_path / "out.h5", "h5")
    assert (tmp_path / "out.h5").read_bytes() == path.read_bytes()


def test_names_are_the_ends_of_recorded_ones(save: Callable[..., Path]) -> None:
    import keras

    x = keras.Input((5, 4))
    y = keras.layers.LSTM(3, return_sequences=True, name="rnn")(x)
    y = keras.layers.Bidirectional(keras.layers.LSTM(2), name="both")(y)
    y = keras.layers.BatchNormalization(name="bn")(y)
    path = save(keras.Model(x, keras.layers.Dense(2, name="head")(y)), "m.h5")
    assert described(path, "head") == [("kernel", "head/head/kernel", True), ("bias", "head/head/bias", True)]
    assert [name for name, *_ in described(path, "rnn")] == [
        "lstm_cell/kernel",
        "lstm_cell/recurrent_kernel",
        "lstm_cell/bias",
    ]
    assert [name for name, *_ in described(path, "both")] == [
        f"{way}_lstm/lstm_cell/{name}"
        for way in ("forward", "backward")
        for name in ("kernel", "recurrent_kernel", "bias")
    ]
    assert [(name, may_train) for name, _, may_train in described(path, "bn")] == [
        ("gamma", True),
        ("beta", True),
        ("moving_mean", False),
        ("moving_variance", False),
    ]


def nested(**flags: bool) -> keras.Model:
    """Two levels around layers of one kind, so that order alone tells them apart."""
    import keras

    keras.utils.set_random_seed(3)
    x = keras.Input((4,), name="x")
    y = keras.layers.Dense(4, name="one", trainable=flags.get("one", True))(x)
    y = keras.layers.BatchNormalization(name="norm", trainable=flags.get("norm", True))(y)
    y = keras.layers.Dense(4, name="two")(y)
    inner = keras.Model(x, y, name="inner")
    z = keras.Input((4,), name="z")
    middle = keras.Model(z, keras.layers.Dense(4, name="three")(inner(z)), name="middle")
    middle.trainable = flags.get("middle", True)
    for variable in middle.variables:
        variable.assign(np.random.default_rng(len(variable.path)).normal(size=variable.shape))
    w = keras.Input((4,), name="w")
    return keras.Model(w, middle(w))


@pytest.mark.parametrize(
    "flags", [{}, {"one": False}, {"norm": False}, {"middle": False}, {"one": False, "norm": False}], ids=str
)
def test_flat_list_of_a_nested_model_is_spread_over_its_layers(save: Callable[..., Path], flags: dict) -> None:
    model = nested(**flags)
    checkpoint = read_checkpoint(save(model, "m.h5"))
    assert_holds_the_weights_of(checkpoint, model)
    inner = [tensor.name for tensor in checkpoint.weights["middle/inner/norm"]]
    assert inner == ["gamma", "beta", "moving_mean", "moving_variance"]


def rename_weights(path: Path, names: Callable[[str], str], *, layer: str = "middle") -> None:
    """Give recorded weights other names, as other versions of Keras do."""
    with h5py.File(path, "r+") as file:
        group = file["model_weights"][layer]
        old = list(group.attrs["weight_names"])
        for name in old:
            if names(name) != name:
                group.move(name, names(name))
        group.attrs["weight_names"] = [names(name).encode() for name in old]


@pytest.mark.parametrize("flags", [{}, {"one": False}, {"middle": False}], ids=str)
def test_order_tells_where_names_do_not(save: Callable[..., Path], flags: dict) -> None:
    model = nested(**flags)
    path = save(model, "m.h5")
    numbers: dict[str, str] = {}

    def scope(name: str) -> str:
        layer, _, end = name.rpartition("/")
        return f"scope_{numbers.setdefault(layer, str(len(numbers)))}/{end}:0"

    rename_weights(path, scope)
    assert_holds_the_weights_of(read_checkpoint(path), model)


def test_names_tell_where_the_order_does_not(save: Callable[..., Path]) -> None:
    import keras

    @keras.saving.register_keras_serializable("formats")
    class Shift(keras.layers.Layer):
        def build(self, _: Any) -> None:
            self.by = self.add_weight(shape=(4,), name="by", initializer="ones")

        def call(self, x: Any) -> Any:
            return x + self.by

    x = keras.Input((4,), name="x")
    y = Shift(name="shift")(keras.layers.Dense(4, name="dense", trainable=False)(x))
    inner = keras.Model(x, y, name="inner")
    z = keras.Input((4,), name="z")
    model = keras.Model(z, inner(z))
    checkpoint = read_checkpoint(save(model, "m.h5"))
    assert_holds_the_weights_of(checkpoint, model)
    assert [tensor.name for tensor in checkpoint.weights["inner/shift"]] == ["by"]


CANNOT_BE_TOLD = "lists 10 weights of the nested model 'middle', and which of its layers each belongs to cannot be told"


def test_names_that_contradict_the_order_are_refused(save: Callable[..., Path]) -> None:
    path = save(nested(), "m.h5")
    swapped = {"one": ".", "two": "one"}
    rename_weights(path, lambda name: "/".join(swapped.get(part, part) for part in name.split("/")))
    rename_weights(path, lambda name: name.replace(".", "two"))
    assert refusal(path) == f"'{path}' {CANNOT_BE_TOLD}"


def test_count_that_does_not_fit_is_refused(save: Callable[..., Path]) -> None:
    path = save(nested(), "m.h5")
    with h5py.File(path, "r+") as file:
        group = file["model_weights"]["middle"]
        group.attrs["weight_names"] = [name.encode() for name in list(group.attrs["weight_names"])[:-1]]
    assert refusal(path) == f"'{path}' {CANNOT_BE_TOLD.replace('10', '9')}"


def test_listed_weight_that_is_missing_is_refused(save: Callable[..., Path]) -> None:
    path = save(build("chain"), "m.h5")
    layer = next(iter(read_checkpoint(path).weights))
    with h5py.File(path, "r+") as file:
        del file["model_weights"][layer][layer]["kernel"]
    assert refusal(path) == f"'{path}' lists weight '{layer}/kernel' of layer '{layer}', but does not hold it"


def test_weights_of_a_layer_that_is_missing_are_refused(save: Callable[..., Path]) -> None:
    path = save(build("chain"), "m.h5")
    layer = next(iter(read_checkpoint(path).weights))
    with h5py.File(path, "r+") as file:
        names = list(file["model_weights"].attrs["layer_names"])
        file["model_weights"].move(layer, "stranger")
        file["model_weights"].attrs["layer_names"] = [
            (b"stranger" if name == layer else str(name).encode()) for name in names
        ]
    assert refusal(path) == f"'{path}' holds weights of layer 'stranger', which its architecture does not list"


def test_layer_without_weights_is_refused(save: Callable[..., Path]) -> None:
    path = save(build("chain"), "m.h5")
    layer = next(iter(read_checkpoint(path).weights))
    with h5py.File(path, "r+") as file:
        file["model_weights"][layer].attrs["weight_names"] = []
    assert refusal(path) == f"'{path}' holds no weights of layer '{layer}'"


def test_architecture_that_is_no_json_is_refused(save: Callable[..., Path]) -> None:
    path = save(build("chain"), "m.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = b"{"
    assert refusal(path) == (
        f"'{path}': its attribute 'model_config' is not JSON "
        "(Expecting property name enclosed in double quotes: line 1 column 2 (char 1))"
    )


def test_bfloat16_in_hdf5_is_refused(save: Callable[..., Path]) -> None:
    path = save(build("bfloat16"), "m.h5")
    assert refusal(path).endswith("in it holds bytes of an unknown type '|V2'")


@pytest.mark.parametrize("form", [str, lambda text: text.encode(), lambda text: np.bytes_(text.encode())])
def test_attributes_may_be_text_or_bytes(save: Callable[..., Path], form: Callable[[str], Any]) -> None:
    path = save(build("compiled_and_trained"), "m.h5")
    before = read_checkpoint(path)
    with h5py.File(path, "r+") as file:
        for name in ("model_config", "training_config", "keras_version"):
            file.attrs[name] = form(file.attrs[name])
    after = read_checkpoint(path)
    assert after.model == before.model
    assert after.origin == before.origin


def test_long_lists_of_names_may_be_spread_over_attributes(save: Callable[..., Path]) -> None:
    path = save(build("chain"), "m.h5")
    before = read_checkpoint(path)
    stored = contents(before)
    with h5py.File(path, "r+") as file:
        for group, name in [(file["model_weights"], "layer_names")] + [
            (file["model_weights"][key], "weight_names") for key in before.weights
        ]:
            names = [str(item).encode() for item in group.attrs.pop(name)]
            group.attrs[f"{name}0"], group.attrs[f"{name}1"] = names[:1], names[1:]
    assert contents(read_checkpoint(path)) == stored


def test_origin_tells_of_writer_compilation_and_optimizer(save: Callable[..., Path]) -> None:
    import keras

    origin = read_checkpoint(save(build("compiled_and_trained"), "m.h5")).origin
    assert origin is not None
    assert (origin.format, origin.writer) == ("hdf5", f"Keras {keras.__version__}")
    assert origin.compile_config is not None
    assert origin.compile_config["optimizer_config"]["class_name"]
    assert origin.has_optimizer_state
    plain = read_checkpoint(save(build("chain"), "plain.h5")).origin
    assert plain is not None
    assert (plain.compile_config, plain.has_optimizer_state) == (None, False)


@pytest.mark.parametrize(
    ("name", "key", "tensor"),
    [
        ("nested_three_deep", None, "kernel"),
        ("bidirectional", "both", "forward_lstm/lstm_cell/kernel"),
        ("compiled_and_trained", "norm", "moving_mean"),
        ("float16", None, "kernel"),
    ],
)
def test_edited_tensor_is_all_that_differs(
    save: Callable[..., Path], tmp_path: Path, name: str, key: str | None, tensor: str
) -> None:
    path = save(build(name), "m.h5")
    checkpoint = read_checkpoint(path)
    key = key or list(checkpoint.weights)[-1]
    edited = halve(checkpoint, key, tensor)
    rewrite(edited, tmp_path / "out.h5", "h5")
    again = read_checkpoint(tmp_path / "out.h5")
    assert differences(checkpoint, again) == [f"{key}:{tensor}"]
    assert contents(again) == contents(edited)
    assert (tmp_path / "out.h5").stat().st_size == path.stat().st_size


def test_keras_loads_what_was_edited(save: Callable[..., Path], tmp_path: Path) -> None:
    model = nested()
    checkpoint = read_checkpoint(save(model, "m.h5"))
    rewrite(halve(checkpoint, "middle/inner/two", "kernel"), tmp_path / "out.h5", "h5")
    layer = model.get_layer("middle").get_layer("inner").get_layer("two")
    layer.kernel.assign(layer.kernel * 0.5)
    assert_same_answers(model, load(tmp_path / "out.h5"))


def test_chunked_dataset_is_edited(save: Callable[..., Path], tmp_path: Path) -> None:
    path = save(build("chain"), "m.h5")
    key = next(iter(read_checkpoint(path).weights))
    with h5py.File(path, "r+") as file:
        group = file["model_weights"][key][key]
        values = group["kernel"][()]
        del group["kernel"]
        group.create_dataset("kernel", data=values, chunks=True, compression="gzip")
    checkpoint = read_checkpoint(path)
    rewrite(halve(checkpoint, key, "kernel"), tmp_path / "out.h5", "h5")
    again = read_checkpoint(tmp_path / "out.h5")
    assert differences(checkpoint, again) == [f"{key}:kernel"]
    np.testing.assert_array_equal(again.weights[key][0].read(), values * np.float32(0.5))


def test_every_copy_of_a_shared_layer_is_edited(save: Callable[..., Path], tmp_path: Path) -> None:
    path = save(build("layer_inside_and_outside"), "m.h5")
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        layers = config["config"]["layers"]
        inner = next(layer for layer in layers if layer["class_name"] == "Functional")["config"]["layers"]
        for layer in (*layers, *inner):
            if layer["config"]["name"] == "shared":
                layer["shared_object_id"] = 7
        file.attrs["model_config"] = json.dumps(config)
    checkpoint = read_checkpoint(path)
    assert len(contents(checkpoint)) == 4
    key = next(located.layer.key for located in walk(checkpoint.model) if located.layer.name == "shared")
    rewrite(halve(checkpoint, key, "kernel"), tmp_path / "out.h5", "h5")
    with h5py.File(path) as old, h5py.File(tmp_path / "out.h5") as new:
        for place in ("shared", "inner"):
            before, after = (file[f"model_weights/{place}/shared/kernel"][()] for file in (old, new))
            np.testing.assert_array_equal(after, before * np.float32(0.5))


def test_renamed_layers_are_renamed_in_architecture_and_weights(save: Callable[..., Path], tmp_path: Path) -> None:
    model = nested()
    checkpoint = read_checkpoint(save(model, "m.h5"))
    edited = rename(checkpoint, {"middle": "outer", "middle/inner/one": "first"})
    rewrite(edited, tmp_path / "out.h5", "h5")
    again = read_checkpoint(tmp_path / "out.h5")
    assert {key: [tensor.slot for tensor in tensors] for key, tensors in again.weights.items()} == {
        "outer/inner/first": ["outer/first/kernel", "outer/first/bias"],
        "outer/inner/norm": [f"outer/norm/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")],
        "outer/inner/two": ["outer/two/kernel", "outer/two/bias"],
        "outer/three": ["outer/three/kernel", "outer/three/bias"],
    }
    assert sorted(contents(again).values()) == sorted(contents(checkpoint).values())
    assert_same_answers(model, load(tmp_path / "out.h5"))


def test_two_layers_may_swap_names(save: Callable[..., Path], tmp_path: Path) -> None:
    model = build("chain")
    checkpoint = read_checkpoint(save(model, "m.h5"))
    one, other = list(checkpoint.weights)[:2]
    edited = halve(rename(checkpoint, {one: other, other: one}), one, "kernel")
    rewrite(edited, tmp_path / "out.h5", "h5")
    again = read_checkpoint(tmp_path / "out.h5")
    before, after = contents(edited), contents(again)
    assert after[f"{other}:kernel"] == before[f"{one}:kernel"]
    assert after[f"{one}:kernel"] == before[f"{other}:kernel"]
    assert [tensor.slot for tensor in again.weights[other]] == [f"{other}/{other}/kernel", f"{other}/{other}/bias"]
    model.get_layer(one).kernel.assign(model.get_layer(one).kernel * 0.5)
    assert_same_answers(model, load(tmp_path / "out.h5"))


def test_many_long_names_are_split_over_attributes(save: Callable[..., Path], tmp_path: Path) -> None:
    import keras

    x = keras.Input((1,))
    y = x
    for number in range(40):
        y = keras.layers.Dense(1, name=f"layer_{number}")(y)
    checkpoint = read_checkpoint(save(keras.Model(x, y), "m.h5"))
    edited = rename(checkpoint, {f"layer_{number}": f"{'x' * 2000}_{number}" for number in range(40)})
    rewrite(edited, tmp_path / "out.h5", "h5")
    with h5py.File(tmp_path / "out.h5") as file:
        assert {"layer_names0", "layer_names1"} <= set(file["model_weights"].attrs)
        assert "layer_names" not in file["model_weights"].attrs
    again = read_checkpoint(tmp_path / "out.h5")
    assert list(contents(again).values()) == list(contents(checkpoint).values())


def test_freezing_drops_the_optimizers_state_and_its_room(save: Callable[..., Path], tmp_path: Path) -> None:
    path = save(build("compiled_and_trained"), "m.h5")
    checkpoint = read_checkpoint(path)
    rewrite(freeze(checkpoint, "head"), tmp_path / "out.h5", "h5")
    again = read_checkpoint(tmp_path / "out.h5")
    assert again.origin is not None
    assert again.origin.compile_config is not None
    assert not again.origin.has_optimizer_state
    assert differences(checkpoint, again) == []
    assert (tmp_path / "out.h5").stat().st_size < path.stat().st_size
    assert not load(tmp_path / "out.h5").get_layer("head").trainable


@pytest.mark.parametrize(
    "path", ["middle/inner/one", "middle/inner/norm", "middle/inner/two", "middle/inner", "middle"]
)
@pytest.mark.parametrize("flags", [{}, {"one": False}], ids=str)
def test_weights_of_a_nested_model_are_listed_anew_when_a_layer_in_it_is_frozen(
    save: Callable[..., Path], tmp_path: Path, path: str, flags: dict
) -> None:
    model = nested(**flags)
    checkpoint = read_checkpoint(save(model, "m.h5"))
    frozen = freeze(checkpoint, path)
    rewrite(frozen, tmp_path / "out.h5", "h5")
    again = read_checkpoint(tmp_path / "out.h5")
    assert differences(checkpoint, again) == []
    assert again.model == frozen.model
    assert_same_answers(model, load(tmp_path / "out.h5"))


def test_edit_rename_and_freeze_together(save: Callable[..., Path], tmp_path: Path) -> None:
    model = nested()
    checkpoint = read_checkpoint(save(model, "m.h5"))
    edited = freeze(halve(checkpoint, "middle/inner/one", "bias"), "middle/inner/one")
    rewrite(rename(edited, {"middle/inner/one": "first"}), tmp_path / "out.h5", "h5")
    layer = model.get_layer("middle").get_layer("inner").get_layer("one")
    layer.bias.assign(layer.bias * 0.5)
    assert_same_answers(model, load(tmp_path / "out.h5"))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["m.h5", "out.h5"]


@pytest.mark.parametrize("name", ["frozen_leaf", "frozen_nested", "batch_norm_variants", "bidirectional", "chain"])
def test_keras_loads_a_model_whose_every_flag_was_turned(save: Callable[..., Path], tmp_path: Path, name: str) -> None:
    model = build(name)
    checkpoint = read_checkpoint(save(model, "m.h5"))
    for located in walk(checkpoint.model):
        if located.layer.graph is None and checkpoint.weights.of(located.layer.key):
            checkpoint = freeze(checkpoint, located.path, flag=not located.layer.config["trainable"])
    rewrite(checkpoint, tmp_path / "out.h5", "h5")
    assert_same_answers(model, load(tmp_path / "out.h5"))


def test_flag_of_a_layer_with_an_unknown_order_is_refused(save: Callable[..., Path], tmp_path: Path) -> None:
    checkpoint = read_checkpoint(save(build("custom_holding_a_layer"), "m.h5"))
    with pytest.raises(FileError) as refused:
        rewrite(freeze(checkpoint, "holder"), tmp_path / "out.h5", "h5")
    assert str(refused.value) == (
        "the order of the weights of 'holder' with its new flags is not known, and HDF5 files go by it; "
        "save as '.keras'"
    )


def test_layers_of_an_opaque_model_are_those_that_the_file_lists(save: Callable[..., Path], tmp_path: Path) -> None:
    model = build("subclassed")
    checkpoint = read_checkpoint(save(model, "m.h5"))
    assert checkpoint.is_opaque
    assert [located.path for located in checkpoint.inner] == ["stem", "norm", "head"]
    assert sorted(contents(checkpoint).values()) == sorted(v.numpy().tobytes() for v in model.weights)
    rewrite(halve(checkpoint, "head", "kernel"), tmp_path / "out.h5", "h5")
    assert differences(checkpoint, read_checkpoint(tmp_path / "out.h5")) == ["head:kernel"]


def test_origin_that_was_replaced_is_refused(save: Callable[..., Path], tmp_path: Path) -> None:
    path = save(build("chain"), "m.h5")
    checkpoint = read_checkpoint(path)
    shutil.copy(save(build("residual"), "other.h5"), path)
    with pytest.raises(FileError) as refused:
        rewrite(replace(checkpoint), tmp_path / "out.h5", "h5")
    assert str(refused.value) == f"'{path}' changed while it was read; run again"
