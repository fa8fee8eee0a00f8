"""SavedModel directories: those of Keras 2 become editable graphs, all others say what they are."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tf_keras.protobuf import saved_metadata_pb2

from modelrecipe.errors import FileError
from modelrecipe.formats import read_checkpoint
from tests.old_keras import assert_same_numbers, convert, perturb, tf_keras, write
from tests.running import refuse, run, told

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from modelrecipe.checkpoint import Checkpoint

layers = tf_keras.layers


def _chain() -> Any:
    return tf_keras.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.DepthwiseConv2D(2, name="depthwise"),
            layers.SeparableConv2D(3, 2, name="separable"),
            layers.Flatten(),
            layers.Dense(2, name="head"),
        ]
    )


def _implicit() -> Any:
    model = tf_keras.Sequential([layers.Dense(3, activation="relu"), layers.Dense(2)])
    model(np.zeros((1, 8), "float32"))
    return model


def _nested() -> Any:
    inner_input = layers.Input((6,))
    inner = tf_keras.Model(inner_input, layers.Dense(6, name="same")(inner_input), name="inner")
    tower = tf_keras.Sequential([layers.Input((6,)), layers.Dense(6, name="same"), inner], name="tower")
    given = layers.Input((6,))
    flow = tower(layers.Dense(6, name="same")(given))
    return tf_keras.Model(given, [inner(flow), layers.LayerNormalization(name="norm")(flow)])


def _shared() -> Any:
    one, other = layers.Input((4,), name="one"), layers.Input((4,), name="other")
    dense = layers.Dense(3, name="twice")
    return tf_keras.Model([one, other], layers.Add()([dense(one), dense(other)]))


def _recurrent() -> Any:
    given = layers.Input((5, 3))
    flow = layers.Bidirectional(layers.LSTM(4, return_sequences=True), name="both")(given)
    flow = layers.Bidirectional(layers.GRU(4, return_sequences=True), name="gates")(flow)
    cells = [layers.LSTMCell(3), layers.GRUCell(2), layers.LSTMCell(4)]
    flow = layers.RNN(cells, return_sequences=True, name="stacked")(flow)
    flow = layers.TimeDistributed(layers.Dense(3), name="each")(flow)
    return tf_keras.Model(given, layers.SimpleRNN(2, name="simple")(flow))


def _convolutional_recurrent() -> Any:
    given = layers.Input((4, 6, 6, 2))
    return tf_keras.Model(given, layers.ConvLSTM2D(3, 2, name="recurrent")(given))


def _attention() -> Any:
    given = layers.Input((5, 6))
    flow = layers.MultiHeadAttention(2, 3, name="attention")(given, given)
    return tf_keras.Model(given, layers.Dense(2)(layers.Add()([given, flow])))


def _various() -> Any:
    given = layers.Input((6,), dtype="int32")
    flow = layers.Embedding(10, 8, name="words")(given)
    flow = layers.PReLU(name="slope")(layers.EinsumDense("abc,cd->abd", (6, 6), bias_axes="d")(flow))
    flow = layers.GroupNormalization(2, name="groups")(flow)
    return tf_keras.Model(given, layers.Conv1DTranspose(3, 2)(layers.Dropout(0.5)(flow)))


def _statistics() -> Any:
    scale = layers.Normalization(name="scale")
    scale.adapt(np.random.default_rng(2).normal(3, 2, (50, 4)).astype("float32"))
    return tf_keras.Sequential([layers.Input((4,)), scale, layers.Dense(2)])


def _deep_wrapper() -> Any:
    inner = tf_keras.Sequential([layers.Input((3, 4)), layers.LSTM(5, name="inner_lstm"), layers.Dense(2)])
    given = layers.Input((2, 3, 4))
    return tf_keras.Model(given, layers.TimeDistributed(inner, name="outer")(given))


_MODELS = [
    (_chain, [(8, 8, 3)]),
    (_implicit, [(8,)]),
    (_nested, [(6,)]),
    (_shared, [(4,), (4,)]),
    (_recurrent, [(5, 3)]),
    (_convolutional_recurrent, [(4, 6, 6, 2)]),
    (_attention, [(5, 6)]),
    (_various, [(6,)]),
    (_statistics, [(4,)]),
    (_deep_wrapper, [(2, 3, 4)]),
]


def _inputs(model: Any, shapes: list[tuple[int, ...]]) -> Any:
    random = np.random.default_rng(5)
    is_whole = bool(model.inputs) and model.inputs[0].dtype.name == "int32"
    found = [
        random.integers(0, 9, (2, *shape)).astype("int32") if is_whole else random.normal(size=(2, *shape)).astype("f")
        for shape in shapes
    ]
    return found if len(found) > 1 else found[0]


@pytest.mark.parametrize(("make", "shapes"), _MODELS, ids=[make.__name__ for make, _ in _MODELS])
def test_a_keras_model_gives_the_same_numbers(
    tmp_path: Path, make: Callable[[], Any], shapes: list[tuple[int, ...]]
) -> None:
    old = make()
    perturb(old if make is not _statistics else old.layers[-1])
    assert_same_numbers(old, convert(write(old, tmp_path / "dir")), _inputs(old, shapes))


def read(path: Path) -> Checkpoint:
    return read_checkpoint(path)


def refusal(path: Path, format: str | None = None) -> str:
    with pytest.raises(FileError) as caught:
        read_checkpoint(path, format)
    return str(caught.value)


def small(folder: Path) -> Path:
    return write(tf_keras.Sequential([layers.Input((4,)), layers.Dense(3, name="head")], name="net"), folder / "dir")


def with_metadata_inside(path: Path) -> None:
    """Make of a directory what TensorFlow before 2.5 wrote: Keras' metadata stand in the objects themselves."""
    message = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    noted = saved_metadata_pb2.SavedMetadata.FromString((path / "keras_metadata.pb").read_bytes())
    for item in noted.nodes:
        message.meta_graphs[0].object_graph_def.nodes[item.node_id].user_object.metadata = item.metadata
    (path / "saved_model.pb").write_bytes(message.SerializeToString())
    (path / "keras_metadata.pb").unlink()


