"""Files as a source of weights alone: what each container holds, by content, as entries with name, shape and type.

Knows no architecture: which entry belongs to which layer is `formats.matching`'s to find. A file with a whole model is
a source of weights too; its architecture is left aside.
"""

from __future__ import annotations

import glob
from dataclasses import field, replace
from typing import TYPE_CHECKING, Literal

from modelrecipe.errors import FileError
from modelrecipe.files import cannot_read
from modelrecipe.formats.extent import Extent
from modelrecipe.formats.hdf5 import reading as hdf5
from modelrecipe.formats.hdf5.opening import as_text, open_hdf5
from modelrecipe.formats.hdf5.tensors import Group, StoredTensor
from modelrecipe.formats.hdf5.tree import tree_of
from modelrecipe.formats.keras_zip import reading as keras_zip
from modelrecipe.formats.keras_zip import shards as keras_shards
from modelrecipe.formats.keras_zip.groups import OPTIMIZER
from modelrecipe.formats.keras_zip.zip_members import locate_member, open_zip
from modelrecipe.formats.repair import Writer
from modelrecipe.formats.repairs.keras2_groups import DEPENDENCIES
from modelrecipe.formats.repairs.windows_groups import unfold
from modelrecipe.formats.tensorflow.object_graph import Objects, checkpoint_entries, read_objects
from modelrecipe.formats.tensorflow.prefix import INDEX, find_prefix, is_bundle
from modelrecipe.formats.weights import npz_file, safetensors_file
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import h5py

    from modelrecipe.formats.hdf5.recorded_names import Recorded

Kind = Literal["keras_groups", "keras_shards", "hdf5_layers", "hdf5", "npz", "safetensors", "tf_checkpoint"]
Match = Literal["by_path", "by_name", "by_order"]

TITLES: Mapping[Kind, str] = {
    "keras_groups": "HDF5 with groups of layers",
    "keras_shards": "groups of layers in shards",
    "hdf5_layers": "HDF5 with lists of layers",
    "hdf5": "bare HDF5",
    "npz": "NumPy arrays",
    "safetensors": "safetensors",
    "tf_checkpoint": "a TensorFlow checkpoint",
}
"""What each container is called in reports."""

_ZIP = b"PK"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_BEGINNING = 2**16
_OF_GROUPS = ("layers", "vars", DEPENDENCIES)
_STAMPS = ("keras_version", "backend")


@frozen
class WeightFile:
    """What a file holds of weights.

    Args:
        path: the file.
        kind: its container.
        files: every file that it consists of.
        entries: name (as the file writes it), shape, type and reader of each tensor, in the file's order.
        keras: the version of Keras that the file names; None where it names none.
        writer: the same for repairs, or what the layout alone tells.
        root: the tree of groups, for the containers of Keras 3.
        recorded: for lists of layers, what is listed under each.
        objects: for a TensorFlow checkpoint of objects, their tree.
        own_names: for one, what TensorFlow called the variables, under the entries' names.
    """

    path: Path
    kind: Kind
    files: tuple[Path, ...]
    entries: tuple[StoredTensor, ...]
    keras: str | None = None
    writer: Writer = field(default_factory=Writer)
    root: Group | None = None
    recorded: Mapping[str, tuple[Recorded, ...]] = field(default_factory=dict)
    objects: Objects | None = None
    own_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def match(self) -> Match:
        """How tensors find their layers unless a recipe says otherwise."""
        if self.root is not None or self.objects is not None:
            return "by_path"
        names = [entry.path for entry in self.entries]
        is_unnamed = self.kind == "npz" and names == [f"arr_{number}" for number in range(len(names))]
        return "by_order" if is_unnamed else "by_name"

    @property
    def separator(self) -> str:
        """What joins the components of names."""
        names = [entry.path for entry in self.entries]
        return "." if not any("/" in name for name in names) and any("." in name for name in names) else "/"

    @property
    def title(self) -> str:
        """Container and writer in words."""
        return TITLES[self.kind] + (f", Keras {self.keras}" if self.keras else "")


def read_weight_file(path: Path) -> WeightFile:
    """The headers of the tensors in a file; numbers are read when they are asked for.

    Raises:
        FileError: the file is missing, damaged, unsafe, or holds no weights.
    """
    found = _reader_of(path)(path)
    if not found.entries:
        raise FileError(f"'{path}' holds no weights")
    return found


def _reader_of(path: Path) -> Callable[[Path], WeightFile]:
    if not path.is_file() and (is_bundle(path) or is_bundle(_of_saved_model(path))):
        return _of_bundle
    try:
        with path.open("rb") as file:
            start = file.read(_BEGINNING)
            size = file.seek(0, 2)
    except OSError as error:
        raise cannot_read(path, error) from error
    if not start:
        raise FileError(f"'{path}' is empty")
    if start.startswith(_HDF5):
        return _of_hdf5
    if start.startswith(_ZIP):
        return _of_zip
    if safetensors_file.is_safetensors(start, size):
        return _of_safetensors
    if is_bundle(path):
        return _of_bundle
    if start.lstrip().startswith(b"{"):
        return _of_shards
    raise FileError(
        f"'{path}' holds no weights that can be read; it begins with {start[:8]!r}",
        hint="name HDF5, a Keras zip, .weights.json, .npz, safetensors or a TensorFlow checkpoint",
    )


