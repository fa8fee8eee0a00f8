"""The headers of an HDF5 file in one pass, and lazy readers for the numbers behind them.

The file is closed when the pass ends. Links that lead elsewhere, external storage, virtual datasets and datasets that
unfold to far more than is stored are refused. Knows neither Keras layers nor zips.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import h5py
import h5py.h5l
import h5py.h5o
import ml_dtypes
import numpy as np

from modelrecipe.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from modelrecipe.formats.extent import Extent

_BOMB_FLOOR = 1 << 28
_MOST_EXPANSION = 1000
_DEEPEST = 64
_LINKS: Mapping[int, str] = {h5py.h5l.TYPE_SOFT: "a soft link", h5py.h5l.TYPE_EXTERNAL: "an external link"}


@dataclass(frozen=True, kw_only=True)
class ContiguousSource:
    """Reads a dataset that lies in one piece, straight from the file.

    Args:
        extent: the HDF5 file.
        offset: the first byte, within the extent.
        shape: sizes.
        stored: numpy's code of the stored type, byte order included (`<f4`, `|V2`).
        dtype: as Keras names it.
    """

    extent: Extent
    offset: int
    shape: tuple[int, ...]
    stored: str
    dtype: str

    @property
    def size(self) -> int:
        """Number of bytes."""
        return math.prod(self.shape) * np.dtype(self.stored).itemsize

    def __call__(self) -> NDArray[np.generic]:
        """The numbers, in the machine's byte order."""
        with self.extent.open() as file:
            file.seek(self.extent.start + self.offset)
            raw = np.fromfile(file, np.uint8, self.size)
        if raw.size != self.size:
            raise FileError(f"'{self.extent.file}' changed while it was read", hint="run again")
        return as_keras(raw.view(self.stored), self.dtype).reshape(self.shape)


@dataclass(frozen=True, kw_only=True)
class DatasetSource:
    """Reads any other dataset (chunked, compressed, compact, or never written) by opening the HDF5 file again.

    Args:
        extent: the HDF5 file.
        path: of the dataset, from the file's root.
        dtype: as Keras names it.
    """

    extent: Extent
    path: str
    dtype: str

    def __call__(self) -> NDArray[np.generic]:
        """The numbers, in the machine's byte order."""
        with open_hdf5(self.extent) as handle:
            values = np.asarray(handle[self.path][()])  # type: ignore[index]  # the header pass saw a dataset there
        return as_keras(values, self.dtype)


Source = ContiguousSource | DatasetSource


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """The header of a dataset.

    Args:
        path: from the file's root.
        shape: sizes.
        dtype: as Keras names it.
        source: reads the numbers; a repair may put its own in front of the file's.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    source: Callable[[], NDArray[np.generic]]


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group with all that is below it.

    Args:
        path: from the file's root, which itself is "".
        label: the attribute `name`, where Keras 3 notes the name of the layer.
        groups: the groups in it.
        tensors: the datasets in it.
    """

    path: str = ""
    label: str | None = None
    groups: Mapping[str, Group] = field(default_factory=dict)
    tensors: Mapping[str, StoredTensor] = field(default_factory=dict)

    def below(self) -> Iterator[StoredTensor]:
        """Every dataset at any depth."""
        yield from self.tensors.values()
        for group in self.groups.values():
            yield from group.below()

    def moved(self, path: str) -> Group:
        """The same group at another path, with all that is below it; its numbers are read from where they are."""
        groups = {name: group.moved(f"{path}/{name}" if path else name) for name, group in self.groups.items()}
        tensors = {name: replace(item, path=f"{path}/{name}" if path else name) for name, item in self.tensors.items()}
        return replace(self, path=path, groups=groups, tensors=tensors)

    def tensor(self, path: str) -> StoredTensor | None:
        """The dataset at a path relative to the group; None where there is none."""
        *parents, last = path.split("/")
        group: Group | None = self
        for name in parents:
            group = group.groups.get(name) if group else None
        return group.tensors.get(last) if group else None


@contextmanager
def open_hdf5(extent: Extent) -> Iterator[h5py.File]:
    """The HDF5 file in an extent, read-only; closed again at the end, because h5py crashes on files left open.

    Raises:
        FileError: the file is damaged.
    """
    with extent.window() as window, damage_of(extent.file), h5py.File(window, "r") as handle:
        yield handle


