"""Which tensors of a weight file belong to which layer of an architecture that came from elsewhere.

Gives each layer what the file holds for it, under the names of the file: `fitting` puts it into the layer's variables.
What is found twice, or could be meant for two layers, is given to none.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import field
from typing import TYPE_CHECKING

from modelrecipe import catalog
from modelrecipe.formats.variable_names import may_train
from modelrecipe.formats.weights.matching_groups import groups_by_layer
from modelrecipe.formats.weights.matching_lists import lists_by_layer
from modelrecipe.formats.weights.matching_objects import objects_by_layer
from modelrecipe.frozen import frozen
from modelrecipe.graph import walk
from modelrecipe.weights import Tensor

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from modelrecipe.formats.hdf5.tensors import StoredTensor
    from modelrecipe.formats.weights.files import Match, WeightFile
    from modelrecipe.formats.weights.renaming import Renaming
    from modelrecipe.graph import Layer, Located

_OF_CHECKPOINTS = "/.ATTRIBUTES/VARIABLE_VALUE"


@frozen
class Found:
    """What a file holds for each layer.

    Args:
        tensors: under the layer's key.
        entries: the name in the file of each of them, under key and slot.
        note: how layers were told apart, where that is not what was asked for.
    """

    tensors: Mapping[str, tuple[Tensor, ...]] = field(default_factory=dict)
    entries: Mapping[tuple[str, str], str] = field(default_factory=dict)
    note: str | None = None


def leaves_of(model: Layer) -> list[Located]:
    """Every layer that may have variables, once."""
    found = {item.layer.key: item for item in reversed([*walk(model)]) if item.layer.graph is None}
    return [item for item in reversed(found.values()) if not item.layer.is_input and not item.layer.is_operation]


def has_variables(located: Located) -> bool:
    """Whether a layer is known to have variables."""
    return bool(catalog.variables(located.layer.class_name, located.layer.config))


def match_names(
    model: Layer, file: WeightFile, how: Match, renaming: Renaming, *, ignored: Collection[str] = ()
) -> Found:
    """Find each layer's tensors by names (`by_path`, `by_name`), whatever the container.

    Args:
        model: the architecture.
        file: the weights.
        how: whether a name is a whole path in the model, or that of the innermost layer at any depth.
        renaming: names of the file that the model calls otherwise; they are whole paths then.
        ignored: entries of the file that are not looked at.
    """
    leaves = leaves_of(model)
    if file.root is not None:
        return found_of(groups_by_layer(leaves, file.root, how, renaming, ignored))
    if file.recorded:
        tensors, rest = lists_by_layer(model, leaves, file, how, renaming, ignored)
        return found_of(tensors, by_layer(leaves, rest, how, renaming, taken=tensors))
    if file.objects is not None and how == "by_path":
        return found_of(objects_by_layer(model, file, ignored))
    entries = [
        (entry.path, file.own_names.get(entry.path, entry.path), entry)
        for entry in file.entries
        if entry.path not in ignored
    ]
    return found_of(by_layer(leaves, entries, how, renaming))


def found_of(*parts: Mapping[str, Sequence[tuple[str, Tensor]]], note: str | None = None) -> Found:
    """Layers' tensors, each with the name of its entry, as one value."""
    tensors: dict[str, tuple[Tensor, ...]] = {}
    entries: dict[tuple[str, str], str] = {}
    for part in parts:
        for key, found in part.items():
            tensors[key] = tuple(tensor for _, tensor in found)
            entries |= {(key, tensor.slot): entry for entry, tensor in found}
    return Found(tensors=tensors, entries=entries, note=note)


def by_layer(
    leaves: Sequence[Located],
    entries: Sequence[tuple[str, str, StoredTensor]],
    how: Match,
    renaming: Renaming,
    taken: Collection[str] = (),
) -> dict[str, list[tuple[str, Tensor]]]:
    """Entries that are told apart by nothing but their names.

    Args:
        leaves: the layers.
        entries: name in the file, name to go by, and header of each.
        how: as for `match_names`.
        renaming: as for `match_names`; its separator is that of the names.
        taken: keys of layers that have their tensors already.
    """
    paths = {item.path.replace("/", renaming.separator): item for item in leaves}
    times = Counter(item.layer.name for item in leaves)
    names = {item.layer.name: item for item in leaves if times[item.layer.name] == 1}
    found: dict[str, list[tuple[str, Tensor]]] = {}
    for entry, name, stored in entries:
        plain = plain_name(name)
        renamed = renaming(plain)
        parts = (renamed.replace("/", renaming.separator) if renamed else plain).split(renaming.separator)
        owner, start = _by_path(parts, paths, renaming.separator)
        if owner is None and how == "by_name" and renamed is None:
            owner, start = _by_name(parts, names)
        if owner is not None and owner.layer.key not in taken:
            own = "/".join(parts[start:])
            found.setdefault(owner.layer.key, []).append((entry, stored_tensor(own, stored, entry)))
    return found


def plain_name(name: str) -> str:
    """A name without what TensorFlow adds: the output's number, the attribute of a checkpoint."""
    name = name.removesuffix(_OF_CHECKPOINTS)
    head, colon, number = name.rpartition(":")
    return head if colon and number.isdigit() else name


def stored_tensor(name: str, stored: StoredTensor, slot: str) -> Tensor:
    """An entry of a file as a tensor."""
    return Tensor(
        name=name,
        slot=slot,
        shape=stored.shape,
        dtype=stored.dtype,
        is_trainable=may_train(name, stored.dtype),
        source=stored.source,
    )


def _by_path(parts: Sequence[str], paths: Mapping[str, Located], separator: str) -> tuple[Located | None, int]:
    """The layer whose path is the beginning of a name, and how many components that is."""
    for end in range(len(parts) - 1, 0, -1):
        owner = paths.get(separator.join(parts[:end]))
        if owner is not None:
            # TensorFlow's scopes repeat the layer's name: `dense/dense/kernel`.
            repeats = end < len(parts) - 1 and parts[end] == owner.layer.name
            return owner, end + 1 if repeats else end
    return None, 0


def _by_name(parts: Sequence[str], names: Mapping[str, Located]) -> tuple[Located | None, int]:
    """The innermost component that is the name of one layer alone."""
    for end in range(len(parts) - 1, 0, -1):
        owner = names.get(parts[end - 1])
        if owner is not None:
            return owner, end
    return None, 0
