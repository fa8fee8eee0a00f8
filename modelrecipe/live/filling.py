"""A built model takes over what its document says of each layer: numbers and trainable flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelrecipe.errors import BuildError
from modelrecipe.graph import Layer, walk
from modelrecipe.keras_config import iter_configs
from modelrecipe.live.adapters import still_variables
from modelrecipe.live.placing import Placed, places
from modelrecipe.live.private import begin, initialise, inner_layers, is_empty
from modelrecipe.live.state import fill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.live.build import Built
    from modelrecipe.live.lending import Loans
    from modelrecipe.weights import Tensor


def fill_all(built: Built, checkpoint: Checkpoint, loans: Loans | None = None) -> None:
    """Give every live layer the numbers that the checkpoint has for it.

    Args:
        built: the live model.
        checkpoint: its document.
        loans: takes what the variables need not hold themselves; None where they shall hold everything.

    Raises:
        BuildError: the file has no numbers for a layer that needs some, or they do not fit.
    """
    filled: set[int] = set()
    for key, path in built.paths.items():
        if checkpoint.weights.of(key) or key.startswith("+"):
            placed = _fill(built.layers[key], checkpoint.weights.of(key), path, loans)
            built.still[key] = still_variables(built.layers[key], placed)
            filled |= {id(variable) for variable in getattr(built.layers[key], "weights", ())}
    for key, path in built.paths.items():
        # A layer inside a wrapper may be shared with the graph, where its weights were filled.
        empty = [variable for variable in getattr(built.layers[key], "weights", ()) if id(variable) not in filled]
        if empty:
            raise BuildError(f"the file holds no weights for '{path}', which has {len(empty)}", layer=key)
    initialise(variable for variable in built.model.variables if loans is None or variable not in loans)


def _fill(layer: Any, tensors: Sequence[Tensor], path: str, loans: Loans | None) -> Placed:
    """Fill one layer; gives back which variable took which tensor, where that is plain to see."""
    placed = places(layer, tensors) if tensors else None
    if placed is None:
        fill(layer, tensors, path)
        return []
    for variable, tensor in placed:
        if loans is not None:
            loans.add(variable, tensor)
        elif is_empty(variable):
            begin(variable, tensor.read())
        else:
            variable.assign(tensor.read())
    return placed


def set_live_flags(built: Built, model: Layer) -> None:
    """Bring the flags of a live model to those of the document.

    A flag that is set reaches everything inside (keras, `Layer.trainable`), so models come first, the outermost before
    all, and leaves last. What has no flag in the document is loaded as trainable.
    """
    built.model.trainable = model.config.get("trainable", True)
    inside = [item.layer for item in walk(model) if not item.layer.is_operation and item.layer.key in built.layers]
    for layer in sorted(inside, key=lambda layer: layer.graph is None):
        _set_flag(built.layers[layer.key], layer)
    for variable in (variable for variables in built.still.values() for variable in variables):
        variable.trainable = False


def _set_flag(live: Any, layer: Layer) -> None:
    """The flag of a layer and, where they differ from it, of the layers that its configuration holds."""
    live.trainable = flag = layer.config.get("trainable", True)
    configs = [item["config"] for item in iter_configs(dict(layer.config))]
    held = {config.get("name"): config["trainable"] for config in configs if "trainable" in config}
    if layer.graph is not None or all(one == flag for one in held.values()):
        return
    inner = inner_layers(live)
    # A Bidirectional gives its layers other names than it writes; all that it holds has one flag.
    other = None if any(item.name in held for item in inner) or len(set(held.values())) > 1 else not flag
    for item in inner:
        wanted = held.get(item.name, other)
        if wanted is not None:
            item.trainable = wanted
