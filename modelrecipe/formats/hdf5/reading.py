"""Whole models in HDF5 files (`.h5`, `.hdf5`), as Keras 2 and the legacy format of Keras 3 write them.

Reads them without Keras: `model_config`, `training_config`, and the group `model_weights` with its lists of names
(`keras/src/legacy/saving/legacy_h5_format.py`). Files are written by `hdf5writing`.
"""

from __future__ import annotations

import itertools
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from modelrecipe.checkpoint import Checkpoint, Mended, Origin
from modelrecipe.errors import FileError
from modelrecipe.formats.extent import Extent
from modelrecipe.formats.hdf5.layers import OWN, Assigned, assign
from modelrecipe.formats.hdf5.opening import as_text, open_hdf5
from modelrecipe.formats.hdf5.recorded_names import Recorded
from modelrecipe.formats.hdf5.tensors import Group
from modelrecipe.formats.hdf5.tree import tree_of
from modelrecipe.formats.json_text import read_object
from modelrecipe.formats.mending import mend_config, mend_document, mend_lists, with_backend
from modelrecipe.formats.repair import Writer
from modelrecipe.frozen import frozen
from modelrecipe.keras_config import read_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import h5py

    from modelrecipe.graph import Layer

WEIGHTS = "model_weights"
OPTIMIZER = "optimizer_weights"
CONFIG = "model_config"
_OF_WEIGHT_FILES = ("layers", "vars", "_layer_checkpoint_dependencies")


@frozen
class Contents:
    """What an HDF5 file holds, as plain data.

    Args:
        path: the file.
        extent: all of it.
        attributes: of the root, decoded to text.
        has_optimizer_state: whether the optimizer's variables are stored.
        root: the headers below `model_weights`.
        recorded: under the name of each layer, in the file's order, what `weight_names` lists.
    """

    path: Path
    extent: Extent
    attributes: Mapping[str, str]
    has_optimizer_state: bool = False
    root: Group = field(default_factory=Group)
    recorded: Mapping[str, tuple[Recorded, ...]] = field(default_factory=dict)


def read(path: Path, *, mends: bool = True) -> Checkpoint:
    """The model in an HDF5 file.

    Args:
        path: the file.
        mends: whether what older versions of Keras wrote is repaired.

    Raises:
        FileError: the file is damaged, refused as unsafe, holds no architecture, or its weights do not fit the layers.
    """
    contents = open_contents(path)
    version = contents.attributes.get("keras_version")
    writer = with_backend(Writer.of(version, contents.attributes.get("backend")), contents.recorded)
    config, applied = read_config(contents), ()
    if mends:
        config, applied = mend_config(config, writer)
    model = to_model(contents, config)
    if mends:
        contents, renamed = _with_modern_arrays(contents, model, writer)
        applied += renamed
    assigned = assign_weights(contents, model)
    training = contents.attributes.get("training_config")
    origin = Origin(
        path=path,
        format="hdf5",
        writer=f"Keras {version}" if version else None,
        compile_config=_json(path, "training_config", training) if training else None,
        has_optimizer_state=contents.has_optimizer_state,
    )
    checkpoint = Checkpoint(model=model, weights=assigned.weights, origin=origin, inner=assigned.inner)
    return mend_document(checkpoint, writer, applied) if mends else checkpoint


def open_contents(path: Path) -> Contents:
    """The headers and attributes of an HDF5 file with an architecture; see `read`."""
    extent = Extent.whole(path)
    with open_hdf5(extent) as handle:
        attributes = {
            name: as_text(handle.attrs[name])
            for name in (CONFIG, "training_config", "keras_version", "backend")
            if name in handle.attrs
        }
        names = set(handle)
        if CONFIG in attributes and WEIGHTS in names:
            tree = tree_of(extent, names - {WEIGHTS})
            listed = listed_weights(handle[WEIGHTS], tree.groups.get(WEIGHTS))  # type: ignore[arg-type]  # a dataset lists nothing
        else:
            tree, listed = Group(), {}
        is_weights_file = "layer_names" in handle.attrs or not names.isdisjoint(_OF_WEIGHT_FILES)
    if CONFIG not in attributes:
        raise _no_architecture(path, is_weights_file)
    if WEIGHTS not in names:
        raise FileError(f"'{path}' holds an architecture, but no weights (no group '{WEIGHTS}')")
    return Contents(
        path=path,
        extent=extent,
        attributes=attributes,
        has_optimizer_state=OPTIMIZER in names,
        root=tree.groups[WEIGHTS],
        recorded=recorded_weights(path, tree.groups[WEIGHTS], listed),
    )


