"""Keras on Windows joined the names of groups with backslashes, which HDF5 takes for parts of names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe.formats.hdf5.tensors import Group
from modelrecipe.formats.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Mapping

_SEPARATOR = "\\"


def has_windows_names(root: Group) -> bool:
    """Whether a weight file joins the names of groups with backslashes."""
    return any(_SEPARATOR in name for name in root.groups)


def unfold(root: Group) -> Group:
    """The same weight file with a group in a group for each backslash; the very object where there is none."""
    if not has_windows_names(root):
        return root
    tree: dict[str, Group] = {}
    for name, group in root.groups.items():
        tree = _put(tree, "", name.split(_SEPARATOR), group)
    return replace(root, groups=tree)


def _put(groups: Mapping[str, Group], path: str, names: list[str], group: Group) -> dict[str, Group]:
    """The groups with one more at the path `names`; what stands there already is kept beside its content."""
    name, *rest = names
    place = f"{path}/{name}" if path else name
    there = groups.get(name, Group(path=place))
    inner = (
        replace(there, groups=_put(there.groups, place, rest, group)) if rest else _together(there, group.moved(place))
    )
    return {**groups, name: inner}


def _together(one: Group, other: Group) -> Group:
    return replace(
        other, groups={**one.groups, **other.groups}, tensors={**one.tensors, **other.tensors}, label=other.label
    )


REPAIR = Repair(
    name="windows-groups",
    cause="the weight file joins the names of groups with backslashes, which HDF5 does not split",
    versions="Keras 2.12 to 2.15 on Windows",
    cure="they are taken as groups in groups",
)
