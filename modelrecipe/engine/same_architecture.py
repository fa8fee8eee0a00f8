"""Is the written graph the edited one? Compared layer by layer and call by call, without what Keras adds itself.

Keras fills in defaults, renumbers shared objects and computes masks anew, so arguments are compared where both sides
name them, and computed masks not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ctypes import c_float
from typing import TYPE_CHECKING, Any

from modelrecipe import catalog
from modelrecipe.graph import Call, Graph, Layer, walk
from modelrecipe.old_calls import plain_ends
from modelrecipe.references import TensorRef, iter_refs

if TYPE_CHECKING:
    from modelrecipe.checkpoint import Checkpoint

# Flags are proved by their effect, names by the path; the rest is written anew at every save.
_NOT_COMPARED = ("trainable", "name", "shared_object_id", "build_config", "build_input_shape", "module")
_KIN = ({"Functional", "Model"},)


def differences(edited: Checkpoint, written: Checkpoint) -> Iterator[str]:
    """What the file has otherwise than the document, in words; nothing where both are the same."""
    if edited.model is written.model or edited.model.graph is None or written.model.graph is None:
        return
    now = {item.path: item.layer for item in walk(written.model)}
    is_of_today = _is_of_today(edited)
    yield from _graph_differences("", edited.model.graph, written.model.graph)
    for item in walk(edited.model):
        layer, other = item.layer, now.get(item.path)
        if other is None:
            if not _is_left_out(layer):
                yield f"'{item.path}' is not in the file"
            continue
        if not _is_same_class(layer, other):
            yield f"'{item.path}' is a {other.kind_name} instead of a {layer.kind_name}"
        elif not layer.is_new and layer.module is not None and other.module is not None and is_of_today:
            for key in _differing(layer.config, other.config):
                yield f"'{item.path}' has another '{key}'"
        if layer.graph is not None and other.graph is not None:
            yield from _graph_differences(item.path, layer.graph, other.graph)


def _is_of_today(checkpoint: Checkpoint) -> bool:
    """Whether Keras 3 wrote the arguments; those of older versions are spelt otherwise when they are written again."""
    origin = checkpoint.origin
    return origin is None or origin.writer is None or origin.writer.startswith("Keras 3")


def _is_left_out(layer: Layer) -> bool:
    """The InputLayer of a Sequential model that its file does not list, and masks that Keras computes anew."""
    return layer.is_input or layer.is_operation


def _is_same_class(layer: Layer, other: Layer) -> bool:
    # Old HDF5 files write `package>Class`, and some of Keras' own classes under the name they are made with.
    names = {item.class_name.rpartition(">")[2] for item in (layer, other)}
    is_renamed = other.module is None and any(catalog.find(name) is None for name in names)
    return len(names) == 1 or is_renamed or any(names <= kin for kin in _KIN)


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    if one == other:
        return []
    common = [key for key in one if key in other and key not in _NOT_COMPARED]
    return [key for key in common if not _is_same(one[key], other[key])]


def _is_same(one: Any, other: Any) -> bool:
    one, other = _untupled(one), _untupled(other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return not _differing(one, other)
    if isinstance(one, Mapping) or isinstance(other, Mapping):
        return _folded(_name_of(one)) == _folded(_name_of(other))
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(_is_same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, float):
        # Some objects keep their numbers as float32 (keras, `regularizers.L1`).
        return one == other or c_float(one).value == c_float(other).value
    return one == other


def _untupled(value: Any) -> Any:
    """A tuple as Keras writes it, as a list."""
    return value.get("items") if isinstance(value, Mapping) and value.get("class_name") == "__tuple__" else value


def _folded(name: Any) -> Any:
    """One spelling for the two that Keras has for its objects: `non_neg` and `NonNeg`."""
    return name.replace("_", "").lower() if isinstance(name, str) else name


def _name_of(value: Any) -> Any:
    """A dtype policy or a function is written as a name or as an object that holds the name."""
    if not isinstance(value, Mapping):
        return value
    inner = value.get("config")
    return inner.get("name", value.get("class_name")) if isinstance(inner, Mapping) else inner


def _graph_differences(path: str, edited: Graph, written: Graph) -> Iterator[str]:
    where = f"'{path}'" if path else "the model"
    for what in ("inputs", "outputs"):
        one, other = (plain_ends(edited, getattr(graph, what)) for graph in (edited, written))
        if edited.kind == written.kind == "functional" and _shape_of(one) != _shape_of(other):
            yield f"{where} has other {what}"
    names = {layer.name for layer in edited.layers}
    calls = {layer.name: layer.calls for layer in written.layers}
    for layer in edited.layers:
        if layer.is_input or layer.name not in calls:
            continue
        before = [_taken(call, names) for call in layer.calls]
        if before != [_taken(call, names) for call in calls[layer.name]]:
            yield f"'{path + '/' if path else ''}{layer.name}' is called with other tensors"


def _shape_of(structure: Any) -> Any:
    """A nested structure with the identity of each tensor in its place."""
    if isinstance(structure, TensorRef):
        return structure.key
    if isinstance(structure, Mapping):
        return {key: _shape_of(item) for key, item in structure.items()}
    return [_shape_of(item) for item in structure]


def _taken(call: Call, names: set[str]) -> list[tuple[str, int, int]]:
    """The tensors that a call takes, but for masks, which Keras computes and passes by itself."""
    kwargs = {key: value for key, value in call.kwargs.items() if key == "attention_mask" or "mask" not in key}
    return [ref.key for ref in (*iter_refs(call.args), *iter_refs(kwargs)) if ref.layer in names]
