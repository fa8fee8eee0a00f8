"""What the variables of a layer are called, in the files of Keras 3, which only number them.

The catalog knows Keras' layers. Of others, the names that the file notes for inner layers are all there is.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from modelrecipe import catalog
from modelrecipe.catalog.variables import snake_case
from modelrecipe.formats.hdf5.tensors import Group, StoredTensor
from modelrecipe.frozen import frozen
from modelrecipe.weights import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from modelrecipe.catalog import Variable

_STATISTICS = ("moving_mean", "moving_variance", "seed_generator_state")
_DIGITS = re.compile(r"(\d+)")


def class_of_group(*names: str | None) -> str | None:
    """The Keras class that a group was named after, `dense_2` after Dense; None where no name tells."""
    known = _classes_by_group_name()
    for name in names:
        if name and (found := known.get(name) or known.get(re.sub(r"_\d+$", "", name))):
            return found
    return None


@functools.cache
def _classes_by_group_name() -> Mapping[str, str]:
    return {snake_case(name): name for name in (*catalog.layer_names(), "Functional", "Sequential")}


@frozen
class _Numbered:
    """A stored variable of a layer: its slot there, and the best name that the file itself gives it."""

    slot: str
    name: str
    stored: StoredTensor


def numbered_tensors(class_name: str, config: Mapping[str, Any], group: Group) -> tuple[Tensor, ...]:
    """The variables in a layer's group of a Keras 3 file, in the catalog's order where it knows all of them."""
    found = list(_numbered(group, "", ""))
    known = {variable.slot: variable for variable in catalog.variables(class_name, config) or ()}
    if found and all(item.slot in known for item in found):
        rank = {slot: number for number, slot in enumerate(known)}
        found.sort(key=lambda item: rank[item.slot])
        return tuple(_tensor(item, known[item.slot]) for item in found)
    return unnamed_tensors(found)


def own_tensors(group: Group, skip: Sequence[str], prefix: str = "") -> tuple[Tensor, ...]:
    """The variables below a model's group that belong to none of its layers: all but the groups `skip`."""
    inner = {name: inner for name, inner in group.groups.items() if name not in skip}
    return unnamed_tensors(_numbered(Group(path=group.path, groups=inner), prefix, ""))


def unnamed_tensors(found: Iterable[_Numbered]) -> tuple[Tensor, ...]:
    """Variables that only their slots and the names of inner layers tell apart; unique names in any case."""
    items = list(found)
    times = Counter(item.name for item in items)
    return tuple(_tensor(item) if times[item.name] == 1 else _tensor(item, name=_plain(item.slot)) for item in items)


def _plain(slot: str) -> str:
    return "/".join(part for part in slot.split("/") if part != "vars")


def _tensor(item: _Numbered, variable: Variable | None = None, name: str | None = None) -> Tensor:
    name = variable.name if variable else name or item.name
    return Tensor(
        name=name,
        slot=item.slot,
        shape=item.stored.shape,
        dtype=item.stored.dtype,
        is_trainable=variable.trainable if variable else may_train(name, item.stored.dtype),
        source=item.stored.source,
    )


def may_train(name: str, dtype: str) -> bool:
    """Whether a variable of an unknown layer may be one that training changes: no statistics, no whole numbers."""
    return "float" in dtype and name.rpartition("/")[2] not in _STATISTICS


def _numbered(group: Group, slot: str, name: str) -> Iterator[_Numbered]:
    """Every variable below a group: its own by number, then those of inner groups, private attributes last."""
    own = group.groups.get("vars")
    tensors = own.tensors if own else {}
    for key in sorted(tensors, key=natural):
        yield _Numbered(slot=f"{slot}vars/{key}", name=name + key, stored=tensors[key])
    for key in sorted((key for key in group.groups if key != "vars"), key=natural):
        yield from _inner(group.groups[key], key, slot, name, is_item=own is None)


def _inner(group: Group, key: str, slot: str, name: str, is_item: bool) -> Iterator[_Numbered]:
    own = group.groups.get("vars")
    inner = f"{name}{own.label or key}/" if own else name
    known = guessed_variables(group, guess_class(group, key, is_item))
    for item in _numbered(group, f"{slot}{key}/", inner):
        variable = known.get(item.slot.removeprefix(f"{slot}{key}/"))
        yield _Numbered(slot=item.slot, name=inner + variable.name, stored=item.stored) if variable else item


def guess_class(group: Group, key: str, is_item: bool) -> str | None:
    """The class of an inner layer that nothing but names tells of.

    Args:
        group: of the layer.
        key: its name in the group around it. In a list of layers Keras makes it of the class; elsewhere it is the name
            of an attribute, and the layer's own name, which Keras makes of the class by default, tells more.
        is_item: whether it is in a list.
    """
    own = group.groups.get("vars")
    label = own.label if own else None
    return class_of_group(key, label) if is_item else class_of_group(label, key)


def guessed_variables(group: Group, class_name: str | None) -> Mapping[str, Variable]:
    """The catalog's variables of a class that was guessed; none unless exactly these are stored."""
    known = {variable.slot: variable for variable in (catalog.variables(class_name, {}) if class_name else None) or ()}
    start = len(group.path) + 1
    return known if known and known.keys() == {stored.path[start:] for stored in group.below()} else {}


def natural(name: str) -> tuple[bool, list[tuple[bool, int, str]]]:
    """Sorts `dense_2` before `dense_10`, and private attributes last, as Keras visits them."""
    parts = [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in _DIGITS.split(name) if part]
    return name.startswith("_"), parts
