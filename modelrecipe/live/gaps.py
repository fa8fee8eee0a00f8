"""Gaps in a file of weights that Keras lays out: numbers that only pass through come later, straight from their file.

Keras writes groups, headers and all numbers that it has to compute. Where it would write a variable that was lent its
numbers as they are, a dataset is made without any, and noted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from modelrecipe.formats.gathering import Part
from modelrecipe.formats.hdf5.tensors import StoredTensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelrecipe.live.lending import Loans
    from modelrecipe.weights import Tensor

_LACKING = {"bfloat16": "V2"}
"""Types that HDF5 does not have, and as what Keras stores them, with their name as an attribute."""


class Gaps:
    """Leaves gaps for what was lent, and remembers them.

    Args:
        loans: the variables whose numbers pass through.
    """

    def __init__(self, loans: Loans) -> None:
        self._loans = loans
        self._parts: dict[str, Part] = {}

    @property
    def parts(self) -> Sequence[Part]:
        """What is to be written into the gaps."""
        return tuple(self._parts.values())

    def leave(self, group: h5py.Group, key: str, variable: Any) -> bool:
        """Make a dataset without numbers; False where Keras has to write it."""
        tensor = self._loans.tensor(variable)
        kind = _kind(tensor, variable) if tensor is not None else None
        if tensor is None or tensor.source is None or kind is None or not tensor.size:
            return False
        dataset = _without_numbers(group, key, kind, tuple(variable.shape))
        offset = dataset.id.get_offset()
        if offset is None:  # it does not lie in one piece
            del group[key]
            return False
        if tensor.dtype in _LACKING:
            dataset.attrs["dtype"] = tensor.dtype
        path = _path(group, key)
        stored = StoredTensor(path=path, shape=tuple(variable.shape), dtype=str(tensor.dtype), source=tensor.source)
        edited = tensor if tensor.edits else None
        self._parts[path] = Part(offset=offset, kind=kind, stored=stored, tensor=edited)
        return True

    def fill(self, group: h5py.Group, key: str) -> None:
        """Write the numbers after all, because a layer looks at what it saved."""
        part = self._parts.pop(_path(group, key), None)
        if part is not None:
            values = part.stored.source() if part.tensor is None else part.tensor.read()
            group[key][...] = values.view(part.kind)  # type: ignore[index]  # a dataset, as it was made


def _path(group: h5py.Group, key: str) -> str:
    return f"{group.name}/{key}"


def _kind(tensor: Tensor, variable: Any) -> np.dtype[Any] | None:
    """How Keras stores a variable that has the type of its tensor; None where it converts it or stores it otherwise."""
    if tensor.dtype is None or tensor.dtype != str(variable.dtype):
        return None
    if tensor.dtype in _LACKING:
        return np.dtype(_LACKING[tensor.dtype])
    kind = np.dtype(tensor.dtype) if tensor.dtype in np.sctypeDict else None
    return kind if kind is not None and kind.kind in "fiu" else None


def _without_numbers(group: h5py.Group, key: str, kind: np.dtype[Any], shape: tuple[int, ...]) -> h5py.Dataset:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(shape) if shape else h5py.h5s.create(h5py.h5s.SCALAR)
    return h5py.Dataset(
        h5py.h5d.create(group.id, key.encode(), h5py.h5t.py_create(kind, logical=True), space, properties)
    )
