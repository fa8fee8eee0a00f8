"""Rename layers in an HDF5 model: groups, lists of names, and the scopes in recorded weight names.

Keras goes by the order of the lists, so the names in them are for the reader; two weights never get one name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from modelrecipe.formats.hdf5.layers import OWN
from modelrecipe.graph import Layer, walk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import h5py

    from modelrecipe.formats.hdf5.recorded_names import Recorded

_LARGEST_ATTRIBUTE = 64512
"""Bytes that an HDF5 object header takes; Keras splits longer lists of names over several attributes."""

Moves = dict[str, str]


def plan_moves(
    model: Layer,
    renames: Mapping[str, tuple[str, str]],
    recorded: Mapping[str, Sequence[Recorded]],
    owners: Mapping[str, str],
) -> dict[str, tuple[str, Moves]]:
    """New names below `model_weights`: of every layer's group, and of the weights in it.

    Args:
        model: the outermost model, before the renaming.
        renames: old and new name under the key of each renamed layer.
        recorded: the weights to list under each layer's old name, in the order to list them.
        owners: the key of the layer that each slot belongs to.

    Returns:
        Under each group's old name its new name, and the new recorded name of each of its weights.
    """
    chains = {
        located.layer.key: [layer.key for layer in (*located.parents[1:], located.layer)] for located in walk(model)
    }
    layers = model.graph.layers if model.graph else ()
    names = {layer.name: renames[layer.key][1] for layer in layers if layer.key in renames}
    plan: dict[str, tuple[str, Moves]] = {}
    for group, items in recorded.items():
        moves: Moves = {}
        for item in items:
            scopes = dict(renames[key] for key in chains.get(owners[item.slot], ()) if key in renames)
            moves[item.weight] = _with_scopes(item.weight, scopes)
        if len(set(moves.values())) < len(moves):
            moves = {old: old for old in moves}
        plan[group] = (group if group == OWN else names.get(group, group), moves)
    return plan


def _with_scopes(weight: str, scopes: Mapping[str, str]) -> str:
    """A recorded name with the scopes of renamed layers exchanged, all at once."""
    if not scopes:
        return weight
    pattern = "|".join(re.escape(name) for name in sorted(scopes, key=len, reverse=True))
    return re.sub(rf"(?<![^/])(?:{pattern})(?=/)", lambda found: scopes[found[0]], weight)


def apply_moves(weights: h5py.Group, plan: Mapping[str, tuple[str, Moves]]) -> None:
    """Carry out a plan; everything that moves goes by a name that nobody has, so that two layers may swap theirs."""
    parked = {group: f".{number}" for number, group in enumerate(plan)}
    for group, (_, moves) in plan.items():
        weights.move(group, parked[group])
        _move_weights(weights.require_group(parked[group]), moves)
    for group, (new, moves) in plan.items():
        weights.move(parked[group], new)
        write_names(weights.require_group(new), "weight_names", list(moves.values()))
    write_names(weights, "layer_names", [new for new, _ in plan.values() if new != OWN])


def _move_weights(group: h5py.Group, moves: Moves) -> None:
    moved = {old: f".{number}" for number, (old, new) in enumerate(moves.items()) if old != new}
    for old, parked in moved.items():
        group.move(old, parked)
        _drop_empty(group, old)
    for old, parked in moved.items():
        group.move(parked, moves[old])


def _drop_empty(group: h5py.Group, path: str) -> None:
    while "/" in path:
        path = path.rpartition("/")[0]
        if len(group.require_group(path)):
            return
        del group[path]


def write_names(group: h5py.Group, name: str, names: Sequence[str]) -> None:
    """Write a list of names as Keras does, in as many attributes as it needs."""
    for attribute in [key for key in group.attrs if key == name or key.removeprefix(name).isdigit()]:
        del group.attrs[attribute]
    encoded = np.asarray([item.encode() for item in names])
    count = 1
    while any(part.nbytes > _LARGEST_ATTRIBUTE for part in np.array_split(encoded, count)):
        count += 1
    if count == 1:
        group.attrs[name] = [item.encode() for item in names]
        return
    for number, part in enumerate(np.array_split(encoded, count)):
        group.attrs[f"{name}{number}"] = part
