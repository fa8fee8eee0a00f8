"""Repairs of what older versions of Keras wrote: one file per cause, applied to the document, without Keras.

`REPAIRS` is their order: each sees what those before it have mended. The configuration is mended first; then the weights
are given to its layers; then the document of both is mended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelrecipe.checkpoint import Mended
from modelrecipe.errors import FileError
from modelrecipe.formats.repairs import (
    old_initializers,
    removed_arguments,
    sequential_list,
    sequential_shape,
    slash_names,
)
from modelrecipe.formats.repairs.repair import Json, Repair, Writer, map_layers

if TYPE_CHECKING:
    from modelrecipe.checkpoint import Checkpoint

REPAIRS: tuple[Repair, ...] = (
    sequential_list.REPAIR,
    sequential_shape.REPAIR,
    removed_arguments.REPAIR,
    old_initializers.REPAIR,
    slash_names.REPAIR,
)


def mend_config(config: Mapping[str, Any], writer: Writer) -> tuple[Json, tuple[Mended, ...]]:
    """A model's configuration as Keras 3 reads it, and which repairs that took.

    Raises:
        FileError: the configuration is not one of a Keras model.
    """
    data, applied = dict(config), []
    for repair in REPAIRS:
        if repair.layer is not None:
            data, places = _mend(data, repair.layer, writer)
            applied += [Mended(repair=repair.name, layers=tuple(places))] if places else []
    return data, tuple(applied)


def _mend(data: Json, mend: Callable[[Json, Writer], Json], writer: Writer) -> tuple[Json, list[str]]:
    try:
        return map_layers(data, lambda layer: mend(layer, writer))
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise FileError(f"the model's configuration is not one that Keras writes ({error!r})") from error


def mend_document(checkpoint: Checkpoint, writer: Writer, applied: tuple[Mended, ...] = ()) -> Checkpoint:
    """The document with all repairs; its origin says which ones.

    Args:
        checkpoint: what the mended configuration and the file's weights give.
        writer: what wrote the file.
        applied: the repairs that the configuration took.
    """
    done = list(applied)
    for repair in REPAIRS:
        if repair.document is not None:
            checkpoint, places = repair.document(checkpoint, writer)
            done += [Mended(repair=repair.name, layers=tuple(places))] if places else []
    if checkpoint.origin is None or not done:
        return checkpoint
    return replace(checkpoint, origin=replace(checkpoint.origin, repairs=_merged(done)))


def _merged(applied: list[Mended]) -> tuple[Mended, ...]:
    """One entry for each repair, with every layer once."""
    layers: dict[str, dict[str, None]] = {}
    for item in applied:
        layers.setdefault(item.repair, {}).update(dict.fromkeys(item.layers))
    return tuple(Mended(repair=name, layers=tuple(found)) for name, found in layers.items())
