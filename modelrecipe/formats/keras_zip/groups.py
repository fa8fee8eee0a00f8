"""Which group of a Keras 3 weight file belongs to which layer of the model.

Keras names groups by class and order (`layers/dense_1`) and notes the layer's name beside the variables; see
`_save_container_state` in `keras/src/saving/saving_lib.py`. Knows trees of headers, not files.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from modelrecipe import catalog
from modelrecipe.catalog.variables import snake_case
from modelrecipe.errors import FileError
from modelrecipe.formats.hdf5.tensors import Group
from modelrecipe.formats.variable_names import (
    guess_class,
    guessed_variables,
    natural,
    numbered_tensors,
    own_tensors,
)
from modelrecipe.frozen import frozen
from modelrecipe.graph import Graph, Layer, Located, walk
from modelrecipe.weights import Tensor, Weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OPTIMIZER = "optimizer"
_NOT_LAYERS = ("vars", OPTIMIZER)


@frozen
class Bound:
    """A model's groups and tensors.

    Args:
        groups: under the layer's key; the outermost model has "".
        weights: the tensors of each.
        inner: for an opaque model, the layers that only the groups tell of.
    """

    groups: Mapping[str, Group] = field(default_factory=dict)
    weights: Weights = field(default_factory=Weights)
    inner: tuple[Located, ...] = ()


def bind(model: Layer, root: Group) -> Bound:
    """Give each layer its group and its tensors.

    Raises:
        FileError: the groups do not fit the layers.
    """
    if model.graph is None:
        return _Opaque(model=model).bind(root)
    groups: dict[str, Group] = {"": root}
    _bind(model.graph, root, groups)
    weights = {"": own_tensors(root, ("layers", OPTIMIZER))}
    for located in walk(model):
        layer, group = located.layer, groups.get(located.layer.key)
        if layer.key in weights:
            continue
        if group is None:
            _check_absent(located)
        elif layer.graph is None:
            weights[layer.key] = numbered_tensors(layer.class_name, layer.config, group)
        else:
            weights[layer.key] = own_tensors(group, ("layers",))
    return Bound(groups=groups, weights=Weights({key: tensors for key, tensors in weights.items() if tensors}))


def _bind(graph: Graph, group: Group, bound: dict[str, Group]) -> None:
    """Find the groups of a model's layers. A layer shared between models is saved where Keras meets it first."""
    container = group.groups.get("layers", Group()).groups
    labels = Counter(label for inner in container.values() if (label := label_of(inner)) is not None)
    by_label = {label_of(inner): inner for inner in container.values()}
    used: Counter[str] = Counter()
    saved = graph.layers[1:] if graph.implicit_input else graph.layers
    names = {layer.name for layer in saved}
    for layer in saved:
        if layer.is_operation:
            continue
        kind = snake_case(layer.class_name.rpartition(">")[2])
        place = container.get(f"{kind}_{used[kind]}" if used[kind] else kind)
        used[kind] += 1
        if layer.key in bound:
            continue
        found = by_label[layer.name] if labels[layer.name] == 1 else _unless_named(place, layer, names)
        if found is not None:
            bound[layer.key] = found
            if layer.graph is not None:
                _bind(layer.graph, found, bound)


def _unless_named(place: Group | None, layer: Layer, names: set[str]) -> Group | None:
    """The group at the layer's place, unless its label says that it is another layer's."""
    label = label_of(place) if place else None
    return place if label == layer.name or label not in names else None


def label_of(group: Group) -> str | None:
    """The name that the file notes for the layer of a group; Keras before 3 noted none."""
    own = group.groups.get("vars")
    return own.label if own else None


def _check_absent(located: Located) -> None:
    """Refuse a layer without group where its class is known to have variables."""
    layer = located.layer
    if layer.graph is None and catalog.variables(layer.class_name, layer.config):
        shared = "give each its own layer: Keras does not save one that several nested models share"
        hint = shared if "shared_object_id" in layer.extra else None
        raise FileError(f"holds no weights of layer '{located.path}'", hint=hint)


@dataclass(kw_only=True)
class _Opaque:
    """Collects the layers that the groups of a weight file show, where the configuration lists none."""

    model: Layer
    groups: dict[str, Group] = field(default_factory=dict)
    weights: dict[str, tuple[Tensor, ...]] = field(default_factory=dict)
    inner: list[Located] = field(default_factory=list)

    def bind(self, root: Group) -> Bound:
        self.groups[""] = root
        self.weights[""] = own_tensors(root, [name for name in root.groups if name != "vars"])
        self.collect(root, "", (self.model,))
        weights = Weights({key: tensors for key, tensors in self.weights.items() if tensors})
        return Bound(groups=self.groups, weights=weights, inner=tuple(self.inner))

    def collect(self, group: Group, prefix: str, parents: tuple[Layer, ...]) -> None:
        """A group with `vars` is a layer; one without is a list or an attribute that holds some."""
        for name, inner in _children(group):
            if "vars" in inner.groups:
                self.add(name, inner, prefix, parents, is_item="vars" not in group.groups)
            else:
                self.collect(inner, prefix, parents)

    def add(self, name: str, group: Group, prefix: str, parents: tuple[Layer, ...], *, is_item: bool) -> None:
        path = self.free_path(f"{prefix}{label_of(group) or name}", f"{prefix}{name}", group.path)
        class_name = guess_class(group, name, is_item)
        layer = Layer(name=path.rpartition("/")[2], class_name=class_name or name, module=None, key=path)
        self.inner.append(Located(path=path, layer=layer, parents=parents))
        self.groups[path] = group
        if guessed_variables(group, class_name):
            tensors = numbered_tensors(layer.class_name, {}, group)
        else:
            tensors = own_tensors(group, [inner for inner, _ in _children(group)])
            self.collect(group, f"{path}/", (*parents, layer))
        self.weights[path] = tuple(replace(tensor, slot=f"{group.path}/{tensor.slot}") for tensor in tensors)

    def free_path(self, *candidates: str) -> str:
        """The first path that no other layer has; the last one is the group's own and always free."""
        return next((path for path in candidates if path not in self.groups), candidates[-1])


def _children(group: Group) -> Iterator[tuple[str, Group]]:
    """Inner groups that may be layers; random state belongs to the layer around it."""
    for name in sorted(group.groups, key=natural):
        if name not in _NOT_LAYERS and not name.endswith("seed_generator"):
            yield name, group.groups[name]
