"""Which argument regularizes which weight of a layer, those of layers inside it included.

A regularizer is an argument (`kernel_regularizer`), but a recipe names weights. The catalog knows for each class which
variables an argument is for; for what a wrapper holds, the names are found by asking the catalog for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe import catalog
from modelrecipe.edit.held import Holder, holders, with_arguments
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelrecipe.graph import Layer

_MARK = "\x00held"


@frozen
class Regularized:
    """One argument of a layer, or of a layer inside it, with the weights that it is for.

    Args:
        holder: whose argument it is.
        argument: as `kernel_regularizer`.
        weights: names of the variables as the outer layer's tensors have them.
    """

    holder: Holder
    argument: str
    weights: tuple[str, ...]


def regularized(layer: Layer) -> list[Regularized]:
    """Every argument by which weights of the layer can be regularized; none for a class that is not known."""
    found: list[Regularized] = []
    for holder in holders(layer):
        arguments = catalog.regularizers(holder.class_name) if holder.class_name is not None else {}
        for argument, names in arguments.items():
            weights = tuple(outer for outer, inner in _names(layer, holder) if inner in names)
            if weights:
                found.append(Regularized(holder=holder, argument=argument, weights=weights))
    return found


def is_copy(layer: Layer, name: str) -> bool:
    """Whether a stored tensor is a second copy: a SpectralNormalization saves the kernel of its layer too."""
    return layer.class_name == "SpectralNormalization" and "/" not in name


def _names(layer: Layer, holder: Holder) -> Sequence[tuple[str, str]]:
    """The variables of a holder: their names among those of the outer layer, and within the holder."""
    outer = catalog.variables(layer.class_name, layer.config) or ()
    if not holder.place:
        return [(item.name, item.name) for item in outer]
    by_slot = {item.slot: item.name for item in outer}
    marked = with_arguments(layer, holder.place, {"name": _MARK})
    found = catalog.variables(layer.class_name, marked.config) or ()
    return [(by_slot[item.slot], item.name.rpartition(f"{_MARK}/")[2]) for item in found if _MARK in item.name]
