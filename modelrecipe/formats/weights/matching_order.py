"""Weights without names that tell, beside an architecture from elsewhere: order tells, and shapes have to agree.

Keras 3 counts the groups of its files by class; old HDF5 files list layers in the model's order; bare arrays come as
`model.get_weights()` gave them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe import catalog
from modelrecipe.errors import FileError
from modelrecipe.formats.hdf5.layers import OWN
from modelrecipe.formats.keras_zip.groups import bind
from modelrecipe.formats.weights.matching import Found, found_of, has_variables, leaves_of, stored_tensor
from modelrecipe.formats.weights.matching_lists import share_lists
from modelrecipe.graph import walk

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from modelrecipe.formats.weights.files import WeightFile
    from modelrecipe.graph import Layer, Located
    from modelrecipe.weights import Tensor

    Places = Mapping[str, tuple[Tensor, ...] | None]

_WAYS = ("forward_layer", "backward_layer")
_HINT = "say under 'ignore' what to leave of the file and under 'fresh' which layers get nothing, or match by names"


def match_order(
    model: Layer, file: WeightFile, places: Places, *, ignored: Collection[str], fresh: Collection[str]
) -> Found:
    """Find each layer's tensors by order.

    Args:
        model: the architecture.
        file: the weights.
        places: the variables of each layer under its key, with their shapes; None for a class that is not known.
        ignored: entries of the file that are not counted.
        fresh: keys of layers that are not counted.

    Raises:
        FileError: the numbers differ, shapes differ, or more than one order fits.
    """
    if file.root is not None:
        return match_counted(model, file)
    if file.recorded:
        return _by_list(model, file, ignored, fresh)
    return _by_shape(model, file, places, ignored, fresh)


def match_counted(model: Layer, file: WeightFile) -> Found:
    """As Keras 3 reads its own files: groups by class and order.

    Raises:
        FileError: the groups do not fit the layers.
    """
    if file.root is None:
        return Found()
    try:
        bound = bind(model, file.root)
    except FileError as error:
        raise FileError(f"'{file.path}' {error.message}", hint=error.hint) from error
    pairs = {
        key: [(f"{bound.groups[key].path}/{tensor.slot}".lstrip("/"), tensor) for tensor in tensors]
        for key, tensors in bound.weights.items()
    }
    return found_of(pairs)


def _by_list(model: Layer, file: WeightFile, ignored: Collection[str], fresh: Collection[str]) -> Found:
    lists = {
        name: kept
        for name, items in file.recorded.items()
        if name != OWN and (kept := [item for item in items if item.slot not in ignored])
    }
    layers = [item for item in walk(model) if len(item.parents) == 1 and item.layer.key not in fresh]
    holders = [item for item in layers if _holds(item) is not False]
    certain = [item for item in layers if _holds(item)]
    chosen = next((order for order in (certain, holders) if len(order) == len(lists)), None)
    if chosen is None:
        raise FileError(
            f"'{file.path}' lists weights of {len(lists)} layers, but the architecture has {len(certain)} with weights",
            hint=_HINT,
        )
    given = {item.layer.key: (item, kept) for item, kept in zip(chosen, lists.values(), strict=True)}
    return found_of(share_lists(given, {item.layer.key: item.layer for item in leaves_of(model)}, file))


def _holds(located: Located) -> bool | None:
    """Whether a layer or nested model has variables; None where its class is not known."""
    layer = located.layer
    if layer.is_input or layer.is_operation:
        return False
    if layer.graph is not None:
        return any(has_variables(item) for item in leaves_of(layer))
    variables = catalog.variables(layer.class_name, layer.config)
    return None if variables is None else bool(variables)


def _by_shape(
    model: Layer, file: WeightFile, places: Places, ignored: Collection[str], fresh: Collection[str]
) -> Found:
    entries = [entry for entry in file.entries if entry.path not in ignored]
    orders = [_order(model, places, fresh, is_split=is_split) for is_split in (False, True)]
    fitting = [order for order in orders if [place.shape for _, place in order] == [entry.shape for entry in entries]]
    if not fitting:
        raise _unfitting(file, orders[0], [(entry.path, entry.shape) for entry in entries])
    if _slots(fitting[0]) != _slots(fitting[-1]):
        raise FileError(
            f"'{file.path}' fits the architecture in two orders: a nested model's statistics may stand behind its "
            "other weights or not",
            hint="write the weights with names",
        )
    pairs: dict[str, list[tuple[str, Tensor]]] = {}
    for (item, place), entry in zip(fitting[0], entries, strict=True):
        pairs.setdefault(item.layer.key, []).append((entry.path, stored_tensor(place.name, entry, place.slot)))
    return found_of(pairs)


def _order(model: Layer, places: Places, fresh: Collection[str], *, is_split: bool) -> list[tuple[Located, Tensor]]:
    """The model's variables as `get_weights` gives them.

    Args:
        model: the architecture.
        places: as for `match_order`.
        fresh: keys of layers that are not counted.
        is_split: whether what a nested model does not train stands behind all else of it, as in Keras before tf.keras.
    """
    outermost: dict[str, list[tuple[Located, Tensor]]] = {}
    for item in leaves_of(model):
        if item.layer.key not in fresh:
            own = [(item, place) for place in _own_order(item, places[item.layer.key])]
            outermost.setdefault(item.path.partition("/")[0], []).extend(own)
    found: list[tuple[Located, Tensor]] = []
    for part in outermost.values():
        first = [pair for pair in part if pair[1].is_trainable] if is_split else part
        found += [*first, *(pair for pair in part if is_split and not pair[1].is_trainable)]
    return found


def _slots(order: Sequence[tuple[Located, Tensor]]) -> list[tuple[str, str]]:
    return [(item.layer.key, place.slot) for item, place in order]


def _own_order(item: Located, places: Sequence[Tensor] | None) -> Sequence[Tensor]:
    """A layer's variables in its own order, which for layers in layers is not that of files."""
    groups = {place.slot.rpartition("vars/")[0] for place in places or ()}
    ways = {group.partition("/")[0] for group in groups}
    if places is None or (len(groups) > 1 and not ways <= set(_WAYS)):
        raise FileError(
            f"the order of the variables of '{item.path}' ({item.layer.class_name}) cannot be told",
            hint="match by names, or name the layer under 'fresh'",
        )
    return sorted(places, key=lambda place: _WAYS.index(place.slot.partition("/")[0])) if ways & set(_WAYS) else places


def _unfitting(
    file: WeightFile, order: Sequence[tuple[Located, Tensor]], entries: Sequence[tuple[str, tuple[int, ...]]]
) -> FileError:
    for number, ((item, place), (name, shape)) in enumerate(zip(order, entries, strict=False), start=1):
        if place.shape != shape:
            return FileError(
                f"'{file.path}' does not fit the architecture by order: its tensor {number}, '{name}', is {shape}, but "
                f"'{item.path}/{place.name}' is {place.shape}",
                hint=_HINT,
            )
    return FileError(
        f"'{file.path}' holds {len(entries)} tensors, but the architecture has {len(order)} variables", hint=_HINT
    )
