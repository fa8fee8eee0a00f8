"""The headers of an HDF5 file of any form in one pass through h5py; the numbers stay behind lazy readers.

The file is closed when the pass ends. Links that lead elsewhere, external storage, virtual datasets and datasets that
unfold to far more than is stored are refused. Knows neither Keras layers nor zips.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import h5py
import h5py.h5l
import h5py.h5o
import numpy as np

from modelrecipe.errors import FileError
from modelrecipe.formats.hdf5.opening import as_text, open_hdf5, shown
from modelrecipe.formats.hdf5.tensors import ContiguousSource, DatasetSource, Group, StoredTensor

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from modelrecipe.formats.extent import Extent
    from modelrecipe.formats.hdf5.tensors import Source

_BOMB_FLOOR = 1 << 28
_MOST_EXPANSION = 1000
_DEEPEST = 64
_LINKS: Mapping[int, str] = {h5py.h5l.TYPE_SOFT: "a soft link", h5py.h5l.TYPE_EXTERNAL: "an external link"}


def tree_of_any(extent: Extent, skip: Collection[str] = ()) -> Group:
    """The headers of everything in a file but the groups `skip` at its root.

    Raises:
        FileError: the file is damaged, or is refused; see the room's duty.
    """
    with open_hdf5(extent) as handle:
        return _Walk(extent=extent).group(handle.id, "", skip)


@dataclass(kw_only=True)
class _Walk:
    """The pass over all headers, through h5py's low level, with as few calls of it as tell all: there are thousands.

    Args:
        extent: the HDF5 file.
        met: where the objects lie that were met.
        plain: the types of numbers that were met and that numpy has too, in both forms.
    """

    extent: Extent
    met: set[int] = field(default_factory=set)
    plain: list[tuple[Any, np.dtype[Any]]] = field(default_factory=list)

    def group(self, handle: Any, path: str, skip: Collection[str] = ()) -> Group:
        if path.count("/") > _DEEPEST:
            raise self.refusal(path, f"is nested deeper than {_DEEPEST} groups")
        groups: dict[str, Group] = {}
        tensors: dict[str, StoredTensor] = {}
        for raw, link, address in _links(handle):
            name = as_text(raw)
            if name in skip:
                continue
            inner = f"{path}/{name}" if path else name
            if name.encode() != raw or not name.isprintable():
                raise self.refusal(inner, "has a name that is no printable text")
            if link != h5py.h5l.TYPE_HARD:
                raise self.refusal(inner, f"is {_LINKS.get(link, 'a link of an unknown kind')}")
            found = h5py.h5o.open(handle, raw)
            self.once(address, inner)
            if isinstance(found, h5py.h5d.DatasetID):
                tensors[name] = self.tensor(found, inner)
            elif isinstance(found, h5py.h5g.GroupID):
                groups[name] = self.group(found, inner)
            else:
                raise self.refusal(inner, "is neither a group nor a dataset")
        label = _text_attribute(handle, "name") if path.endswith("vars") else None
        return Group(path=path, label=label, groups=groups, tensors=tensors)

    def once(self, address: int, path: str) -> None:
        """Refuse a second way to one object: nobody writes it, and a cycle would never end."""
        if address in self.met:
            raise self.refusal(path, "is linked from two places")
        self.met.add(address)

    def refusal(self, path: str, what: str) -> FileError:
        return FileError(f"'{self.extent.file}' is refused: '{shown(path)}' in it {what}")

    def tensor(self, found: Any, path: str) -> StoredTensor:
        offset = found.get_offset()
        if offset is None:  # else they lie in this file, in one piece
            self.refuse_elsewhere(found, path)
        shape, kind = found.shape, found.get_type()
        stored = next((stored for form, stored in self.plain if form.equal(kind)), None)
        is_plain = stored is not None
        if stored is None:
            stored = found.dtype
        if shape is None or stored.kind not in "biufcV" or stored.names:
            raise self.refusal(path, f"holds '{'nothing' if shape is None else stored}' instead of numbers")
        size = math.prod(shape) * stored.itemsize
        if size > _BOMB_FLOOR and size > _MOST_EXPANSION * found.get_storage_size():
            raise self.refusal(path, f"unfolds to {size} bytes, of which next to nothing is stored")
        dtype = self.keras_type(found, stored, path)
        if not is_plain:
            form = h5py.h5t.py_create(stored, logical=True)
            is_plain = form.equal(kind)
            self.plain += [(form, stored)] if is_plain else []
        if offset is None or not is_plain or size == 0:
            source: Source = DatasetSource(extent=self.extent, path=path, dtype=dtype)
        elif offset + size > self.extent.size:
            raise self.refusal(path, "reaches past the end of the file")
        else:
            source = ContiguousSource(extent=self.extent, offset=offset, shape=shape, stored=stored.str, dtype=dtype)
        return StoredTensor(path=path, shape=shape, dtype=dtype, source=source)

    def refuse_elsewhere(self, found: Any, path: str) -> None:
        plist = found.get_create_plist()
        layout = plist.get_layout()
        if layout == h5py.h5d.VIRTUAL:
            raise self.refusal(path, "is a virtual dataset")
        if layout == h5py.h5d.CONTIGUOUS and plist.get_external_count():
            raise self.refusal(path, "keeps its numbers in an external file")

    def keras_type(self, found: Any, stored: np.dtype[Any], path: str) -> str:
        """The type's name; types that HDF5 lacks are stored as bare bytes, with their name as an attribute."""
        if stored.kind != "V":
            return stored.name
        import ml_dtypes  # few files hold numbers of these types

        name = _text_attribute(found, "dtype") or ""
        known = getattr(ml_dtypes, name, None) if name.isidentifier() else None
        if not isinstance(known, type) or np.dtype(known).itemsize != stored.itemsize:
            raise self.refusal(path, f"holds bytes of an unknown type '{name or stored.str}'")
        return name


def _links(group: Any) -> list[tuple[bytes, int, int]]:
    """Name, kind and place of every link in a group: in the order of making where the file keeps it, else by name."""
    found: list[tuple[int, tuple[bytes, int, int]]] = []

    def note(name: bytes, info: Any) -> None:
        # h5py hands the same object to every call.
        found.append((info.corder if info.corder_valid else 0, (name, info.type, info.u)))

    group.links.iterate(note, info=True)
    return [link for _, link in sorted(found, key=lambda item: item[0])]


def _text_attribute(found: Any, name: str) -> str | None:
    """The text of an attribute; None where there is none."""
    if not h5py.h5a.exists(found, name.encode()):
        return None
    attribute = h5py.h5a.open(found, name.encode())
    value = np.empty(attribute.shape, attribute.dtype)
    attribute.read(value)
    return as_text(value[()])
