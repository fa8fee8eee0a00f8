"""Keras 2.12 to 2.15 wrote `.keras` files, too, but named the groups of the weights in other ways than Keras 3.

Layers stand under `_layer_checkpoint_dependencies` (2.12 to 2.14) or `layers` (2.15), without their names: the groups
are called after class and order. How they are counted differs (2.12 and 2.13 count a layer that has weights twice,
Keras 3 counts a layer again that another model holds as well), but their order never does. Layers inside of others
stand under the attribute that held them (`_query_dense`).
Source: `tf_keras/src/saving/saving_lib.py` and its history.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from modelrecipe import catalog
from modelrecipe.catalog.variables import snake_case
from modelrecipe.errors import FileError
from modelrecipe.formats.hdf5.tensors import Group
from modelrecipe.formats.repair import Json, Repair, Writer, inner_layers, is_layer, name_of
from modelrecipe.formats.variable_names import natural
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

DEPENDENCIES = "_layer_checkpoint_dependencies"
_CONTAINERS = (DEPENDENCIES, "layers")
_OF_TRAINING = re.compile(r"optimizer|_?(compiled_)?(metrics|loss|losses)")
_HELD: Mapping[str, Sequence[str]] = {
    "forward_layer": ("layer",),
    "backward_layer": ("backward_layer", "layer"),
}
"""Where a configuration tells of a layer that stands under another attribute than its own key."""


@frozen
class Regrouped:
    """A weight file as Keras 3 would lay it out.

    Args:
        root: its groups; sources read where the numbers are.
        moved: the former path of each group that has another one now.
        layers: paths of the layers whose groups moved.
    """

    root: Group
    moved: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[str, ...] = ()


def is_of_keras_2(root: Group, writer: Writer) -> bool:
    """Whether Keras 2 named the groups: its own container is there, or an old version and no name of a layer."""
    return DEPENDENCIES in root.groups or (writer.is_before(3) and not any(_labels(root)))


def _labels(group: Group) -> Iterator[str]:
    if group.label is not None:
        yield group.label
    for inner in group.groups.values():
        yield from _labels(inner)


def regroup(config: Mapping[str, Any], root: Group, writer: Writer) -> Regrouped:
    """The groups of a weight file under the names that Keras 3 gives them, each with the name of its layer.

    Args:
        config: the model's configuration as the file has it, before any repair: classes and order name the groups.
        root: the weight file.
        writer: what wrote it.

    Returns:
        The very `root` where Keras 3 would give the same names.

    Raises:
        FileError: the number of groups of a class is not that of the layers.
    """
    if not is_of_keras_2(root, writer) or _layers_of(config) is None:
        return Regrouped(root=root)
    regrouping = _Regrouping()
    mended = regrouping.model(dict(config), root, "", "")
    if not regrouping.layers:
        return Regrouped(root=root)
    return Regrouped(root=mended, moved=regrouping.moved, layers=tuple(dict.fromkeys(regrouping.layers)))


@dataclass(kw_only=True)
class _Regrouping:
    """One walk over configuration and groups, in the order in which Keras saved the layers."""

    visited: set[int] = field(default_factory=set)
    moved: dict[str, str] = field(default_factory=dict)
    layers: list[str] = field(default_factory=list)

    def model(self, data: Json, group: Group, place: str, path: str) -> Group:
        """A model's group: those of its layers by class and order."""
        container = next((group.groups[name] for name in _CONTAINERS if name in group.groups), Group())
        listed = _layers_of(data) or []
        keys = _keys(container, listed)
        below = f"{place}/layers" if place else "layers"
        used: Counter[str] = Counter()
        groups: dict[str, Group] = {}
        for layer in listed:
            kind = snake_case(str(layer["class_name"]))
            name = f"{kind}_{used[kind]}" if used[kind] else kind
            used[kind] += 1
            if self.was_visited(layer):
                continue
            where = f"{path}/{name_of(layer)}" if path else name_of(layer)
            old = _next_key(keys, kind, where)
            if old is not None:
                groups[name] = self.layer(layer, container.groups[old], f"{below}/{name}", where)
        if any(keys.values()):
            raise _miscounted(path)
        others = {name: inner for name, inner in group.groups.items() if name not in _CONTAINERS}
        kept = {name: inner for name, inner in others.items() if not _OF_TRAINING.fullmatch(name)}
        if len(kept) < len(others):
            self.layers.append(path)
        own = {name: inner.moved(f"{place}/{name}" if place else name) for name, inner in kept.items()}
        self.note(place, group, path)
        return Group(path=place, groups={**own, "layers": Group(path=below, groups=groups)})

    def was_visited(self, layer: Json) -> bool:
        """Whether an earlier model holds the same layer, where it was saved."""
        shared = layer.get("shared_object_id")
        is_known = isinstance(shared, int) and shared in self.visited
        self.visited.update(
            item["shared_object_id"]
            for item in (layer, *(() if _layers_of(layer) is not None else inner_layers(layer)))
            if isinstance(item.get("shared_object_id"), int)
        )
        return is_known

    def layer(self, data: Json, group: Group, place: str, path: str) -> Group:
        """The group of one layer, with the layer's name."""
        if _layers_of(data) is not None:
            found = self.model(data, group, place, path)
        else:
            found = self.leaf(data, group, place, path)
        own = replace(found.groups.get("vars", Group(path=f"{place}/vars")), label=name_of(data))
        self.note(place, group, path)
        return replace(found, groups={**found.groups, "vars": own})

    def leaf(self, data: Json, group: Group, place: str, path: str) -> Group:
        """The group of a layer that is no model; a wrapper may hold one."""
        config = data.get("config")
        groups: dict[str, Group] = {}
        for name, inner in group.groups.items():
            held = _held(config, name)
            if held is not None and _layers_of(held) is not None:
                groups[name] = self.model(held, inner, f"{place}/{name}", path)
            elif held is not None:
                groups[name] = self.leaf(held, inner, f"{place}/{name}", path)
            elif not _OF_TRAINING.fullmatch(name):
                groups[name] = inner.moved(f"{place}/{name}")
        found = Group(path=place, groups=groups, tensors=group.moved(place).tensors)
        fitted = _fitted(found, str(data.get("class_name")), config)
        if fitted is not found:
            self.layers.append(path)
        return fitted

    def note(self, place: str, group: Group, path: str) -> None:
        if place != group.path:
            self.moved[place] = group.path
            if any(True for _ in group.below()):
                self.layers.append(path)


