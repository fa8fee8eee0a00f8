"""The tree of objects that a TensorFlow checkpoint notes beside its numbers: which attribute of which object is which.

Checkpoints of objects name their variables by paths of attributes, `layer_with_weights-0/kernel`; those of
`tf.train.Saver` by the variables' own names, `conv2d/kernel`. Source: `trackable_object_graph.proto`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import field
from typing import TYPE_CHECKING

from modelrecipe.errors import FileError
from modelrecipe.formats.tensorflow.bundle import Bundle, read_bundle
from modelrecipe.formats.tensorflow.protobuf_wire import Message, WireError
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from modelrecipe.formats.hdf5.tensors import StoredTensor

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"
_LISTINGS = (
    "variables",
    "trainable_variables",
    "non_trainable_variables",
    "regularization_losses",
    "keras_api",
    "layers",
    "metrics",
    "signatures",
)
"""Attributes under which Keras 2 lists once more what others hold."""
_RANDOM = ("_random_generator", "random_generator")
_STATES = ("keras_api", "states")
"""What a stateful recurrent layer remembers of the last batch: Keras 3 keeps it in no file."""
_STATE = ("optimizer", "_optimizer", "save_counter", "keras_api")


@frozen
class Node:
    """One object.

    Args:
        children: number of the object under each attribute.
        key: where the checkpoint keeps its numbers; None for what is no variable.
        name: the variable's own name, as `conv2d/kernel`.
        slots: numbers of the variables that an optimizer keeps for others.
    """

    children: Mapping[str, int] = field(default_factory=dict)
    key: str | None = None
    name: str = ""
    slots: tuple[int, ...] = ()


@frozen
class Entry:
    """One variable of a checkpoint.

    Args:
        path: attributes from the root to it, `layer_with_weights-0/kernel`; in a checkpoint without objects its name.
        name: the variable's own name as TensorFlow had it, `conv2d/kernel`; "" where the file does not say.
        stored: its header.
        is_named: whether the checkpoint goes by names, not by objects.
        is_optimizer: whether it is state of an optimizer, or counts saves.
    """

    path: str
    name: str
    stored: StoredTensor
    is_named: bool = False
    is_optimizer: bool = False


@frozen
class Tracked:
    """One variable below a layer's node.

    Args:
        path: the attributes from the layer to it.
        name: as TensorFlow had it, `dense/kernel`.
        stored: its header.
    """

    path: tuple[str, ...]
    name: str
    stored: StoredTensor

    @property
    def place(self) -> tuple[str, ...]:
        """The path as Keras 3 spells it, whose attributes have no leading underscore in its files."""
        return tuple(part.lstrip("_") for part in self.path)


@frozen
class Objects:
    """The objects of a checkpoint, with what else is known of them.

    Args:
        nodes: the objects, the root first.
        tensors: what the checkpoint holds, under its keys.
        names: names of layers, under the number of their object; none where only the checkpoint itself is there.
    """

    nodes: Sequence[Node]
    tensors: Mapping[str, StoredTensor]
    names: Mapping[int, str] = field(default_factory=dict)

    def below(self, number: int) -> list[Tracked]:
        """The variables below an object, in the order in which Keras 2 lists a layer's, as far as it is known."""
        paths = walk_objects(self.nodes, number)
        found: dict[int, Tracked] = {}
        for inner, path in paths.items():
            node = self.nodes[inner]
            stored = self.tensors.get(node.key or "")
            if stored is not None and path and not any(part in _RANDOM for part in path) and path[:-1] != _STATES:
                found[inner] = Tracked(path=path, name=node.name or "/".join(path), stored=stored)
        listed = self.nodes[self.nodes[number].children.get("variables", number)].children
        order = {inner: int(place) for place, inner in listed.items() if place.isdigit()}
        return [found[inner] for inner in sorted(found, key=lambda inner: order.get(inner, len(order)))]


def checkpoint_entries(path: Path) -> list[Entry]:
    """The variables of a checkpoint, in the order in which a walk from its root meets them.

    Raises:
        FileError: the checkpoint is missing or damaged.
    """
    bundle = read_bundle(path)
    nodes = read_nodes(bundle)
    if nodes is None:
        return [
            Entry(path=name, name=name, stored=stored, is_named=True, is_optimizer=_is_counter(name))
            for name, stored in bundle.tensors.items()
        ]
    slots = {number for node in nodes for number in node.slots}
    found: list[Entry] = []
    for number, where in walk_objects(nodes).items():
        key = nodes[number].key
        if key is None or key not in bundle.tensors:
            continue
        is_state = number in slots or where[:1] in [(name,) for name in _STATE]
        found.append(
            Entry(path="/".join(where), name=nodes[number].name, stored=bundle.tensors[key], is_optimizer=is_state)
        )
    return found


def _is_counter(name: str) -> bool:
    return name in ("global_step", "save_counter")


def read_objects(path: Path) -> Objects | None:
    """The objects of a checkpoint with what it holds; None where it goes by names alone.

    Raises:
        FileError: it is missing or damaged.
    """
    bundle = read_bundle(path)
    nodes = read_nodes(bundle)
    return None if nodes is None else Objects(nodes=nodes, tensors=bundle.tensors)


def read_nodes(bundle: Bundle) -> Sequence[Node] | None:
    """The objects of a checkpoint, the root first; None where it goes by names alone.

    Raises:
        FileError: they are damaged.
    """
    data = bundle.text(GRAPH)
    if data is None:
        return None
    try:
        messages = Message(data).messages(1)
        nodes = [_node(message, len(messages)) for message in messages]
    except WireError as error:
        raise FileError(f"the objects of '{bundle.prefix}' are damaged: {error.message}") from error
    return nodes or [Node()]


def _node(message: Message, count: int) -> Node:
    values = [item for item in message.messages(2) if item.text(1) == _VALUE]
    return Node(
        children=read_children(message, 1, count),
        key=values[0].text(3) if values else None,
        name=values[0].text(2) if values else "",
        slots=tuple(slot.integer(3) for slot in message.messages(3)),
    )


def read_children(message: Message, number: int, count: int) -> dict[str, int]:
    """The attributes of an object, from the field `number` of references.

    Raises:
        WireError: one leads to none of the `count` objects.
    """
    children: dict[str, int] = {}
    for item in message.messages(number):
        target = item.integer(1)
        if target >= count:
            raise WireError("a reference in it leads nowhere")
        children[item.text(2)] = target
    return children


def walk_objects(nodes: Sequence[Node], start: int = 0) -> dict[int, tuple[str, ...]]:
    """The shortest path to every object from one of them, in the order of a walk that goes deep first.

    Keras lists each object once more under names like `variables`: these are gone through last, and only tell of what
    nothing else leads to.
    """
    paths: dict[int, tuple[str, ...]] = {start: ()}
    ranks: dict[int, tuple[int, ...]] = {start: ()}
    near, far = deque([start]), deque[int]()
    while near or far:
        is_listing = not near
        number = (near or far).popleft()
        far.extend(() if is_listing else (number,))
        for rank, (name, child) in enumerate(nodes[number].children.items()):
            if child not in paths and (name in _LISTINGS) == is_listing:
                paths[child] = (*paths[number], name)
                ranks[child] = (*ranks[number], rank + is_listing * len(nodes))
                near.append(child)
    return {number: paths[number] for number in sorted(paths, key=lambda number: ranks[number])}
