"""The door to the repairs: files of Keras 3 need none, and then none of the many modules is imported."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelrecipe.checkpoint import Mended
from modelrecipe.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.formats.hdf5.recorded_names import Recorded
    from modelrecipe.formats.hdf5.tensors import Group
    from modelrecipe.formats.repair import Writer
    from modelrecipe.graph import Layer

    Listed = Mapping[str, tuple[Recorded, ...]]

_DEPENDENCIES = "_layer_checkpoint_dependencies"
_BACKSLASH = "\\"


def mend_config(config: Mapping[str, Any], writer: Writer) -> tuple[Mapping[str, Any], tuple[Mended, ...]]:
    """A model's configuration as Keras 3 reads it, and which repairs that took: none, and itself, if Keras 3 wrote it.

    Raises:
        FileError: the configuration is not one of a Keras model.
    """
    if not writer.is_before(3):
        return config, ()
    from modelrecipe.formats import repairs

    return repairs.mend_config(config, writer)


def mend_document(checkpoint: Checkpoint, writer: Writer, applied: tuple[Mended, ...] = ()) -> Checkpoint:
    """The document with all repairs; its origin says which ones.

    Args:
        checkpoint: what the mended configuration and the file's weights give.
        writer: what wrote the file.
        applied: the repairs that the configuration took.
    """
    if not writer.is_before(3) and not applied:
        return checkpoint
    from modelrecipe.formats import repairs

    return repairs.mend_document(checkpoint, writer, applied)


def mend_groups(
    config: Mapping[str, Any], root: Group, writer: Writer, *, mends: bool
) -> tuple[Group, Mapping[str, str], tuple[Mended, ...]]:
    """The groups of a weight file as Keras 3 names them, the former path of each that moved, and which repairs it took.

    Args:
        config: the model's configuration as the file has it, before any repair.
        root: the weight file.
        writer: what wrote it.
        mends: whether repairs are wanted.

    Raises:
        FileError: no repair is wanted where one is needed, or the groups do not fit the configuration.
    """
    is_strange = any(_DEPENDENCIES in name or _BACKSLASH in name for name in root.groups)
    if is_strange and not mends:
        raise FileError("keeps its weights as Keras 2.12 to 2.14 did, which only repairs make readable")
    if not mends or not (is_strange or writer.is_before(3)):
        return root, {}, ()
    from modelrecipe.formats.repairs import keras2_groups, windows_groups

    unfolded = windows_groups.unfold(root)
    applied = () if unfolded is root else (Mended(repair=windows_groups.REPAIR.name, layers=("",)),)
    found = keras2_groups.regroup(config, unfolded, writer)
    if found.root is not unfolded:
        applied += (Mended(repair=keras2_groups.REPAIR.name, layers=found.layers),)
    return found.root, found.moved, applied


def mend_lists(model: Layer, listed: Listed, writer: Writer) -> tuple[Listed, tuple[Mended, ...]]:
    """What an old HDF5 file lists under each layer, by today's names of variables, and which repair that took.

    Raises:
        FileError: the weights are not those that Keras 1 wrote for their layer.
    """
    if not writer.is_before(2, 2, 3):
        return listed, ()
    from modelrecipe.formats.repairs.keras_1_arrays import mend_arrays

    return mend_arrays(model, listed, writer)


def with_backend(writer: Writer, listed: Listed) -> Writer:
    """The writer with its backend, which Keras 1 did not note, but which the names of its weights tell."""
    if not writer.version or not writer.is_before(2) or writer.backend is not None:
        return writer
    from modelrecipe.formats.repairs.keras_1_arrays import backend_of

    return replace(writer, backend=backend_of(listed))
