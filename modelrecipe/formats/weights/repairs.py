"""Repairs of weight files that look at an architecture from elsewhere: groups and arrays under today's names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe.checkpoint import Mended
from modelrecipe.errors import FileError
from modelrecipe.formats.repairs import keras2_groups
from modelrecipe.formats.repairs.keras_1_arrays import backend_of, mend_arrays
from modelrecipe.keras_config import write_model

if TYPE_CHECKING:
    from modelrecipe.formats.architecture_files import Architecture
    from modelrecipe.formats.weights.files import WeightFile


def modern(architecture: Architecture, file: WeightFile) -> tuple[WeightFile, tuple[Mended, ...]]:
    """The file as a newer Keras would have written it for this architecture, and which repairs that took.

    Raises:
        FileError: it was written for other layers.
    """
    try:
        if file.root is not None:
            return _regrouped(architecture, file)
        return _with_modern_arrays(architecture, file) if file.recorded else (file, ())
    except FileError as error:
        raise FileError(f"'{file.path}' {error.message}", hint=error.hint) from error


def _regrouped(architecture: Architecture, file: WeightFile) -> tuple[WeightFile, tuple[Mended, ...]]:
    """Groups that Keras before 3 named, with the names of this architecture's layers."""
    if file.root is None:
        return file, ()
    config = architecture.config or write_model(architecture.model)
    found = keras2_groups.regroup(config, file.root, file.writer)
    if found.root is file.root:
        return file, ()
    applied = Mended(repair=keras2_groups.REPAIR.name, layers=found.layers)
    return replace(file, root=found.root, entries=tuple(found.root.below())), (applied,)


def _with_modern_arrays(architecture: Architecture, file: WeightFile) -> tuple[WeightFile, tuple[Mended, ...]]:
    """Arrays of Keras 1 as today's variables."""
    writer = file.writer
    if writer.version and writer.is_before(2) and writer.backend is None:
        writer = replace(writer, backend=backend_of(file.recorded))
    listed, applied = mend_arrays(architecture.model, file.recorded, writer)
    if not applied:
        return replace(file, writer=writer), ()
    entries = tuple(replace(item.stored, path=item.slot) for items in listed.values() for item in items)
    return replace(file, writer=writer, recorded=listed, entries=entries), applied
