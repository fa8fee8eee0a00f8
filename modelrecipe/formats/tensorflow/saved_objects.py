"""What the `saved_model.pb` of a directory says, and the Keras metadata in it or beside it, as plain data.

Reads it without TensorFlow, and nothing of the graph that TensorFlow would execute. Source: `saved_model.proto`,
`meta_graph.proto`, `saved_object_graph.proto` of TensorFlow and `saved_metadata.proto` of Keras 2.
"""

from __future__ import annotations

import json
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from modelrecipe.errors import FileError
from modelrecipe.files import read_bytes
from modelrecipe.formats.tensorflow import MODEL_FILE
from modelrecipe.formats.tensorflow.bundle import DTYPES
from modelrecipe.formats.tensorflow.object_graph import Node, read_children
from modelrecipe.formats.tensorflow.protobuf_wire import Message, WireError
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

METADATA = "keras_metadata.pb"
_LARGEST = 1 << 31
_KERAS = "_tf_keras_"
_LISTS = ("__tuple__", "TensorShape")


@frozen
class KerasObject:
    """What Keras noted of one object.

    Args:
        kind: `_tf_keras_sequential`, `_tf_keras_layer`, ...
        text: its metadata as JSON.
    """

    kind: str
    text: str = field(repr=False)

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """The metadata, with lists for what Python had as tuples; nothing where they are no JSON object."""
        try:
            data = json.loads(self.text, object_hook=_plain)
        except (ValueError, RecursionError):
            return {}
        return data if isinstance(data, dict) else {}


def _plain(data: dict[str, Any]) -> Any:
    """JSON without the marks that Keras' encoder leaves (`json_utils.py`)."""
    if data.get("class_name") in _LISTS and "items" in data:
        return data["items"]
    data.pop("__passive_serialization__", None)
    return data


@frozen
class Argument:
    """One tensor that a signature takes or gives: sizes, of which some or all may be unknown, and type."""

    shape: tuple[int | None, ...] | None
    dtype: str


@frozen
class Signature:
    """A function that the directory offers, its tensors by name."""

    inputs: Mapping[str, Argument]
    outputs: Mapping[str, Argument]


@frozen
class SavedModel:
    """The description in a SavedModel directory.

    Args:
        path: the directory.
        tensorflow: version that wrote it.
        nodes: its objects, the root first; none for a directory of TensorFlow 1.
        keras: what Keras noted, under the object's number.
        signatures: by name.
    """

    path: Path
    tensorflow: str = ""
    nodes: Sequence[Node] = ()
    keras: Mapping[int, KerasObject] = field(default_factory=dict)
    signatures: Mapping[str, Signature] = field(default_factory=dict)


def open_saved_model(path: Path) -> SavedModel:
    """The description in a directory.

    Raises:
        FileError: it is missing or damaged.
    """
    try:
        meta = _meta_graph(Message(memoryview(read_bytes(path / MODEL_FILE, _LARGEST))))
        objects = meta.message(7).messages(1)
        nodes = [Node(children=read_children(item, 1, len(objects))) for item in objects]
        keras = _keras_in(objects)
        signatures = {
            name: _signature(item) for name, item in meta.mapping(5).items() if not name.startswith("__saved_model")
        }
        version = meta.message(1).text(5)
    except WireError as error:
        raise FileError(f"'{path / MODEL_FILE}' is damaged: {error.message}") from error
    if (path / METADATA).is_file():
        keras = _keras_beside(path / METADATA, len(nodes))
    return SavedModel(path=path, tensorflow=version, nodes=nodes, keras=keras, signatures=signatures)


def _meta_graph(message: Message) -> Message:
    """The graph with objects; TensorFlow 1 may have written several without, of which the first is as good."""
    graphs = message.messages(2)
    if not graphs:
        raise WireError("it holds no graph")
    return next((graph for graph in graphs if graph.has(7)), graphs[0])


def _keras_in(objects: Sequence[Message]) -> dict[int, KerasObject]:
    """What TensorFlow before 2.5 kept of Keras in the objects themselves."""
    found: dict[int, KerasObject] = {}
    for number, item in enumerate(objects):
        user = item.message(4)
        if user.has(3) and user.text(1).startswith(_KERAS):
            found[number] = KerasObject(kind=user.text(1), text=user.text(3))
    return found


def _keras_beside(file: Path, count: int) -> dict[int, KerasObject]:
    try:
        messages = Message(memoryview(read_bytes(file, _LARGEST))).messages(1)
        found = {item.integer(2): KerasObject(kind=item.text(4), text=item.text(5)) for item in messages}
    except WireError as error:
        raise FileError(f"'{file}' is damaged: {error.message}") from error
    if any(number >= count for number in found):
        raise FileError(f"'{file}' tells of objects that '{MODEL_FILE}' does not hold")
    return {number: item for number, item in found.items() if item.kind.startswith(_KERAS)}


def _signature(message: Message) -> Signature:
    return Signature(
        inputs={name: _argument(item) for name, item in message.mapping(1).items()},
        outputs={name: _argument(item) for name, item in message.mapping(2).items()},
    )


def _argument(message: Message) -> Argument:
    shape = message.message(3)
    sizes = tuple(None if (size := item.signed(1)) < 0 else size for item in shape.messages(2))
    return Argument(shape=None if shape.integer(3) else sizes, dtype=DTYPES.get(message.integer(2), "unknown"))
