"""TensorFlow checkpoints against TensorFlow's own reader, and damaged ones."""

from __future__ import annotations

import struct
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf

from modelrecipe.errors import FileError
from modelrecipe.formats.tensorflow.bundle import read_bundle
from modelrecipe.formats.tensorflow.crc32c import crc32c, masked
from modelrecipe.formats.tensorflow.object_graph import checkpoint_entries, read_objects
from modelrecipe.formats.tensorflow.tracked_layers import tracked_by_layer
from modelrecipe.keras_config import read_model
from tests.old_keras import perturb, tf_keras

if TYPE_CHECKING:
    from pathlib import Path

layers = tf_keras.layers
TYPES = ("float16", "bfloat16", "float32", "float64", "int8", "uint16", "int32", "int64", "bool", "complex64")


def save(folder: Path, **values: Any) -> Path:
    """A checkpoint of these variables and tensors; its prefix."""
    found = {name: tf.Variable(value) for name, value in values.items()}
    return folder / tf.train.Checkpoint(**found).write(str(folder / "ck"))


def save_named(folder: Path, **variables: Any) -> Path:
    """A checkpoint as `tf.train.Saver` of TensorFlow 1 writes it; a tuple is a shape that is written in three parts."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name, value in variables.items():
            is_parted = isinstance(value, tuple)
            tf.compat.v1.get_variable(
                name,
                shape=value if is_parted else None,
                initializer=tf.random_normal_initializer() if is_parted else tf.constant(value),
                partitioner=tf.compat.v1.fixed_size_partitioner(3, axis=is_parted and len(value) - 1)
                if is_parted
                else None,
            )
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(folder / "named"), write_meta_graph=False)
    return folder / "named"


def assert_as_tensorflow_reads(prefix: Path) -> None:
    bundle, reader = read_bundle(prefix), tf.train.load_checkpoint(str(prefix))
    assert {*bundle.tensors, *bundle.texts} == set(reader.get_variable_to_shape_map())
    for name, stored in bundle.tensors.items():
        wanted, found = reader.get_tensor(name), stored.source()
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape) == (np.dtype(wanted.dtype), stored.shape)
        assert found.tobytes() == wanted.tobytes()


def test_every_type_and_shape_is_read(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    values = {name: tf.cast(tf.constant(random.uniform(0, 9, (2, 3))), name) for name in TYPES}
    prefix = save(tmp_path, **values, scalar=1.5, empty=np.zeros((0, 4)), large=random.normal(size=(300, 500)))
    assert_as_tensorflow_reads(prefix)
    stored = read_bundle(prefix).tensors
    assert [stored[f"{name}/.ATTRIBUTES/VARIABLE_VALUE"].dtype for name in TYPES] == list(TYPES)


def test_texts_are_no_tensors(tmp_path: Path) -> None:
    prefix = save(tmp_path, words=np.array(["a", "b"]), number=1.0)
    assert list(read_bundle(prefix).tensors) == ["number/.ATTRIBUTES/VARIABLE_VALUE"]


def test_several_data_files_are_one_checkpoint(tmp_path: Path) -> None:
    with tf.device("cpu:0"):
        one = save(tmp_path, first=np.arange(6.0))
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "two"), tensor_names=["second"], shape_and_slices=[""], tensors=[tf.constant([7.0])]
    )
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=[str(one), str(tmp_path / "two")], destination_prefix=str(tmp_path / "both")
    )
    assert len(list(tmp_path.glob("both.data-*-of-00002"))) == 2
    assert_as_tensorflow_reads(tmp_path / "both")


def test_variables_in_parts_are_put_together(tmp_path: Path) -> None:
    prefix = save_named(tmp_path, rows=(200, 70), columns=(3, 4, 900), plain=np.arange(5.0))
    assert_as_tensorflow_reads(prefix)
    assert [entry.path for entry in checkpoint_entries(prefix)] == ["columns", "plain", "rows"]
    assert all(entry.is_named for entry in checkpoint_entries(prefix))


def test_a_checkpoint_goes_by_each_of_its_names(tmp_path: Path) -> None:
    prefix = save(tmp_path, number=1.0)
    named = [prefix, tmp_path / "ck.index", tmp_path / "ck.data-00000-of-00001", tmp_path]
    assert [read_bundle(path).prefix for path in named] == [prefix] * 4
    save_named(tmp_path, other=2.0)  # writes a file `checkpoint`, which tells which one is the newest
    assert read_bundle(tmp_path).prefix == tmp_path / "named"


def test_a_folder_of_several_checkpoints_is_refused(tmp_path: Path) -> None:
    save(tmp_path, number=1.0)
    for ending in ("index", "data-00000-of-00001"):
        (tmp_path / f"other.{ending}").write_bytes((tmp_path / f"ck.{ending}").read_bytes())
    assert refusal(tmp_path) == f"'{tmp_path}' holds 2 checkpoints: 'ck.index', 'other.index'; name one"
    (tmp_path / "empty").mkdir()
    assert refusal(tmp_path / "empty") == f"'{tmp_path / 'empty'}' holds no TensorFlow checkpoint"
    assert refusal(tmp_path / "no") == f"'{tmp_path / 'no'}' is no TensorFlow checkpoint: there is no 'no.index'"


def refusal(path: Path) -> str:
    """What reading all of a checkpoint is refused with."""
    with pytest.raises(FileError) as caught:
        read_all(path)
    return str(caught.value)


def read_all(path: Path) -> None:
    for entry in checkpoint_entries(path):
        entry.stored.source()


def test_a_missing_data_file_is_named(tmp_path: Path) -> None:
    prefix = save(tmp_path, number=1.0)
    (tmp_path / "ck.data-00000-of-00001").unlink()
    assert refusal(prefix) == (
        "'ck.index' tells of 'ck.data-00000-of-00001', which is not there; a checkpoint is all its files: put that "
        "one beside it"
    )


def test_a_truncated_data_file_is_refused(tmp_path: Path) -> None:
    prefix = save(tmp_path, number=np.arange(1000.0))
    data = tmp_path / "ck.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:900])
    assert refusal(prefix).startswith(f"'{data}' is truncated: ")


def test_a_flipped_bit_of_the_numbers_is_found(tmp_path: Path) -> None:
    prefix = save(tmp_path, number=np.arange(10_000.0))
    data = tmp_path / "ck.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[40_000] ^= 4
    data.write_bytes(content)
    assert refusal(prefix) == f"'{data}' is damaged: bytes 0 to 80000 have another checksum"


def test_every_flipped_byte_of_the_index_is_refused_or_harmless(tmp_path: Path) -> None:
    prefix = save(tmp_path, one=np.arange(4.0), two=1)
    index = tmp_path / "ck.index"
    whole = index.read_bytes()
    wanted = read_bundle(prefix).tensors
    harmless = 0
    for place in range(len(whole)):
        index.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            found = read_bundle(prefix).tensors
        except FileError as error:
            found, said = wanted, str(error)
        else:
            said = ""
            harmless += 1
        assert found == wanted
        assert said == "" or said.startswith(f"'{index}' is damaged: ")
    assert harmless < 40  # the padding in the footer


def test_every_truncation_of_the_index_is_refused(tmp_path: Path) -> None:
    prefix = save(tmp_path, one=np.arange(4.0))
    index = tmp_path / "ck.index"
    whole = index.read_bytes()
    for size in range(len(whole)):
        index.write_bytes(whole[:size])
        assert refusal(prefix) == f"'{index}' is damaged: it does not end as a table does"


def field(number: int, value: int | bytes) -> bytes:
    """A field of a protocol buffer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(number: int) -> bytes:
    found = b""
    while number > 0x7F:
        found, number = found + bytes([number & 0x7F | 0x80]), number >> 7
    return found + bytes([number])


