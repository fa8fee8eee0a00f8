"""Files that a recipe writes: their format, their size, and what is kept of them for the lock."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelrecipe.engine.memory import estimated_memory, tensor_size, trained_size
from modelrecipe.errors import LanguageError
from modelrecipe.formats import WEIGHTS_ALONE
from modelrecipe.formats.keras_zip.beside import IN_SHARDS
from modelrecipe.formats.keras_zip.shard_plan import ENDING
from modelrecipe.frozen import frozen
from modelrecipe.recipe.variables import relative_path

if TYPE_CHECKING:
    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.engine.digest import ContentDigest
    from modelrecipe.outcome import Output

# What Keras' containers take beside the numbers: groups of HDF5, and the configuration as JSON.
_PER_FILE, _PER_LAYER, _PER_TENSOR = 2000, 3500, 400
_ENDINGS = {".weights.h5": "weights_h5", ENDING: "weights_json", ".keras": "keras", ".h5": "h5", ".hdf5": "h5"}


@frozen
class Written:
    """An output with what later rooms need to know about it.

    Args:
        output: what the report tells of it.
        target: where it goes.
        name: the path that the recipe gives it, relative to the recipe; tells outputs of included recipes apart.
        content: its digests; None in a plan.
    """

    output: Output
    target: Path
    name: str
    content: ContentDigest | None = None


def format_of(path: str) -> str:
    """The format that a file's ending says.

    Raises:
        LanguageError: the ending says none.
    """
    for ending, kind in _ENDINGS.items():
        if path.lower().endswith(ending):
            return kind
    raise LanguageError(
        f"the ending of '{path}' names no format",
        hint="end it in .keras, .h5, .weights.h5 or .weights.json, or write format",
        at=("path",),
    )


def shown_path(target: Path) -> str:
    """A file as seen from the working directory, where that is shorter than its whole path."""
    return min(str(target.resolve()), relative_path(target, Path()), key=len)


def planned(output: Output, checkpoint: Checkpoint, target: Path, largest_read: int = 0) -> Output:
    """An output with what a plan can say of it: about how large it will be, and what the run will need.

    A streamed file is about as large as the one that it comes from.

    Args:
        output: what is known already.
        checkpoint: what is written.
        target: where it goes.
        largest_read: bytes of the largest tensor that a step reads as a whole.
    """
    sizes = [tensor_size(tensor) for key in checkpoint.weights for tensor in checkpoint.weights.of(key)]
    known = [size for size in sizes if size is not None]
    origin = checkpoint.origin
    if output.how == "streamed" and origin is not None and not output.shards and origin.format != IN_SHARDS:
        size: int | None = origin.path.stat().st_size
    elif len(known) < len(sizes):
        size = None
    else:
        layers = sum(1 for _ in checkpoint.layers())
        size = sum(known) + _PER_FILE + _PER_LAYER * layers + _PER_TENSOR * len(sizes)
        size += _optimizer_size(output, checkpoint)
    memory = estimated_memory(output, checkpoint, largest_read)
    return replace(output, size=size, memory=memory and round(memory, -7), exists=target.exists())


def _optimizer_size(output: Output, checkpoint: Checkpoint) -> int:
    """Bytes of the variables of the fresh optimizer, which Keras writes into a model that it builds and compiles."""
    compiled = checkpoint.origin.compile_config if checkpoint.origin is not None else None
    if not compiled or output.format in WEIGHTS_ALONE:
        return 0
    from modelrecipe.catalog.optimizer_state import state_copies  # what is streamed or not compiled does without

    return state_copies(compiled.get("optimizer")) * trained_size(checkpoint)