def test_what_is_read_has_the_names_and_places_of_keras_3(tmp_path: Path) -> None:
    found = read(write(_recurrent(), tmp_path / "dir"))
    assert [(tensor.name, tensor.slot) for tensor in found.weights.of("both")][:2] == [
        ("backward_lstm/lstm_cell/kernel", "backward_layer/cell/vars/0"),
        ("backward_lstm/lstm_cell/recurrent_kernel", "backward_layer/cell/vars/1"),
    ]
    assert [tensor.slot for tensor in found.weights.of("stacked")][3:] == [
        *(f"cell/cells/gru_cell/vars/{number}" for number in range(3)),
        *(f"cell/cells/lstm_cell_1/vars/{number}" for number in range(3)),
    ]
    origin = found.origin
    assert origin is not None
    assert (origin.format, origin.writer, origin.has_optimizer_state) == (
        "saved_model",
        f"Keras {tf_keras.__version__}",
        False,
    )


def test_metadata_may_stand_in_the_objects(tmp_path: Path) -> None:
    old = perturb(_nested())
    path = write(old, tmp_path / "dir")
    with_metadata_inside(path)
    assert_same_numbers(old, convert(path), _inputs(old, [(6,)]))


def test_layers_of_others_keep_what_the_metadata_say(tmp_path: Path) -> None:
    class Twice(layers.Layer):
        def __init__(self, factor: int = 2, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.factor = factor
            self.inner = layers.Dense(3, name="inner")

        def build(self, shape: Any) -> None:
            self.scale = self.add_weight("scale", (1,))
            super().build(shape)

        def call(self, inputs: Any) -> Any:
            return self.inner(inputs) * self.scale * self.factor

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "factor": self.factor}

    old = perturb(tf_keras.Sequential([layers.Input((4,)), Twice(5, name="mine")]))
    found = read(write(old, tmp_path / "dir"))
    layer = next(item.layer for item in found.layers() if item.path == "mine")
    assert (layer.class_name.rpartition(">")[2], layer.config["factor"]) == ("Twice", 5)
    tensors = found.weights.of("mine")
    assert sorted(tensor.shape for tensor in tensors if tensor.shape) == [(1,), (3,), (4, 3)]
    wanted = {value.name.rpartition("/")[2].partition(":")[0]: value.numpy() for value in old.layers[-1].weights}
    for tensor in tensors:
        assert np.array_equal(tensor.read(), wanted[tensor.name.rpartition("/")[2]])


