"""Numbers in and out of live layers, by the saving protocol that Keras documents.

Simple layers go through `save_own_variables` and `load_own_variables`; layers with layers inside go through a weights
file, in which a holder model gives each of them a group of its own. Variables that wait for their numbers get initial
ones before; beyond that no private API is used.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from modelrecipe import catalog
from modelrecipe.errors import BuildError
from modelrecipe.formats.variable_names import may_train
from modelrecipe.frozen import frozen
from modelrecipe.live.adapters import is_adapted, numbered_variables
from modelrecipe.live.construct import foreign_code, reason
from modelrecipe.live.private import initialise
from modelrecipe.live.session import import_keras
from modelrecipe.weights import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray


def fill(layer: Any, tensors: Sequence[Tensor], path: str) -> None:
    """Give a live layer the numbers of `tensors`.

    Args:
        layer: a built Keras layer.
        tensors: its weights, which all have numbers; those of an old HDF5 file go by name, or else by that file's
            order, all others by slot.
        path: where it stands, for messages.

    Raises:
        BuildError: number or shape of the weights is not what the layer has, or its class does not take them.
    """
    initialise(layer.variables if hasattr(layer, "variables") else ())
    if not tensors:
        return
    with foreign_code(
        lambda error: BuildError(f"'{path}' ({type(layer).__name__}) does not take its weights: {reason(error)}")
    ):
        if not has_slots(tensors):
            _fill_by_name(layer, tensors, path)
        elif all(_own_number(tensor) is not None for tensor in tensors):
            _fill_own(layer, tensors, path)
        else:
            _fill_through_file(layer, tensors, path)


def by_name(layer: Any, tensors: Sequence[Tensor]) -> list[tuple[Any, Tensor]] | None:
    """The variable of each tensor of an old HDF5 file, by the recorded names; None where the numbers differ."""
    if len(layer.weights) != len(tensors):
        return None
    return list(zip(_as_recorded(layer, [_recorded(tensor) for tensor in tensors]), tensors, strict=True))


def has_slots(tensors: Iterable[Tensor]) -> bool:
    """Whether the tensors say where the layer keeps them, as files of Keras 3 do."""
    return all("vars/" in tensor.slot for tensor in tensors)


def _own_number(tensor: Tensor) -> str | None:
    head, _, number = tensor.slot.rpartition("/")
    return number if head == "vars" else None


def _fill_own(layer: Any, tensors: Sequence[Tensor], path: str) -> None:
    current: dict[str, Any] = {}
    layer.save_own_variables(current)
    store = dict(current.items())
    for tensor in tensors:
        number = _own_number(tensor) or ""
        if number not in store:
            raise BuildError(
                f"'{path}' has {len(current)} variables, but the file holds '{tensor.name}' as number {number}"
            )
        _check_shape(path, tensor, tuple(store[number].shape))
        store[number] = tensor.read()
    missing = store.keys() - {_own_number(tensor) for tensor in tensors}
    _refuse_missing(path, {number: getattr(current[number], "name", number) for number in sorted(missing)})
    layer.load_own_variables(store)


def _refuse_missing(path: str, missing: Mapping[str, str]) -> None:
    """A class may have gained a variable since the file was written; what it starts with is not ours to decide."""
    for number, name in missing.items():
        called = f"'{name}'" if name == number else f"'{name}' (number {number})"
        raise BuildError(
            f"'{path}' has the variable {called}, for which the file holds no numbers",
            hint="use the class as it was when the file was written, or replace the layer with weights: fresh",
        )


def _fill_by_name(layer: Any, tensors: Sequence[Tensor], path: str) -> None:
    names = [variable.path for variable in layer.weights]
    if len(names) != len(tensors):
        raise BuildError(f"'{path}' has {len(names)} weights ({', '.join(names)}), but the file holds {len(tensors)}")
    for variable, tensor in zip(_as_recorded(layer, [_recorded(tensor) for tensor in tensors]), tensors, strict=True):
        _check_shape(path, tensor, tuple(variable.shape))
        variable.assign(tensor.read())


def _recorded(tensor: Tensor) -> list[str]:
    """The components of a recorded name, without TensorFlow's output number."""
    return re.sub(r":\d+$", "", tensor.slot).split("/")


def _as_recorded(layer: Any, recorded: Sequence[Sequence[str]]) -> list[Any]:
    """The variables in the order of the recorded names.

    The ends of the names tell, as soon as they are long enough to differ. Where they do not, the order does: old HDF5
    files list what was trainable first (keras, `legacy_h5_format._legacy_weights`), which an edited flag changes.
    """
    paths = [variable.path.split("/") for variable in layer.weights]
    for length in range(1, max(map(len, paths)) + 1):
        ends = {tuple(path[-length:]): variable for path, variable in zip(paths, layer.weights, strict=True)}
        wanted = [tuple(name[-length:]) for name in recorded]
        if set(wanted) != set(ends):
            break
        if len(ends) == len(paths):
            return [ends[end] for end in wanted]
    orders = _orders(layer)
    ends = [name[-1] for name in recorded]
    return next((order for order in orders if [item.path.rpartition("/")[2] for item in order] == ends), orders[0])


