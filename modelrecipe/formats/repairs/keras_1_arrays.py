"""Keras 1 named and laid out the arrays of its layers in another way; here they become today's variables.

Every layer has its arrays named after it (`dense_1_W`, `lstm_1_U_f`). A nested model lists those of all layers inside:
first what could be trained, then the rest (`Container.weights` of Keras 1.2.2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from modelrecipe.checkpoint import Mended
from modelrecipe.errors import FileError
from modelrecipe.formats.hdf5.recorded_names import Recorded
from modelrecipe.formats.repair import Repair, Writer
from modelrecipe.formats.repairs.keras_1_layouts import STATISTICS, Part, layer_and_end, parts
from modelrecipe.graph import Layer, is_trainable, walk

if TYPE_CHECKING:
    from modelrecipe.formats.hdf5.tensors import StoredTensor

Listed = Mapping[str, tuple[Recorded, ...]]
_Place = tuple[str, str]
"""The key of a layer with the number of its part, and the end of an old name."""


def mend_arrays(model: Layer, listed: Listed, writer: Writer) -> tuple[Listed, tuple[Mended, ...]]:
    """What the file lists under each layer of the outermost model, by today's names, and which layers that took.

    Raises:
        FileError: the weights are not those that Keras 1 wrote for their layer.
    """
    if model.graph is None or not writer.is_before(2, 2, 3):
        return listed, ()
    listed = _by_place(model.graph.layers, listed)
    if not writer.is_before(2):
        return listed, ()
    layers = {layer.name: layer for layer in model.graph.layers}
    found: dict[str, tuple[Recorded, ...]] = {}
    mended: list[str] = []
    for name, items in listed.items():
        has_new_names = not writer.version or any("/" in item.plain for item in items)
        is_old = any(layer_and_end(item.plain) for item in items) or not has_new_names
        new = _of_layer(layers[name], items) if name in layers and items and is_old else None
        found[name] = items if new is None else new
        mended += [] if new is None else [name]
    return (found, (Mended(repair=REPAIR.name, layers=tuple(mended)),)) if mended else (listed, ())


def backend_of(listed: Listed) -> str | None:
    """The backend that computed with a file of Keras 1, which does not say: TensorFlow numbers its names, `:0`."""
    names = [item.weight for items in listed.values() for item in items]
    if not names:
        return None
    return "tensorflow" if any(name.endswith(":0") for name in names) else "theano"


def _by_place(layers: Sequence[Layer], listed: Listed) -> Listed:
    """The same lists under the names that nameless nested models were given; the place among all layers tells."""
    held = [layer for layer in layers if layer.name in listed or not layer.is_input]
    if len(held) != len(listed):
        return listed
    pairs = list(zip(held, listed.items(), strict=True))
    if any(layer.name != name and layer.graph is None for layer, (name, _) in pairs):
        return listed
    return {
        layer.name: tuple(Recorded(group=layer.name, weight=item.weight, stored=item.stored) for item in items)
        if layer.name != name
        else items
        for layer, (name, items) in pairs
    }


def _of_layer(layer: Layer, items: tuple[Recorded, ...]) -> tuple[Recorded, ...] | None:
    """Today's variables of a layer or a nested model; None where nothing is known of how Keras 1 wrote its class."""
    leaves = list({found.layer.key: found.layer for found in walk(layer) if found.layer.graph is None}.values())
    leaves = leaves if layer.graph is not None else [layer]
    known: dict[str, tuple[Layer, Part]] = {}
    for leaf in leaves:
        inner = parts(leaf.class_name, leaf.config)
        if inner is None:
            return None
        known |= {f"{leaf.key}#{number}": (leaf, part) for number, part in enumerate(inner)}
    places = _by_name(known, items) or _by_order(known, items)
    if places is None:
        names = ", ".join(f"'{item.weight}'" for item in items[:3])
        raise FileError(
            f"lists {len(items)} weights of layer '{layer.name}' ({names}, ...), which are not those that Keras 1 "
            f"wrote for a {layer.class_name}"
        )
    return tuple(_today(layer, known, places))


def _today(
    layer: Layer, known: Mapping[str, tuple[Layer, Part]], places: Mapping[_Place, StoredTensor]
) -> list[Recorded]:
    """The variables in the order in which files of today list them: what may be trained first."""
    first: list[Recorded] = []
    rest: list[Recorded] = []
    for key, (leaf, part) in known.items():
        arrays = {end: stored for (owner, end), stored in places.items() if owner == key}
        for name, stored in part.modern(arrays).items():
            item = Recorded(group=layer.name, weight=f"{leaf.name}/{name}", stored=stored)
            is_free = is_trainable(leaf) and not item.end.startswith("moving_")
            (first if is_free else rest).append(item)
    return [*first, *rest]


def _by_name(known: Mapping[str, tuple[Layer, Part]], items: Sequence[Recorded]) -> dict[_Place, StoredTensor] | None:
    """Which array is which, where the names of all tell."""
    times = Counter(part.name for _, part in known.values())
    keys = {part.name: key for key, (_, part) in known.items() if times[part.name] == 1}
    places: dict[_Place, StoredTensor] = {}
    for item in items:
        layer, end = layer_and_end(item.plain) or ("", "")
        if layer not in keys or (keys[layer], end) in places:
            return None
        places[keys[layer], end] = item.stored
    for key, (_, part) in known.items():
        ends = {end for owner, end in places if owner == key}
        if not any(ends == set(alternative) for alternative in part.alternatives):
            return None
    return places


def _by_order(known: Mapping[str, tuple[Layer, Part]], items: Sequence[Recorded]) -> dict[_Place, StoredTensor] | None:
    """Which array is which by Keras 1's order, where names are missing or those of other layers."""
    chosen = {key: _form(part, items) for key, (_, part) in known.items()}
    for flags_count in (True, False):
        first: list[_Place] = []
        rest: list[_Place] = []
        for key, (leaf, _) in known.items():
            for end in chosen[key]:
                is_free = end not in STATISTICS and (not flags_count or is_trainable(leaf))
                (first if is_free else rest).append((key, end))
        order = [*first, *rest]
        if len(order) == len(items) and all(
            (layer_and_end(item.plain) or ("", end))[1] == end for (_, end), item in zip(order, items, strict=True)
        ):
            return {place: item.stored for place, item in zip(order, items, strict=True)}
    return None


def _form(part: Part, items: Sequence[Recorded]) -> tuple[str, ...]:
    """Which form of a layer with gates the file has: an array for each gate, or all gates in one."""
    forms = part.alternatives
    split, whole = forms[0], forms[-1]
    if split == whole:
        return whole
    ends = {(layer_and_end(item.plain) or ("", ""))[1] for item in items}
    if ends != {""}:
        return whole if ends.isdisjoint(split) else split
    width = _size(part) * len(split) // len(whole)
    return whole if any(item.stored.shape[-1:] == (width,) for item in items) else split


def _size(part: Part) -> int:
    return part.config["filters" if "filters" in part.config else "units"]


REPAIR = Repair(
    name="keras-1-arrays",
    cause="the arrays have the names and axes of Keras 1: `dense_1_W`, twelve for an LSTM, kernels in Theano's order",
    versions="Keras 1.0 to 1.2",
    cure="gates are put side by side in today's order and axes turned, when the numbers are read; `running_std` holds "
    "a variance and is `moving_variance`",
)