def table(entries: dict[bytes, bytes]) -> bytes:
    """An `.index` file of one block, with right checksums."""
    content = b"".join(
        varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in sorted(entries.items())
    )
    blocks, handles = b"", []
    for inner in (content, b"", None):
        if inner is None:
            inner = varint(0) + varint(1) + varint(len(handles[0])) + b"z" + handles[0]
        block = inner + struct.pack("<II", 0, 1)
        handles.append(varint(len(blocks)) + varint(len(block)))
        crc = masked(crc32c(np.frombuffer(block + b"\0", np.uint8)))
        blocks += block + b"\0" + struct.pack("<I", crc)
    return blocks + (handles[1] + handles[2]).ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def entry(*sizes: int, dtype: int = 1, shard: int = 0, offset: int = 0, size: int = 16) -> bytes:
    shape = b"".join(field(2, field(1, one % 2**64)) for one in sizes)
    return field(1, dtype) + field(2, shape) + field(3, shard) + field(4, offset) + field(5, size)


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({}, "it has no header"),
        ({b"": field(1, 1 << 40)}, "it speaks of 1099511627776 data files"),
        ({b"": field(1, 1), b"x": entry(4, shard=3)}, "'x' in it lies in data file 3 of 1"),
        ({b"": field(1, 1), b"x": entry(5)}, "'x' in it has 16 bytes, which is not what (5,) of float32 takes"),
        ({b"": field(1, 1), b"x": entry(-1)}, "a tensor in it has no definite shape"),
        ({b"": field(1, 1), b"x": entry(*[1 << 30] * 3)}, "a tensor in it has no definite shape"),
        ({b"": field(1, 1), b"x": entry(0, 1 << 60)}, "a tensor in it has no definite shape"),
        ({b"": field(1, 1), b"\xff": entry(4)}, "a text in it is not UTF-8"),
        ({b"": field(1, 1), b"x": field(1, b"a")}, "field 1 in it is no number"),
        ({b"": field(1, 1), b"x": b"\x0a\xff\x01"}, "a field in it is longer than what is there"),
        ({b"": field(1, 1), b"x": b"\xff" * 20}, "a number in it has no end"),
        ({b"": field(1, 1), b"x": b"\x0b"}, "a field in it is of the unknown kind 3"),
        (
            {b"": field(1, 1) + field(2, 1), b"x": entry(8, dtype=14)},
            "'x' in it is bfloat16 of a machine with another byte order",
        ),
        ({b"": field(1, 1), b"x": entry(4) + field(7, field(1, b""))}, "a part of 'x' is missing in it"),
        ({b"": field(1, 1), b"x": entry(4) + field(7, b"")}, "a part of a tensor has another rank than the whole"),
        (
            {b"": field(1, 1), b"x": entry(4) + field(7, field(1, field(1, 3) + field(2, 2)))},
            "a part of a tensor reaches out of it",
        ),
    ],
)
def test_a_hostile_index_is_refused(tmp_path: Path, entries: dict[bytes, bytes], told: str) -> None:
    (tmp_path / "x.index").write_bytes(table(entries))
    (tmp_path / "x.data-00000-of-00001").write_bytes(bytes(16))
    assert refusal(tmp_path / "x") == f"'{tmp_path / 'x.index'}' is damaged: {told}"


