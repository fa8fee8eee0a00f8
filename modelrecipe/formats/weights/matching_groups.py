"""Weight files of Keras 3 beside an architecture from elsewhere: groups with the names of layers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from modelrecipe.formats.keras_zip.groups import label_of
from modelrecipe.formats.variable_names import numbered_tensors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from modelrecipe.formats.hdf5.tensors import Group
    from modelrecipe.formats.weights.files import Match
    from modelrecipe.formats.weights.renaming import Renaming
    from modelrecipe.graph import Located
    from modelrecipe.weights import Tensor

_CONTAINER = "layers"


def groups_by_layer(
    leaves: Sequence[Located], root: Group, how: Match, renaming: Renaming, ignored: Collection[str]
) -> dict[str, list[tuple[str, Tensor]]]:
    """The tensors of each layer whose name a group notes, with their places in the file.

    Args:
        leaves: the layers.
        root: the weight file.
        how: whether the names from the outermost group inwards are the layer's path, or the last one its name.
        renaming: names of the file that are called otherwise in the model.
        ignored: places in the file that are not looked at.
    """
    named = [(renaming(path) or path, path, group) for path, group in _named(root, "")]
    by_path = _single((path, group) for path, _, group in named)
    by_name = _single((path.rpartition("/")[2], group) for path, old, group in named if path == old)
    times = Counter(item.layer.name for item in leaves)
    found: dict[str, list[tuple[str, Tensor]]] = {}
    for item in leaves:
        group = by_path.get(item.path)
        if group is None and how == "by_name" and times[item.layer.name] == 1:
            group = by_name.get(item.layer.name)
        if group is None:
            continue
        tensors = numbered_tensors(item.layer.class_name, item.layer.config, group)
        pairs = [(f"{group.path}/{tensor.slot}", tensor) for tensor in tensors]
        found[item.layer.key] = [(entry, tensor) for entry, tensor in pairs if entry not in ignored]
    return {key: tensors for key, tensors in found.items() if tensors}


def _named(group: Group, path: str) -> Iterator[tuple[str, Group]]:
    """Every group that notes a name, under the names from the outermost layer inwards."""
    for name, inner in group.groups.items():
        if name == "vars":
            continue
        label = label_of(inner)
        own = path if label is None else f"{path}/{label}" if path else label
        if label is not None and name != _CONTAINER:
            yield own, inner
        yield from _named(inner, own)


def _single(named: Iterator[tuple[str, Group]]) -> Mapping[str, Group]:
    """What one group alone is called, of those that hold anything."""
    filled = [(name, group) for name, group in named if any(True for _ in group.below())]
    times = Counter(name for name, _ in filled)
    return {name: group for name, group in filled if times[name] == 1}
