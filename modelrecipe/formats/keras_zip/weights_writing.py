"""Write edited weights that were read beside an architecture, without Keras: alone, in shards, or as a whole model.

The groups of the file stay as they are; what was edited is put in its place, and renamed layers are noted anew.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelrecipe.errors import FileError
from modelrecipe.files import beginning
from modelrecipe.formats.extent import Extent
from modelrecipe.formats.gathering import Gathered, gathered
from modelrecipe.formats.hdf5.tree import names_of, tree_of
from modelrecipe.formats.keras_zip import reading, shards
from modelrecipe.formats.keras_zip.beside import ALONE, IN_SHARDS
from modelrecipe.formats.keras_zip.groups import OPTIMIZER
from modelrecipe.formats.keras_zip.places import OWN, group_at, group_places, in_order, own_groups
from modelrecipe.formats.keras_zip.writing import COMPILED, edits_of
from modelrecipe.formats.keras_zip.zip_writing import StoredZip
from modelrecipe.formats.passing import verify
from modelrecipe.formats.rewriting import Prepared, Rewriting
from modelrecipe.formats.same_layout import changed_tensors
from modelrecipe.frozen import frozen
from modelrecipe.graph import walk
from modelrecipe.keras_config import write_model
from modelrecipe.new_file import NewFile
from modelrecipe.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import h5py

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.formats.hdf5.tensors import Group
    from modelrecipe.formats.passing import Passed
    from modelrecipe.graph import Layer
    from modelrecipe.weights import Tensor

_HDF5 = b"\x89HDF\r\n\x1a\n"


@frozen
class Tree:
    """The weights of a model as groups, and what is to be different in them.

    Args:
        model: the outermost model.
        root: all groups but the optimizer's.
        edited: new numbers, under the path of the dataset.
        labels: new names of layers, under the path of the group that notes them.
    """

    model: Layer
    root: Group
    edited: Mapping[str, Tensor]
    labels: Mapping[str, str]

    def groups(self) -> list[Group]:
        """Every group of variables, in the order of Keras."""
        found = {group.path: group for group in own_groups(self.root)}
        return [found[path] for path in in_order(self.model, found)]


def kept_format(checkpoint: Checkpoint, path: Path) -> str | None:
    """The format of a document that was put together from an architecture and the weights at `path`, if it can stream.

    It can when the file holds what Keras itself would write for the architecture: the same tensors under the same
    groups, each as it is, and nothing else.

    Returns:
        `keras_weights` or `keras_shards`; None where Keras has to build the model.
    """
    is_alone, is_list = _begins_as(path)
    if not is_alone and not is_list:
        return None
    stored = {tensor.path: tensor for tensor in _read(path, is_alone=is_alone).below()}
    places = group_places(checkpoint.model)
    for key, tensors in checkpoint.weights.items():
        for tensor in tensors:
            found = stored.pop(f"{places[key]}/{tensor.slot}", None) if key in places else None
            if found is None or (found.source, found.shape, found.dtype) != (tensor.source, tensor.shape, tensor.dtype):
                return None
    return None if stored else ALONE if is_alone else IN_SHARDS


def _begins_as(path: Path) -> tuple[bool, bool]:
    """Whether a file is HDF5, and whether it may be a list of shards."""
    start = beginning(path, 64)
    return start.startswith(_HDF5), start.lstrip().startswith(b"{")


def rewrite_weights(checkpoint: Checkpoint, origin: Path, target: Path) -> list[Passed]:
    """Write the weights as one `.weights.h5` file, without an optimizer's.

    Raises:
        FileError: `origin` changed since, is damaged, or has no room for a tensor.
    """
    with _prepared(checkpoint, origin, target.parent) as prepared, NewFile(target) as file:
        return prepared.write(file).passed


def rewrite_model(checkpoint: Checkpoint, origin: Path, target: Path) -> list[Passed]:
    """Write architecture and weights as a `.keras` file that is not compiled.

    Raises:
        FileError: `origin` changed since, is damaged, or has no room for a tensor.
    """
    config = write_model(checkpoint.model)
    config.pop(COMPILED, None)
    members: dict[str, Any] = {reading.METADATA: {"keras_version": _installed()}, reading.CONFIG: config}
    with _prepared(checkpoint, origin, target.parent) as prepared, NewFile(target) as file:
        archive = StoredZip(file)
        for name, data in members.items():
            content = json.dumps(data).encode()
            with archive.member(name, len(content)) as member:
                member.write(content)
        with archive.member(reading.WEIGHTS, prepared.base.size, like=prepared.start) as member:
            streamed = prepared.write(file)
            member.add(streamed.size, streamed.crc)
            passed = streamed.passed
        archive.close()
    return passed


def _installed() -> str:
    """The version of Keras that would have written the file; where there is none, the first that reads it."""
    from importlib.metadata import PackageNotFoundError, version  # what reads only does without

    try:
        return version("keras")
    except PackageNotFoundError:
        return "3.0.0"


@contextmanager
def _prepared(checkpoint: Checkpoint, origin: Path, folder: Path) -> Iterator[Prepared | Gathered]:
    """One file of weights: the old one with other numbers, or a new one where that was spread or holds more."""
    tree = tree_of_weights(checkpoint, origin)
    is_alone = checkpoint.origin is not None and checkpoint.origin.format == ALONE
    if not is_alone or _has_optimizer(Extent.whole(origin)):
        with gathered(tree.groups(), tree.edited, tree.labels, folder) as new:
            yield new
        return

    def relabel(handle: h5py.File) -> None:
        for path, name in tree.labels.items():
            handle[path].attrs["name"] = name

    rewriting = Rewriting(edited=tree.edited, changes=(relabel,) if tree.labels else ())
    with rewriting.applied(Extent.whole(origin), folder) as same:
        yield same


def tree_of_weights(checkpoint: Checkpoint, origin: Path) -> Tree:
    """The weights of a document as groups, with what the steps made of them.

    Args:
        checkpoint: the edited document.
        origin: the file that it was read from.

    Raises:
        FileError: `origin` changed since, is damaged, or has no room for a tensor.
    """
    model = checkpoint.model
    if checkpoint.origin is not None and checkpoint.origin.format not in (ALONE, IN_SHARDS):
        source = reading.open_model(origin)
        verify(source.extent)
        edited, labels = edits_of(checkpoint, source)
        return Tree(model=model, root=tree_of(source.extent, _skipped(source.extent)), edited=edited, labels=labels)
    root = _read(origin, is_alone=checkpoint.origin is not None and checkpoint.origin.format == ALONE)
    places = group_places(model)
    stored = Weights(
        {key: tuple(_as_stored(root, places[key], one) for one in own) for key, own in checkpoint.weights.items()}
    )
    edited = {f"{places[key]}/{tensor.slot}": tensor for key, tensor in changed_tensors(checkpoint, stored)}
    return Tree(model=model, root=root, edited=edited, labels=_labels(model, root, places))


def whole_file(model: Layer, path: Path) -> Tree:
    """The weights that Keras wrote of a model, as they are."""
    return Tree(model=model, root=_read(path, is_alone=True), edited={}, labels={})


def _as_stored(root: Group, place: str, tensor: Tensor) -> Tensor:
    """A tensor as the file holds it now."""
    group = group_at(root, place)
    stored = group.tensor(tensor.slot) if group is not None else None
    if stored is None:
        raise FileError(f"the file of weights changed: '{place}/{tensor.slot}' is gone", hint="run again")
    return replace(tensor, shape=stored.shape, dtype=stored.dtype, source=stored.source, edits=())


def _labels(model: Layer, root: Group, places: Mapping[str, str]) -> dict[str, str]:
    """The names that differ from those that the file notes; where it notes none, none is needed."""
    names = {"": model.name, **{item.layer.key: item.layer.name for item in reversed([*walk(model)])}}
    found: dict[str, str] = {}
    for key, place in places.items():
        group = group_at(root, f"{place}/{OWN}".lstrip("/"))
        if group is not None and group.label not in (None, names[key]):
            found[group.path] = names[key]
    return found


def _read(path: Path, *, is_alone: bool) -> Group:
    if not is_alone:
        return shards.read(path)[0]
    extent = Extent.whole(path)
    return tree_of(extent, _skipped(extent))


def _skipped(extent: Extent) -> set[str]:
    return {OPTIMIZER} if _has_optimizer(extent) else set()


def _has_optimizer(extent: Extent) -> bool:
    return OPTIMIZER in names_of(extent)
