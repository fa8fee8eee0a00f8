"""Write an edited HDF5 model in the layout of the one it was read from, without Keras.

Tensors that no step edited are copied byte for byte.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from modelrecipe.formats.hdf5.names import apply_moves, plan_moves
from modelrecipe.formats.hdf5.order import reorder
from modelrecipe.formats.hdf5.reading import (
    CONFIG,
    OPTIMIZER,
    WEIGHTS,
    assign_weights,
    open_contents,
    read_config,
    to_model,
)
from modelrecipe.formats.rewriting import Rewriting
from modelrecipe.formats.same_layout import changed_tensors, has_other_flags, renamed_layers
from modelrecipe.keras_config import write_model
from modelrecipe.new_file import NewFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import h5py

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.formats.hdf5.layers import Assigned
    from modelrecipe.formats.hdf5.reading import Contents
    from modelrecipe.formats.passing import Passed
    from modelrecipe.graph import Layer
    from modelrecipe.weights import Tensor

TRAINING = "training_config"


def rewrite(checkpoint: Checkpoint, origin: Path, target: Path) -> list[Passed]:
    """Write the checkpoint read from `origin` as an HDF5 file.

    The optimizer's variables are left out when a layer was frozen or unfrozen, because they belong to the variables
    that were trainable then; the training configuration stays.

    Raises:
        FileError: `origin` changed since, is damaged, or has no room for a tensor.
    """
    contents = open_contents(origin)
    config = read_config(contents)
    model = to_model(contents, config)
    assigned = assign_weights(contents, model)
    edited: dict[str, Tensor] = {}
    for key, tensor in changed_tensors(checkpoint, assigned.weights):
        for slot in (tensor.slot, *assigned.copies.get((key, tensor.slot), ())):
            edited[f"{WEIGHTS}/{slot}"] = tensor
    changes: list[Callable[[h5py.File], None]] = []
    if checkpoint.model != model:
        text = json.dumps({**config, **write_model(checkpoint.model)})
        changes.append(lambda handle: handle.attrs.__setitem__(CONFIG, text.encode()))
    training = checkpoint.origin.compile_config if checkpoint.origin is not None else None
    if TRAINING in contents.attributes and training != json.loads(contents.attributes[TRAINING]):
        changes.append(lambda handle: _set_training(handle, training))
    plan = _plan(checkpoint, model, contents, assigned)
    if plan:
        changes.append(lambda handle: apply_moves(handle.require_group(WEIGHTS), plan))
    drops = contents.has_optimizer_state and has_other_flags(model, checkpoint.model)
    rewriting = Rewriting(
        edited=edited,
        dropped=frozenset({OPTIMIZER} if drops else ()),
        changes=tuple(changes),
        moved={
            f"{WEIGHTS}/{group}/{old}": f"{WEIGHTS}/{new_group}/{new}"
            for group, (new_group, moves) in plan.items()
            for old, new in moves.items()
        },
    )
    with rewriting.applied(contents.extent, target.parent) as prepared, NewFile(target) as file:
        return prepared.write(file).passed


def _set_training(handle: h5py.File, training: Mapping[str, Any] | None) -> None:
    if training is None:
        del handle.attrs[TRAINING]
    else:
        handle.attrs[TRAINING] = json.dumps(training).encode()


def _plan(
    checkpoint: Checkpoint, model: Layer, contents: Contents, assigned: Assigned
) -> dict[str, tuple[str, dict[str, str]]]:
    """The new names and lists of weights; nothing where neither a name nor an order differs."""
    renames = renamed_layers(model, checkpoint.model)
    renames.pop("", None)
    if model.graph is None:
        return {}
    owners = assigned.owners()
    recorded = reorder(model, checkpoint.model, contents.recorded, owners)
    return plan_moves(model, renames, recorded, owners) if renames or recorded != contents.recorded else {}
