"""Which live variable each stored tensor is for, where that is plain to see.

Most layers save their variables as they are and take them back as they are. Then nothing but an assignment is needed,
or none at all, when the numbers only pass through on their way to a new file (`lending`). Everything else (quantised
layers, layers that compute something of what they load, custom ones that do as they like) goes through the saving
protocol, in `state`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelrecipe.catalog.variables import snake_case
from modelrecipe.live.adapters import is_adapted, numbered_variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from modelrecipe.weights import Tensor

Placed = list[tuple[Any, "Tensor"]]

# Classes of Keras 3 that load what they save, variable by variable, unless they are quantised or adapted by LoRA.
_PLAIN = ("Layer", "Dense", "EinsumDense", "Embedding", "BaseConv")
_PROTOCOL = ("save_own_variables", "load_own_variables")


def places(layer: Any, tensors: Sequence[Tensor]) -> Placed | None:
    """The variable of each tensor.

    Args:
        layer: a built Keras layer.
        tensors: its weights, all of which have numbers.

    Returns:
        None where the layer does more than to assign, or where tensors and variables do not match one to one.
    """
    found: Placed = []
    stores: dict[str, Mapping[str, Any]] = {}
    for tensor in tensors:
        folder, _, number = tensor.slot.rpartition("/")
        if folder not in stores:
            stores[folder] = _saved(layer, folder)
        variable = stores[folder].get(number)
        if variable is None or tensor.shape is None or tuple(variable.shape) != tuple(tensor.shape):
            return None
        found.append((variable, tensor))
    taken = {id(variable) for variable, _ in found}
    is_whole = all(id(variable) in taken for store in stores.values() for variable in store.values())
    own = {id(variable) for variable in layer.variables}
    needed = {id(variable) for variable in layer.weights}
    return found if is_whole and needed <= taken <= own and len(taken) == len(found) else None


def _saved(layer: Any, folder: str) -> Mapping[str, Any]:
    """The variables that the file keeps in a folder below the layer's own, by number; none where it is not plain."""
    *parts, last = folder.split("/")
    holder = _inner(layer, parts) if last == "vars" else None
    if holder is not None and is_adapted(holder) and _has_protocol(holder):
        return numbered_variables(holder)
    if holder is None or not _is_plain(holder):
        return {}
    store: dict[str, Any] = {}
    holder.save_own_variables(store)
    own = {id(variable) for variable in holder.variables}
    return store if all(id(variable) in own for variable in store.values()) else {}


def _inner(holder: Any, parts: Sequence[str]) -> Any:
    """What stands at a path of attributes and of items in lists, as Keras writes it (`_save_container_state`)."""
    for part in parts:
        if isinstance(holder, list | tuple | dict):
            holder = _items(holder.values() if isinstance(holder, dict) else holder).get(part)
        else:
            holder = getattr(holder, part, None)
        if holder is None:
            return None
    return holder


def _items(container: Iterable[Any]) -> dict[str, Any]:
    """The items by class and order, as `dense` and `dense_1`."""
    found: dict[str, Any] = {}
    counted: dict[str, int] = {}
    for item in container:
        kind = snake_case(type(item).__name__)
        number = counted[kind] = counted.get(kind, -1) + 1
        found[f"{kind}_{number}" if number else kind] = item
    return found


def _is_plain(holder: Any) -> bool:
    if getattr(holder, "quantization_mode", None) or getattr(holder, "lora_enabled", False):
        return False
    return _has_protocol(holder)


def _has_protocol(holder: Any) -> bool:
    return all(_is_of_keras(holder, method) for method in _PROTOCOL)


def _is_of_keras(holder: Any, method: str) -> bool:
    """Whether the method is the one of a class that is known to be plain."""
    owner = next((kind for kind in type(holder).__mro__ if method in vars(kind)), None)
    return owner is not None and owner.__module__.startswith("keras.") and owner.__name__ in _PLAIN