def test_an_index_of_another_byte_order_is_read(tmp_path: Path) -> None:
    numbers = np.arange(4, dtype=">f4").tobytes()
    crc = masked(crc32c(np.frombuffer(numbers, np.uint8)))
    header = {b"": field(1, 1) + field(2, 1)}
    (tmp_path / "x.index").write_bytes(table({**header, b"x": entry(4) + b"\x35" + struct.pack("<I", crc)}))
    (tmp_path / "x.data-00000-of-00001").write_bytes(numbers)
    assert read_bundle(tmp_path / "x").tensors["x"].source().tolist() == [0, 1, 2, 3]


def test_data_outside_its_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.index").write_bytes(table({b"": field(1, 1), b"x": entry(4, offset=1 << 62)}))
    data = tmp_path / "x.data-00000-of-00001"
    data.write_bytes(bytes(16))
    assert refusal(tmp_path) == f"'{data}' is truncated: 'x' reaches past its end"


def _saved(model: Any, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_weights(path, save_format="tf")
    return path


def _model() -> Any:
    given = layers.Input((5, 3))
    inner = tf_keras.Sequential([layers.Input((8,)), layers.Dense(3, name="deep")], name="inner")
    flow = layers.Bidirectional(layers.LSTM(4), name="both")(given)
    model = tf_keras.Model(given, layers.Dense(2, name="head")(inner(flow)))
    model.compile("adam", "mse")
    return perturb(model)


def test_entries_go_by_objects(tmp_path: Path) -> None:
    model = _model()
    model.train_on_batch(np.zeros((1, 5, 3)), np.zeros((1, 2)))
    entries = checkpoint_entries(_saved(model, tmp_path / "w"))
    own = {item.path: item.name for item in entries if not item.is_optimizer}
    assert own == {
        "layer_with_weights-0/forward_layer/cell/kernel": "both/forward_lstm/lstm_cell/kernel",
        "layer_with_weights-0/forward_layer/cell/recurrent_kernel": "both/forward_lstm/lstm_cell/recurrent_kernel",
        "layer_with_weights-0/forward_layer/cell/bias": "both/forward_lstm/lstm_cell/bias",
        "layer_with_weights-0/backward_layer/cell/kernel": "both/backward_lstm/lstm_cell/kernel",
        "layer_with_weights-0/backward_layer/cell/recurrent_kernel": "both/backward_lstm/lstm_cell/recurrent_kernel",
        "layer_with_weights-0/backward_layer/cell/bias": "both/backward_lstm/lstm_cell/bias",
        "layer_with_weights-1/layer_with_weights-0/kernel": "deep/kernel",
        "layer_with_weights-1/layer_with_weights-0/bias": "deep/bias",
        "layer_with_weights-2/kernel": "head/kernel",
        "layer_with_weights-2/bias": "head/bias",
    }
    assert sum(item.is_optimizer for item in entries) > 20


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_layers_of_a_known_architecture_are_found_by_their_place(tmp_path: Path, is_wrapped: bool) -> None:
    old = _model()
    prefix = tmp_path / "w"
    if is_wrapped:
        tf.train.Checkpoint(step=tf.Variable(1), net=old).write(str(prefix))
    else:
        _saved(old, prefix)
    objects = read_objects(prefix)
    assert objects is not None
    model = read_model({"class_name": "Functional", "config": old.get_config()})
    found = tracked_by_layer(model, objects)
    assert {key: ["/".join(item.path) for item in items] for key, items in found.items()} == {
        "both": [
            f"{way}_layer/cell/{name}"
            for way in ("forward", "backward")
            for name in ("kernel", "recurrent_kernel", "bias")
        ],
        "inner/deep": ["kernel", "bias"],
        "head": ["kernel", "bias"],
    }
    assert np.array_equal(found["head"][0].stored.source(), old.layers[-1].kernel.numpy())