def test_training_configuration_is_read(tmp_path: Path) -> None:
    model = tf_keras.Sequential([layers.Input((4,)), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(np.zeros((4, 4)), np.zeros((4, 1)), verbose=0)
    origin = read(write(model, tmp_path / "dir")).origin
    assert origin is not None
    assert origin.has_optimizer_state
    assert origin.compile_config is not None
    assert origin.compile_config["loss"] == "mse"


def test_a_subclassed_model_is_refused(tmp_path: Path) -> None:
    class Mine(tf_keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.head = layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.head(inputs)

    model = Mine()
    model(np.zeros((1, 3), "float32"))
    path = write(model, tmp_path / "dir")
    assert refusal(path) == (
        f"'{path}' holds the subclassed model 'Mine', of which Keras noted no graph of layers, so it cannot be rebuilt; "
        "take it in as one opaque layer with 'format: tfsm'"
    )


def _module(path: Path) -> Path:
    """What `tf.saved_model.save` writes of a module with one function."""

    class Plain(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = tf.Variable(3.0)

        @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32, name="x")])
        def __call__(self, x: Any) -> Any:
            return {"twice": x * 2, "all": tf.reduce_sum(x * self.factor, 1)}

    module = Plain()
    tf.saved_model.save(module, str(path), signatures=module.__call__)
    return path


def test_a_directory_without_keras_metadata_says_so(tmp_path: Path) -> None:
    path = _module(tmp_path / "dir")
    assert refusal(path) == (
        f"'{path}' is a SavedModel of TensorFlow {tf.__version__} without Keras metadata: functions, no layers "
        "(signatures: 'serving_default'); take it in as one opaque layer with 'format: tfsm'"
    )


def test_such_a_directory_is_one_opaque_layer_where_that_is_asked_for(tmp_path: Path) -> None:
    path = _module(tmp_path / "dir")
    found = read_checkpoint(path, "tfsm")
    assert [(item.path, item.layer.class_name) for item in found.layers()] == [
        ("x", "InputLayer"),
        ("saved_model", "TFSMLayer"),
    ]
    graph = found.model.graph
    assert graph is not None
    assert {name: (ref.index, ref.shape) for name, ref in graph.outputs.items()} == {
        "all": (0, (None,)),
        "twice": (1, (None, 4)),
    }
    assert graph.layer("saved_model").config["filepath"] == str(path)


def test_the_graph_of_an_opaque_layer_is_executed_with_permission_alone(tmp_path: Path) -> None:
    path = _module(tmp_path / "dir")
    steps = ("load: {path: dir, format: tfsm}", "save: out.keras")
    assert told(refuse(tmp_path, *steps)) == (
        "4:11: save: 'saved_model' (TFSMLayer) executes the graph of a SavedModel directory; "
        "pass --allow-code if you trust it"
    )
    run(tmp_path, *steps, allow_code=True)
    with pytest.raises(ValueError, match="TFSMLayer"):
        keras.saving.load_model(tmp_path / "out.keras")
    written = keras.saving.load_model(tmp_path / "out.keras", safe_mode=False)
    given = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    wanted = tf.saved_model.load(str(path)).signatures["serving_default"](tf.constant(given))
    found = written(given)
    assert {name: np.asarray(found[name]).tolist() for name in found} == {
        name: wanted[name].numpy().tolist() for name in wanted
    }


def test_a_written_opaque_layer_is_not_executed(tmp_path: Path) -> None:
    _module(tmp_path / "dir")
    run(tmp_path, "load: {path: dir, format: tfsm}", "save: out.keras", allow_code=True)
    steps = ("load: out.keras", "insert: {after: saved_model, layer: {class: Identity}}", "save: {path: again.keras}")
    assert "executes the graph of a SavedModel directory" in str(refuse(tmp_path, *steps, allow_code=True))


def test_a_signature_of_two_inputs_is_no_opaque_layer(tmp_path: Path) -> None:
    path = write(_shared(), tmp_path / "dir")
    assert refusal(path, "tfsm") == (
        f"'{path}': its signature 'serving_default' takes 2 tensors ('one', 'other'), but a TFSMLayer gives one; "
        "export the model anew with one input"
    )


def test_a_vocabulary_in_the_graph_is_not_lost_in_silence(tmp_path: Path) -> None:
    given = layers.Input((1,), dtype="int64")
    model = tf_keras.Model(given, layers.IntegerLookup(vocabulary=[1, 3, 5], name="words")(given))
    path = write(model, tmp_path / "dir")
    assert refusal(path) == (
        f"'{path}' keeps the vocabulary of layer 'words' (IntegerLookup) in TensorFlow's graph, which is not read; "
        "take it in as one opaque layer with 'format: tfsm', or save the model as '.h5' with the Keras that wrote it"
    )


def test_parts_of_a_directory_are_told_from_models(tmp_path: Path) -> None:
    path = small(tmp_path)
    file = path / "saved_model.pb"
    assert refusal(file) == f"'{file}' is a part of a SavedModel; name its directory '{path}'"
    for part in (path / "variables", path / "variables" / "variables.index"):
        assert refusal(part) == (
            f"'{part}' holds a TensorFlow checkpoint: weights only, no architecture; "
            "name it under 'weights' beside an 'architecture'"
        )


def test_damage_is_told(tmp_path: Path) -> None:
    path = small(tmp_path)
    for name in ("saved_model.pb", "keras_metadata.pb"):
        whole = (path / name).read_bytes()
        (path / name).write_bytes(whole[: len(whole) // 2])
        assert refusal(path) == f"'{path / name}' is damaged: a field in it is longer than what is there"
        (path / name).write_bytes(whole)
    shutil.rmtree(path / "variables")
    index = path / "variables" / "variables"
    assert refusal(path) == f"'{index}' is no TensorFlow checkpoint: there is no 'variables.index'"


def test_variables_of_another_model_are_refused(tmp_path: Path) -> None:
    path = small(tmp_path)
    other = write(tf_keras.Sequential([layers.Input((4,)), layers.Flatten(name="head")]), tmp_path / "other")
    shutil.rmtree(path / "variables")
    shutil.copytree(other / "variables", path / "variables")
    assert refusal(path) == f"'{path}' holds no weights of layer 'head'"


def test_the_content_decides_against_a_format_that_is_asked_for(tmp_path: Path) -> None:
    path = small(tmp_path)
    assert refusal(path, "h5") == f"'{path}' is a SavedModel directory, but 'h5' is asked for; leave 'format' out"