def _of_hdf5(path: Path) -> WeightFile:
    return _read_hdf5(Extent.whole(path))


def _read_hdf5(extent: Extent, keras: str | None = None) -> WeightFile:
    with open_hdf5(extent) as handle:
        stamps = {name: as_text(handle.attrs[name]) for name in _STAMPS if name in handle.attrs}
        has_lists = any(name in handle.attrs for name in ("layer_names", "layer_names0"))
        names = set(handle)
        place = handle[hdf5.WEIGHTS] if hdf5.WEIGHTS in names else handle
        if hdf5.WEIGHTS in names or has_lists:
            tree = tree_of(extent, names - {hdf5.WEIGHTS} if hdf5.WEIGHTS in names else ())
            tree = tree.groups.get(hdf5.WEIGHTS, Group()) if hdf5.WEIGHTS in names else tree
            return _with_lists(extent, place, tree, stamps)  # type: ignore[arg-type]  # a dataset lists nothing
        root = tree_of(extent, {OPTIMIZER})
    if any(name.startswith(_OF_GROUPS) for name in names):
        return _of_groups(extent.file, (extent.file,), root, "keras_groups", keras)
    return WeightFile(
        path=extent.file,
        kind="hdf5",
        files=(extent.file,),
        entries=tuple(root.below()),
        keras=stamps.get("keras_version"),
        writer=Writer.of(stamps.get("keras_version"), stamps.get("backend")),
    )


def _with_lists(extent: Extent, place: h5py.Group, tree: Group, stamps: Mapping[str, str]) -> WeightFile:
    recorded = hdf5.recorded_weights(extent.file, tree, hdf5.listed_weights(place, tree))
    version = stamps.get("keras_version")
    return WeightFile(
        path=extent.file,
        kind="hdf5_layers",
        files=(extent.file,),
        entries=tuple(replace(item.stored, path=item.slot) for items in recorded.values() for item in items),
        keras=version,
        writer=Writer.of(version, stamps.get("backend")),
        recorded=recorded,
    )


def _of_groups(path: Path, files: Iterable[Path], root: Group, kind: Kind, keras: str | None) -> WeightFile:
    root = unfold(root)
    if DEPENDENCIES in root.groups:
        writer = Writer.of(keras or "2.12")
    else:  # Keras 2.15 and the first versions of Keras 3 wrote the same groups without names
        writer = Writer.of(keras or ("3" if is_labelled(root) else None))
    return WeightFile(
        path=path,
        kind=kind,
        files=tuple(files),
        entries=tuple(entry for entry in root.below() if "seed_generator" not in entry.path),
        keras=keras,
        writer=writer,
        root=root,
    )


def is_labelled(root: Group) -> bool:
    """Whether any group notes the name of its layer."""
    return root.label is not None or any(is_labelled(inner) for inner in root.groups.values())


def _of_zip(path: Path) -> WeightFile:
    with open_zip(path) as archive:
        names = archive.namelist()
        if keras_zip.WEIGHTS in names:
            return _read_hdf5(locate_member(archive, keras_zip.WEIGHTS, path), _version_in(archive, names, path))
        has_arrays = any(name.endswith(npz_file.ENDING) for name in names)
    if not has_arrays:
        raise FileError(f"'{path}' is a zip, but holds neither '{keras_zip.WEIGHTS}' nor arrays of NumPy")
    return WeightFile(path=path, kind="npz", files=(path,), entries=npz_file.read(path))


def _version_in(archive: zipfile.ZipFile, names: Iterable[str], path: Path) -> str | None:
    if keras_zip.METADATA not in names:
        return None
    version = keras_zip.read_json(archive, keras_zip.METADATA, path).get("keras_version")
    return version if isinstance(version, str) else None


def _of_saved_model(path: Path) -> Path:
    return path / "variables" / "variables"


def _of_bundle(path: Path) -> WeightFile:
    prefix = find_prefix(path if is_bundle(path) else _of_saved_model(path))
    found = [entry for entry in checkpoint_entries(prefix) if not entry.is_optimizer]
    objects = read_objects(prefix)
    stored = objects.tensors if objects is not None else {}
    data = sorted(prefix.parent.glob(f"{glob.escape(prefix.name)}.data-*"))
    return WeightFile(
        path=path,
        kind="tf_checkpoint",
        files=(prefix.parent / f"{prefix.name}{INDEX}", *data),
        entries=tuple(replace(stored.get(entry.stored.path, entry.stored), path=entry.path) for entry in found),
        objects=objects,
        own_names={entry.path: entry.name for entry in found if entry.name},
    )


def _of_safetensors(path: Path) -> WeightFile:
    return WeightFile(path=path, kind="safetensors", files=(path,), entries=safetensors_file.read(path))


def _of_shards(path: Path) -> WeightFile:
    root, shards = keras_shards.read(path)
    return _of_groups(path, (path, *shards), root, "keras_shards", None)
