"""What differs between an edited document and the file it was read from, where the file's layout is kept.

Knows no containers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe.errors import FileError
from modelrecipe.formats.hdf5.tensors import ContiguousSource, DatasetSource
from modelrecipe.graph import Layer, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.formats.extent import Extent
    from modelrecipe.weights import Tensor, Weights


def changed_tensors(checkpoint: Checkpoint, stored: Weights) -> Iterator[tuple[str, Tensor]]:
    """The tensors whose numbers differ from the file's, each with its layer's key.

    Args:
        checkpoint: the edited document.
        stored: the weights as the file holds them now.

    Raises:
        FileError: the file changed since the tensors were read, or keeps no room of that shape and type for one.
    """
    for extent in extents_of(checkpoint):
        extent.check()
    for key, tensors in checkpoint.weights.items():
        places = {tensor.slot: tensor for tensor in stored.of(key)}
        for tensor in tensors:
            place = places.get(tensor.slot)
            if place is None or (place.shape, place.dtype) != (tensor.shape, tensor.dtype):
                room = f"{place.dtype} {place.shape}" if place else "nothing"
                raise FileError(
                    f"'{tensor.name}' of layer '{key}' is {tensor.dtype} {tensor.shape}, "
                    f"but the file keeps room for {room}"
                )
            if tensor.is_edited or tensor.source != place.source:
                yield key, tensor


def extents_of(checkpoint: Checkpoint) -> set[Extent]:
    """The HDF5 files that the tensors of a document lie in."""
    sources = [tensor.source for tensors in checkpoint.weights.values() for tensor in tensors]
    return {source.extent for source in sources if isinstance(source, ContiguousSource | DatasetSource)}


def renamed_layers(old: Layer, new: Layer) -> dict[str, tuple[str, str]]:
    """Old and new name of every layer that was renamed, under its key; the model itself has ""."""
    before, after = _names(old), _names(new)
    return {key: (name, after[key]) for key, name in before.items() if after.get(key, name) != name}


def _names(model: Layer) -> dict[str, str]:
    inner = {located.layer.key: located.layer.name for located in walk(model) if located.layer.key}
    return {"": model.name, **inner}


def has_other_flags(old: Layer, new: Layer) -> bool:
    """Whether any `trainable` differs, so that the optimizer's variables belong to other weights than before."""
    return _flags(old) != _flags(new)


def _flags(model: Layer) -> dict[str, list[bool]]:
    layers = [model, *(located.layer for located in walk(model) if located.layer.key)]
    return {layer.key: list(_trainable(layer.config)) for layer in layers}


def _trainable(config: object) -> Iterator[bool]:
    """Every `trainable` in a configuration, those of layers inside a wrapper included."""
    if isinstance(config, dict):
        yield bool(config.get("trainable", True))
        for value in config.values():
            yield from _trainable(value)
    elif isinstance(config, list):
        for value in config:
            yield from _trainable(value)