@contextmanager
def damage_of(path: Path) -> Iterator[None]:
    """Turn what h5py raises on a damaged file into a `FileError`."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the operating system's refusal, as of a full disk, tells nothing of the file
        reason = _shown(str(error))
        if "truncated file" in reason or "eof" in reason:
            raise FileError(f"'{path}' is truncated: its HDF5 part is longer than what is there") from error
        raise FileError(f"'{path}' is damaged: HDF5 reports '{reason}'") from error


def tree_of(extent: Extent, skip: Collection[str] = ()) -> Group:
    """The headers of everything in a file but the groups `skip` at its root; gone through once for the same file.

    Raises:
        FileError: the file changed since the extent was found, is damaged, or is refused; see the room's duty.
    """
    extent.check()
    return _tree_of(extent, frozenset(skip))


@lru_cache(maxsize=2)
def _tree_of(extent: Extent, skip: frozenset[str]) -> Group:
    with open_hdf5(extent) as handle:
        return read_tree(handle, extent, skip)


def read_tree(handle: h5py.File, extent: Extent, skip: Collection[str] = ()) -> Group:
    """The headers of everything in the file but the groups `skip` at its root.

    Raises:
        FileError: something in the file is refused; see the room's duty.
    """
    return _Walk(extent=extent).group(handle.id, "", skip)


@dataclass(kw_only=True)
class _Walk:
    """The pass over all headers, through h5py's low level: objects of the high one cost twice the time."""

    extent: Extent
    met: set[int] = field(default_factory=set)

    def group(self, handle: Any, path: str, skip: Collection[str] = ()) -> Group:
        if path.count("/") > _DEEPEST:
            raise self.refusal(path, f"is nested deeper than {_DEEPEST} groups")
        groups: dict[str, Group] = {}
        tensors: dict[str, StoredTensor] = {}
        for raw in handle:
            name = as_text(raw)
            if name in skip:
                continue
            inner = f"{path}/{name}" if path else name
            if name.encode() != raw or not name.isprintable():
                raise self.refusal(inner, "has a name that is no printable text")
            link = handle.links.get_info(raw).type
            if link != h5py.h5l.TYPE_HARD:
                raise self.refusal(inner, f"is {_LINKS.get(link, 'a link of an unknown kind')}")
            found = h5py.h5o.open(handle, raw)
            self.once(found, inner)
            if isinstance(found, h5py.h5d.DatasetID):
                tensors[name] = self.tensor(found, inner)
            elif isinstance(found, h5py.h5g.GroupID):
                groups[name] = self.group(found, inner)
            else:
                raise self.refusal(inner, "is neither a group nor a dataset")
        label = _text_attribute(handle, "name") if path.endswith("vars") else None
        return Group(path=path, label=label, groups=groups, tensors=tensors)

    def once(self, found: Any, path: str) -> None:
        """Refuse a second way to one object: nobody writes it, and a cycle would never end."""
        address = hash(found)  # h5py makes it of the place in the file
        if address in self.met:
            raise self.refusal(path, "is linked from two places")
        self.met.add(address)

    def refusal(self, path: str, what: str) -> FileError:
        return FileError(f"'{self.extent.file}' is refused: '{_shown(path)}' in it {what}")

    def tensor(self, found: Any, path: str) -> StoredTensor:
        plist = found.get_create_plist()
        layout = plist.get_layout()
        if layout == h5py.h5d.VIRTUAL:
            raise self.refusal(path, "is a virtual dataset")
        if layout == h5py.h5d.CONTIGUOUS and plist.get_external_count():
            raise self.refusal(path, "keeps its numbers in an external file")
        shape, stored = found.shape, found.dtype
        if shape is None or stored.kind not in "biufcV" or stored.names:
            raise self.refusal(path, f"holds '{'nothing' if shape is None else stored}' instead of numbers")
        size = math.prod(shape) * stored.itemsize
        if size > _BOMB_FLOOR and size > _MOST_EXPANSION * found.get_storage_size():
            raise self.refusal(path, f"unfolds to {size} bytes, of which next to nothing is stored")
        dtype = self.keras_type(found, stored, path)
        source = self.source(found, path, dtype, shape, stored)
        return StoredTensor(path=path, shape=shape, dtype=dtype, source=source)

    def keras_type(self, found: Any, stored: np.dtype[Any], path: str) -> str:
        """The type's name; types that HDF5 lacks are stored as bare bytes, with their name as an attribute."""
        if stored.kind != "V":
            return stored.name
        name = _text_attribute(found, "dtype") or ""
        known = getattr(ml_dtypes, name, None) if name.isidentifier() else None
        if not isinstance(known, type) or np.dtype(known).itemsize != stored.itemsize:
            raise self.refusal(path, f"holds bytes of an unknown type '{name or stored.str}'")
        return name

    def source(self, found: Any, path: str, dtype: str, shape: tuple[int, ...], stored: np.dtype[Any]) -> Source:
        size = math.prod(shape) * stored.itemsize
        offset = found.get_offset()
        is_plain = h5py.h5t.py_create(stored, logical=True).equal(found.get_type())
        if offset is None or not is_plain or size == 0:
            return DatasetSource(extent=self.extent, path=path, dtype=dtype)
        if offset + size > self.extent.size:
            raise self.refusal(path, "reaches past the end of the file")
        return ContiguousSource(extent=self.extent, offset=offset, shape=shape, stored=stored.str, dtype=dtype)


def _text_attribute(found: Any, name: str) -> str | None:
    """The text of an attribute; None where there is none."""
    if not h5py.h5a.exists(found, name.encode()):
        return None
    attribute = h5py.h5a.open(found, name.encode())
    value = np.empty(attribute.shape, attribute.dtype)
    attribute.read(value)
    return as_text(value[()])


def to_stored(values: NDArray[np.generic], stored: np.dtype[Any]) -> NDArray[np.generic]:
    """Numbers as the file stores them: the byte order of the dataset, bare bytes for types that HDF5 lacks."""
    plain = np.ascontiguousarray(values).reshape(values.shape)
    return plain.view(stored) if stored.kind == "V" else plain.astype(stored, copy=False)


def as_keras(values: NDArray[np.generic], dtype: str) -> NDArray[np.generic]:
    """Numbers of a file in the type that Keras names, in the byte order of this machine."""
    if values.dtype.kind == "V":
        return values.view(getattr(ml_dtypes, dtype))
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _shown(text: str) -> str:
    """Text of a file on one line, with what no terminal can show as escapes."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in plain)


def as_text(value: object) -> str:
    """An attribute as text, which files hold as text or as bytes; what is not UTF-8 is replaced."""
    raw = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "replace")
