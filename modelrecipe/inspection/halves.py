"""Files that hold one half of a model: weights without an architecture, an architecture without weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from modelrecipe.engine.assembling import Base, all_fresh
from modelrecipe.engine.totals import totals
from modelrecipe.errors import FileError, UsageError
from modelrecipe.formats.architecture_files import is_recipe, read_architecture
from modelrecipe.formats.extent import Extent
from modelrecipe.formats.hdf5 import reading as hdf5
from modelrecipe.formats.hdf5.opening import open_hdf5
from modelrecipe.formats.keras_zip import reading as keras_zip
from modelrecipe.formats.keras_zip import shards
from modelrecipe.formats.keras_zip.groups import label_of
from modelrecipe.formats.keras_zip.zip_members import open_zip
from modelrecipe.formats.tensorflow import is_saved_model
from modelrecipe.formats.tensorflow.prefix import is_bundle
from modelrecipe.formats.weights.files import read_weight_file
from modelrecipe.formats.weights.safetensors_file import is_safetensors
from modelrecipe.inspection.facts import EntryFacts, Inspection
from modelrecipe.inspection.layers import layer_facts
from modelrecipe.obstacles import obstacles
from modelrecipe.outcome import Totals
from modelrecipe.selector import select
from modelrecipe.source.writing import yaml_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from modelrecipe.formats.architecture_files import Architecture
    from modelrecipe.formats.hdf5.tensors import Group
    from modelrecipe.formats.weights.files import WeightFile
    from modelrecipe.selector import Selector

_ZIP = b"PK"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_BEGINNING = 2**16
_LAYOUTS: Mapping[tuple[int, ...], str] = {(3,): "Keras 3", (2, 12): "Keras 2.12 to 2.15"}
"""What the layout of groups tells where no version is named: names of layers in it, old names of groups."""


def inspect_half(path: Path, selector: Selector | None, refusal: FileError) -> Inspection:
    """What a file holds that is no whole model.

    Args:
        path: the file.
        selector: which layers to list; None for all.
        refusal: what was said against it as a whole model; raised where it is neither half.

    Raises:
        FileError: it is damaged, or neither half of a model.
        UsageError: there is a selector, but the file holds weights alone.
    """
    start = _start_of(path)
    if _holds_weights(path, start):
        return _weights(path, selector, refusal)
    if not start or start.startswith((_ZIP, _HDF5)) or is_recipe(path):
        raise refusal
    if b"\0" in start:
        raise FileError(
            f"'{path}' is no model, no architecture and no file of weights; it begins with {start[:8]!r}",
            hint="known are .keras, HDF5, SavedModel directories, JSON and YAML of Keras, .weights.json, .npz, "
            "safetensors and TensorFlow checkpoints",
        )
    try:
        return _architecture(path, selector, start)
    except FileError:
        if f'"{shards.MAP}"'.encode() not in start:
            raise
    return _weights(path, selector, refusal)


def _start_of(path: Path) -> bytes:
    """The first bytes; none where it is no file."""
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(_BEGINNING)


def _holds_weights(path: Path, start: bytes) -> bool:
    """Whether a binary file or a directory has weights and no place for an architecture, by its content."""
    if start.startswith(_HDF5):
        with open_hdf5(Extent.whole(path)) as handle:
            return hdf5.CONFIG not in handle.attrs
    if start.startswith(_ZIP):
        with open_zip(path) as archive:
            return keras_zip.CONFIG not in archive.namelist()
    if start and is_safetensors(start, path.stat().st_size):
        return True
    return not is_saved_model(path) and not (path / keras_zip.CONFIG).exists() and is_bundle(path)


def _weights(path: Path, selector: Selector | None, refusal: FileError) -> Inspection:
    try:
        found = read_weight_file(path)
    except FileError as error:
        raise error from refusal
    if selector is not None:
        raise UsageError(
            f"'{path}' holds weights only, so there are no layers to select", hint="leave it out", key="--layers"
        )
    return Inspection(
        file=str(path),
        kind="weights",
        format=found.kind,
        writer=_writer_of(found),
        size=sum(file.stat().st_size for file in found.files),
        totals=Totals(layers=0, parameters=sum(math.prod(entry.shape) for entry in found.entries), trainable=None),
        missing=f"load: {{architecture: ..., weights: {yaml_text(str(path))}}}",
        match=found.match,
        entries=tuple(_entries(found)),
    )


def _writer_of(found: WeightFile) -> str | None:
    """What wrote it: the version that it names, or what its groups tell."""
    if found.keras:
        return f"Keras {found.keras}"
    if found.root is None:
        return None
    return _LAYOUTS.get(found.writer.version, "Keras 2.15 or 3")


def _entries(found: WeightFile) -> Iterator[EntryFacts]:
    labels = dict(_labels(found.root, ())) if found.root is not None else {}
    labels |= {path: name.rpartition("/")[0] for path, name in found.own_names.items()}
    for entry in found.entries:
        yield EntryFacts(name=entry.path, label=labels.get(entry.path) or None, shape=entry.shape, dtype=entry.dtype)


def _labels(group: Group, around: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Each tensor's path with the path of its layer, as the groups around it note it; the outermost is the model."""
    for name, inner in group.groups.items():
        if name == "vars":
            yield from ((tensor.path, "/".join(around)) for tensor in inner.tensors.values())
        else:
            label = label_of(inner)
            yield from _labels(inner, (*around, label) if label else around)


def _architecture(path: Path, selector: Selector | None, start: bytes) -> Inspection:
    found, refusals = _read(path)
    checkpoint = all_fresh(Base(architecture=found), None)
    return Inspection(
        file=str(path),
        kind="architecture",
        format="json" if start.lstrip().startswith(b"{") else "yaml",
        writer=f"Keras {found.keras}" if found.keras else _LAYOUTS.get(found.writer.version),
        size=path.stat().st_size,
        name=found.model.name,
        type=found.model.kind_name,
        totals=totals(checkpoint),
        repairs=found.applied,
        obstacles=(*refusals, *map(str, obstacles(checkpoint))),
        missing=f"load: {{architecture: {yaml_text(str(path))}, weights: ...}}",
        selector=None if selector is None else str(selector),
        layers=tuple(layer_facts(checkpoint, None if selector is None else select(checkpoint, selector))),
    )


def _read(path: Path) -> tuple[Architecture, tuple[str, ...]]:
    """The architecture; where no repair makes one of the file, the file as it stands, and what is against it."""
    try:
        return read_architecture(path), ()
    except FileError as error:
        try:
            return read_architecture(path, mends=False), (str(error),)
        except FileError:
            raise error from None
