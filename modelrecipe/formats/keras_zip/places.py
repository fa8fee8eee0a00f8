"""Where Keras 3 keeps the variables of a model: which groups its layers have in a weight file, and in which order.

Both follow from the classes and the order of the layers alone, so that they hold for a model whose layers were renamed;
see `_save_state` and `_save_container_state` in `keras/src/saving/saving_lib.py`. Knows no files.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from modelrecipe.catalog.variables import snake_case
from modelrecipe.formats.variable_names import natural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from modelrecipe.formats.hdf5.tensors import Group
    from modelrecipe.graph import Graph, Layer

OWN = "vars"
"""The group with a layer's own variables, within the layer's group."""


def group_places(model: Layer) -> dict[str, str]:
    """The path of every layer's group under the layer's key, in the order in which Keras visits them.

    The outermost model has "". A layer that several models share has the place where Keras meets it first. Of an opaque
    model nothing else is known.
    """
    found = {"": ""}
    if model.graph is not None:
        _find(model.graph, "", found)
    return found


def _find(graph: Graph, prefix: str, found: dict[str, str]) -> None:
    used: Counter[str] = Counter()
    for layer in graph.layers[1:] if graph.implicit_input else graph.layers:
        if layer.is_operation:
            continue
        kind = snake_case(layer.class_name.rpartition(">")[2])
        path = f"{prefix}layers/{kind}_{used[kind]}" if used[kind] else f"{prefix}layers/{kind}"
        used[kind] += 1
        if layer.key not in found:
            found[layer.key] = path
            if layer.graph is not None:
                _find(layer.graph, f"{path}/", found)


def in_order(model: Layer, paths: Iterable[str]) -> list[str]:
    """Paths of groups of variables (`layers/dense/vars`) in the order in which Keras writes them."""
    ranks = {path: rank for rank, path in enumerate(group_places(model).values())}

    def order(path: str) -> tuple[Any, ...]:
        parts = path.split("/")
        owner = next(end for end in range(len(parts), -1, -1) if "/".join(parts[:end]) in ranks)
        return ranks["/".join(parts[:owner])], [(part != OWN, natural(part)) for part in parts[owner:]]

    return sorted(paths, key=order)


def own_groups(root: Group) -> Iterator[Group]:
    """Every group of variables below a group, those without any included."""
    for name, inner in root.groups.items():
        if name == OWN:
            yield inner
        yield from own_groups(inner)


def group_at(root: Group, path: str) -> Group | None:
    """The group at a path from the root; None where there is none."""
    group: Group | None = root
    for name in path.split("/") if path else ():
        group = group.groups.get(name) if group is not None else None
    return group