def _keys(container: Group, layers: Sequence[Json]) -> dict[str, list[str]]:
    """The groups of each class, in order, the last one first."""
    kinds = {snake_case(str(layer["class_name"])) for layer in layers}
    found: dict[str, list[str]] = defaultdict(list)
    for name in sorted(container.groups, key=natural, reverse=True):
        numbered = re.fullmatch(r"(.*)_\d+", name)
        kind = name if name in kinds or numbered is None else numbered[1]
        found[kind].append(name)
    return found


def _next_key(keys: Mapping[str, list[str]], kind: str, path: str) -> str | None:
    """The group of the next layer of a class; layers of some classes have none at all (an input in a Sequential)."""
    if kind not in keys:
        return None
    if not keys[kind]:
        raise _miscounted(path)
    return keys[kind].pop()


def _miscounted(path: str) -> FileError:
    of = f"of the model '{path}'" if path else "of the model"
    return FileError(
        f"names its groups of weights as Keras 2 did, by class and order, and they are not as many as the layers {of}",
        hint="save the model again with the Keras that wrote it, as HDF5",
    )


def _layers_of(data: Mapping[str, Any]) -> list[Json] | None:
    """The layers that a serialised model lists; None for what is no such model."""
    config = data.get("config")
    layers = config.get("layers") if isinstance(config, dict) else None
    return layers if isinstance(layers, list) and all(is_layer(layer) for layer in layers) else None


def _held(config: Any, attribute: str) -> Json | None:
    """The serialised layer that a wrapper held under an attribute."""
    for key in _HELD.get(attribute, (attribute,)):
        held = config.get(key) if isinstance(config, dict) else None
        if is_layer(held):
            return held
    return None


def _fitted(group: Group, class_name: str, config: Any) -> Group:
    """The group with the variables of Keras 3's layer, where public names of attributes are all that it takes."""
    known = catalog.variables(class_name, config) if isinstance(config, dict) else None
    wanted = {variable.slot for variable in known or ()}
    if known is None or _slots(group) == wanted:
        return group
    fitted = _public(group, group.path)
    return fitted if _slots(fitted) == wanted else group


def _slots(group: Group) -> set[str]:
    return {tensor.path[len(group.path) + 1 :] for tensor in group.below()}


def _public(group: Group, place: str) -> Group:
    """The group with inner ones under public attributes: Keras 3 saves `_query_dense` as `query_dense`."""
    names = {name: name.lstrip("_") or name for name in group.groups}
    groups = {names[name]: _public(inner, f"{place}/{names[name]}") for name, inner in group.groups.items()}
    return replace(group.moved(place), groups=groups)


REPAIR = Repair(
    name="keras-2-groups",
    cause="the groups of the weights are named otherwise than Keras 3 reads them: under "
    "`_layer_checkpoint_dependencies`, counted otherwise, or by private attributes",
    versions="`.keras` files of Keras 2.12 to 2.15 and tf_keras",
    cure="each layer gets its weights by class and order",
)