def _orders(layer: Any) -> list[list[Any]]:
    """The orders in which files list the variables: with the flags of now, all trainable, all frozen."""
    weights = list(layer.weights)
    first = [may_train(variable.name, str(variable.dtype)) for variable in weights]
    free = [variable for variable, is_first in zip(weights, first, strict=True) if is_first]
    rest = [variable for variable, is_first in zip(weights, first, strict=True) if not is_first]
    return [[*layer.trainable_weights, *layer.non_trainable_weights], [*free, *rest], weights]


def _fill_through_file(layer: Any, tensors: Sequence[Tensor], path: str) -> None:
    with tempfile.TemporaryDirectory(prefix="modelrecipe-") as folder:
        file = Path(folder) / "state.weights.h5"
        holder = _hold([layer])
        holder.save_weights(file)
        with h5py.File(file, "r+") as opened:
            for tensor in tensors:
                name = f"{_GROUP}0/{tensor.slot}"
                place = opened.get(name)
                if not isinstance(place, h5py.Dataset):
                    raise BuildError(
                        f"'{path}' has no variable at '{tensor.slot}', where the file holds '{tensor.name}'"
                    )
                _check_shape(path, tensor, place.shape)
                place[...] = _as_stored(tensor.read())
        holder.load_weights(file)


def _as_stored(values: NDArray[np.generic]) -> NDArray[np.generic]:
    # HDF5 has no bfloat16: Keras stores its two bytes as they are.
    return values.view("V2") if values.dtype.name == "bfloat16" else values


def _check_shape(path: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tensor.shape is not None and tuple(tensor.shape) != shape:
        raise BuildError(f"'{tensor.name}' of '{path}' holds {tensor.shape}, but the layer was built with {shape}")


@frozen(kw_only=False)
class Held:
    """Numbers that stand in memory."""

    values: NDArray[np.generic]

    def __call__(self) -> NDArray[np.generic]:
        """The numbers."""
        return self.values


def read(layer: Any, class_name: str, config: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """The numbers of a live layer as tensors that hold them, named as the catalog names them."""
    if not hasattr(layer, "save_own_variables"):  # a bare operation
        return ()
    names = {item.slot: item for item in catalog.variables(class_name, config) or ()}
    found: list[Tensor] = []
    for slot, values, name, is_trainable in _state(layer):
        known = names.get(slot)
        found.append(
            Tensor(
                name=known.name if known else name,
                slot=slot,
                shape=tuple(values.shape),
                dtype=values.dtype.name,
                is_trainable=known.trainable if known else is_trainable,
                source=Held(values),
            )
        )
    return tuple(found)


def _state(layer: Any) -> Iterable[tuple[str, NDArray[np.generic], str, bool]]:
    store: dict[str, Any] = {}
    if is_adapted(layer):  # what it would save is the sum
        store |= numbered_variables(layer)
    else:
        layer.save_own_variables(store)
    if len(store) == len(layer.variables):
        for number, variable in store.items():
            is_variable = hasattr(variable, "numpy")
            values = variable.numpy() if is_variable else np.asarray(variable)
            name = variable.name if is_variable else number
            yield f"vars/{number}", np.asarray(values), name, bool(getattr(variable, "trainable", True))
        return
    with tempfile.TemporaryDirectory(prefix="modelrecipe-") as folder:
        file = Path(folder) / "state.weights.h5"
        _hold([layer]).save_weights(file)
        with h5py.File(file) as opened:
            datasets = dict(_datasets(opened[f"{_GROUP}0"], ""))
        for slot, values in datasets.items():
            yield slot, values, slot.replace("vars/", ""), "seed_generator" not in slot


def _datasets(group: object, prefix: str) -> Iterator[tuple[str, NDArray[np.generic]]]:
    """Every dataset below a group, under its path."""
    if not isinstance(group, h5py.Group):
        return
    for key, item in group.items():
        if isinstance(item, h5py.Dataset):
            values = item[()]
            yield prefix + key, _bfloat16(values) if item.attrs.get("dtype") == "bfloat16" else values
        else:
            yield from _datasets(item, f"{prefix}{key}/")


def _bfloat16(values: NDArray[np.generic]) -> NDArray[np.generic]:
    import ml_dtypes

    return values.view(ml_dtypes.bfloat16)


_GROUP = "held_"


def _hold(layers: Sequence[Any]) -> Any:
    """A model whose weights file has the group `held_<number>` for each layer."""
    keras = import_keras()

    class Holder(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="holder")
            for number, layer in enumerate(layers):
                setattr(self, f"{_GROUP}{number}", layer)
            self.built = True

    return Holder()
