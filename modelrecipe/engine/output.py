"""Files that a recipe writes: their format, their size, and what is kept of them for the lock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelrecipe.errors import LanguageError

if TYPE_CHECKING:
    from pathlib import Path

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.engine.digest import ContentDigest
    from modelrecipe.outcome import Output

# Measured on Keras 3.15 and TensorFlow 2.21: a process that has read a model, and one that has imported Keras too.
_LIGHT = 60 * 10**6
_TENSORFLOW = 600 * 10**6
_ENDINGS = {".weights.h5": "weights_h5", ".keras": "keras", ".h5": "h5", ".hdf5": "h5"}


@dataclass(frozen=True, kw_only=True)
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
        hint="end it in .keras, .h5 or .weights.h5, or write format",
        at=("path",),
    )


def estimated_size(checkpoint: Checkpoint) -> int | None:
    """Bytes of all tensors; None when a new layer's size is not known yet."""
    sizes = _sizes(checkpoint)
    return None if None in sizes else sum(size for size in sizes if size is not None)


def estimated_memory(checkpoint: Checkpoint, how: str) -> int | None:
    """About what the process needs at its peak.

    Streaming holds one tensor; a build holds TensorFlow, the live weights and the HDF5 file that Keras makes in memory.
    """
    sizes = [size for size in _sizes(checkpoint) if size is not None]
    total = estimated_size(checkpoint)
    if total is None and how != "streamed":
        return None
    exact = _LIGHT + max(sizes, default=0) if how == "streamed" else _TENSORFLOW + 3 * (total or 0)
    return round(exact, -7)


def _sizes(checkpoint: Checkpoint) -> list[int | None]:
    tensors = [tensor for key in checkpoint.weights for tensor in checkpoint.weights.of(key)]
    return [None if tensor.size is None else tensor.size * _width(tensor.dtype) for tensor in tensors]


def _width(dtype: str | None) -> int:
    digits = "".join(character for character in (dtype or "float32") if character.isdigit())
    return max(1, int(digits or 8) // 8)
