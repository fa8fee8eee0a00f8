"""What the HDF5 format of Keras 1 and 2 cannot hold, so that plain Keras could not read it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe.errors import EditError
from modelrecipe.graph import walk
from modelrecipe.selector import dtype_of

if TYPE_CHECKING:
    from modelrecipe.checkpoint import Checkpoint


def refuse_old_format(checkpoint: Checkpoint) -> None:
    """Refuse to write as HDF5 what plain Keras could not read back.

    Raises:
        EditError: the model is subclassed, its graph holds bare operations, its layers have assets or bfloat16 weights.
    """
    if checkpoint.is_opaque:
        raise EditError("the old HDF5 format cannot hold a subclassed model", hint="save as .keras", at=("path",))
    if checkpoint.origin is not None and checkpoint.origin.assets:
        raise EditError(
            f"the old HDF5 format cannot hold '{checkpoint.origin.assets[0]}', which belongs to a layer",
            hint="save as .keras",
            at=("path",),
        )
    for located in walk(checkpoint.model):
        if located.layer.is_operation:
            raise EditError(
                f"the old HDF5 format cannot hold the operation '{located.path}' ({located.layer.kind_name})",
                hint="save as .keras",
                at=("path",),
            )
        if "bfloat16" in (dtype_of(located.layer.config) or ""):
            raise EditError(
                f"the old HDF5 format cannot hold the bfloat16 weights of '{located.path}'",
                hint="save as .keras",
                at=("path",),
            )