def _no_architecture(path: Path, is_weights_file: bool) -> FileError:
    if is_weights_file:
        return FileError(
            f"'{path}' holds weights only, no architecture",
            hint="name one, as load: {architecture: model.json, weights: ...}",
        )
    return FileError(f"'{path}' is HDF5, but no Keras model: it has no attribute '{CONFIG}'")


def read_config(contents: Contents) -> dict[str, Any]:
    """The file's configuration as it stands there."""
    return _json(contents.path, CONFIG, contents.attributes[CONFIG])


def to_model(contents: Contents, config: Mapping[str, Any]) -> Layer:
    """The model that a configuration describes.

    Raises:
        FileError: the configuration is not one that Keras writes.
    """
    try:
        return read_model(config)
    except FileError as error:
        raise FileError(f"'{contents.path}': {error.message}", hint=error.hint) from error


def _with_modern_arrays(contents: Contents, model: Layer, writer: Writer) -> tuple[Contents, tuple[Mended, ...]]:
    try:
        recorded, applied = mend_lists(model, contents.recorded, writer)
    except FileError as error:
        raise FileError(f"'{contents.path}' {error.message}", hint=error.hint) from error
    return replace(contents, recorded=recorded), applied


def assign_weights(contents: Contents, model: Layer) -> Assigned:
    """Each layer's tensors; see `hdf5_layers.assign`, whose refusals get the file's name here."""
    try:
        return assign(model, contents.recorded, contents.attributes.get("keras_version", "1"))
    except FileError as error:
        raise FileError(f"'{contents.path}' {error.message}", hint=error.hint) from error


def _json(path: Path, name: str, text: str) -> dict[str, Any]:
    return read_object(text, f"'{path}': its attribute '{name}'")


def listed_weights(handle: h5py.Group, group: Group | None) -> dict[str, list[str]]:
    """The weight names of each layer, both in the file's order."""
    layers = names_attribute(handle, "layer_names")
    own = [OWN] if group and OWN in group.groups else []
    return {name: names_attribute(handle[name], "weight_names") for name in [*layers, *own] if name in handle}


def names_attribute(handle: Any, name: str) -> list[str]:
    """A list of names that may be spread over the attributes `name0`, `name1`, ... because it is long."""
    if name in handle.attrs:
        return [as_text(item) for item in handle.attrs[name]]
    names: list[str] = []
    for number in itertools.count():
        if f"{name}{number}" not in handle.attrs:
            break
        names.extend(as_text(item) for item in handle.attrs[f"{name}{number}"])
    return names


def recorded_weights(path: Path, root: Group, listed: Mapping[str, list[str]]) -> dict[str, tuple[Recorded, ...]]:
    """The headers of the listed weights, each of which has to be there."""
    recorded: dict[str, tuple[Recorded, ...]] = {}
    for layer, names in listed.items():
        found: list[Recorded] = []
        if len(set(names)) < len(names):
            raise FileError(f"'{path}' lists a weight of layer '{layer}' twice")
        for name in names:
            stored = root.tensor(f"{layer}/{name}")
            if stored is None:
                raise FileError(f"'{path}' lists weight '{name}' of layer '{layer}', but does not hold it")
            found.append(Recorded(group=layer, weight=name, stored=stored))
        recorded[layer] = tuple(found)
    return recorded
