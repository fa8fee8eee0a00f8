"""Old HDF5 files beside an architecture from elsewhere: lists of weights under the names of layers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from modelrecipe.errors import FileError
from modelrecipe.formats.hdf5.layers import OWN, of_layer
from modelrecipe.formats.hdf5.recorded_names import recorded_tensors
from modelrecipe.graph import walk

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from modelrecipe.formats.hdf5.recorded_names import Recorded
    from modelrecipe.formats.hdf5.tensors import StoredTensor
    from modelrecipe.formats.weights.files import Match, WeightFile
    from modelrecipe.formats.weights.renaming import Renaming
    from modelrecipe.graph import Layer, Located
    from modelrecipe.weights import Tensor

Pairs = dict[str, list[tuple[str, "Tensor"]]]
Rest = list[tuple[str, str, "StoredTensor"]]


def lists_by_layer(
    model: Layer,
    leaves: Sequence[Located],
    file: WeightFile,
    how: Match,
    renaming: Renaming,
    ignored: Collection[str],
) -> tuple[Pairs, Rest]:
    """The tensors of each layer, and the entries whose list belongs to no layer or nested model.

    Args:
        model: the architecture.
        leaves: the layers that may get something.
        file: the weights.
        how: whether a list's name is the path of a layer, or its name at any depth.
        renaming: names of lists that are called otherwise in the model.
        ignored: entries that are not looked at.
    """
    everything = list(walk(model))
    paths = {item.path: item for item in everything}
    times = Counter(item.layer.name for item in everything)
    names = {item.layer.name: item for item in everything if times[item.layer.name] == 1} if how == "by_name" else {}
    lists: dict[str, tuple[Located, list[Recorded]]] = {}
    rest: Rest = []
    for name, items in file.recorded.items():
        kept = [item for item in items if item.slot not in ignored]
        renamed = renaming(name)
        owner = paths.get(renamed) if renamed else paths.get(name) or names.get(name)
        if owner is None or name == OWN or owner.layer.key in lists:
            rest += [(item.slot, item.slot, item.stored) for item in kept]
        elif kept:
            lists[owner.layer.key] = (owner, kept)
    return share_lists(lists, {item.layer.key: item.layer for item in leaves}, file), rest


def share_lists(
    lists: Mapping[str, tuple[Located, list[Recorded]]], leaves: Mapping[str, Layer], file: WeightFile
) -> Pairs:
    """The tensors of each leaf layer, from the lists of layers and nested models.

    Args:
        lists: for the key of a layer or a nested model, the layer and its list.
        leaves: the layers that may get something, under their keys.
        file: the weights.

    Raises:
        FileError: which layer of a nested model a weight belongs to cannot be told.
    """
    found: Pairs = {}
    for owner, items in lists.values():
        try:
            shares = of_layer(owner.layer, items, file.keras or "1")
        except FileError as error:
            raise FileError(f"'{file.path}' {error.message}", hint=error.hint) from error
        for key, own in shares.items():
            if key in leaves and key not in found:
                layer = leaves[key]
                tensors = recorded_tensors(layer.name, layer.class_name, layer.config, own)
                found[key] = [(item.slot, tensor) for item, tensor in zip(own, tensors, strict=True)]
    return found
