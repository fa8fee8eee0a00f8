"""How much memory a run will need, and the refusal of one that may not have as much.

Peaks of whole processes as the operating system counts them, measured on Linux with Keras 3.15 and TensorFlow 2.21 for
100 to 1,200 MB of weights in 8 and in 64 tensors; the constants are such that an estimate is not below the peak.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe import measures
from modelrecipe.errors import MemoryLimitError
from modelrecipe.formats import WEIGHTS_ALONE
from modelrecipe.formats.hdf5.tensors import ContiguousSource
from modelrecipe.new_file import RUN, THREADS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.graph import Layer
    from modelrecipe.outcome import Output
    from modelrecipe.weights import Tensor

# A process that has read a model and lets it pass by, and one that has imported Keras too.
_LIGHT, _TENSORFLOW = 70 * 10**6, 720 * 10**6
_PER_THREAD = 2_600_000
"""Of each thread that numbers pass by: what was read of them, what is to be written, and what an edit makes."""
_PER_LAYER = 30_000
"""Of the document: a configuration with its calls."""
_COPIES = 3
"""Of a tensor that is read as a whole: the stored numbers, the edited ones, and what compares or hashes them."""
_H5_COPIES, _COMPILED_H5_COPIES = 4.3, 6.6
"""Of all weights: Keras holds the model, what it writes of it, and what it reads back of that."""
_COMPILED_COPIES = 3.9
"""Of the weights that train: they themselves, Adam's two averages of them, and what is held while they are saved."""
_FILLED_COPIES = 2.2
"""Of all weights, where a class that is not Keras' own may look at its numbers, so that the model has to hold them."""


def estimated_memory(output: Output, checkpoint: Checkpoint, largest_read: int = 0) -> int | None:
    """About how many bytes a process will need at its peak to write a model; None where a size is not known yet.

    Args:
        output: how it is written, and in which format.
        checkpoint: what is written.
        largest_read: bytes of the largest tensor that a step reads as a whole.
    """
    tensors = [tensor for key in checkpoint.weights for tensor in checkpoint.weights.of(key)]
    sizes = [tensor_size(tensor) for tensor in tensors]
    document = _PER_LAYER * sum(1 for _ in checkpoint.layers())
    if output.how == "streamed":
        whole = [_held(tensor) for tensor in tensors if not _passes_in_pieces(tensor)]
        passing = _PER_THREAD * min(THREADS, -(-sum(size or 0 for size in sizes) // RUN))
        return _LIGHT + document + passing + max([*whole, _COPIES * largest_read])
    return None if None in sizes else _TENSORFLOW + document + _built(output, checkpoint, tensors)


def _built(output: Output, checkpoint: Checkpoint, tensors: Sequence[Tensor]) -> int:
    """What a model takes beside Keras itself; the numbers of Keras' own layers go from file to file past it."""
    total = sum(tensor_size(tensor) or 0 for tensor in tensors)
    is_compiled = checkpoint.origin is not None and bool(checkpoint.origin.compile_config)
    if output.format == "h5":
        return round((_COMPILED_H5_COPIES if is_compiled else _H5_COPIES) * total)
    held = max((_passing(tensor) for tensor in tensors), default=0)
    held += sum(_held(tensor) for tensor in tensors if tensor.source is None)
    if not all(_is_of_keras(item.layer) for item in checkpoint.layers()):
        held += round(_FILLED_COPIES * total)
    if is_compiled and output.format not in WEIGHTS_ALONE:
        held += round(_COMPILED_COPIES * trained_size(checkpoint))
    return held


def _passing(tensor: Tensor) -> int:
    """Bytes that are held of a tensor while it goes from file to file; shards are cut out of a whole file."""
    return (tensor_size(tensor) or 0) if _passes_in_pieces(tensor) else _held(tensor)


def _is_of_keras(layer: Layer) -> bool:
    return layer.is_operation or not layer.module or layer.module.split(".")[0] == "keras"


def trained_size(checkpoint: Checkpoint) -> int:
    """Bytes of the variables that an optimizer would change."""
    keys = {item.layer.key for item in checkpoint.layers() if item.is_effectively_trainable}
    return sum(tensor_size(one) or 0 for key in keys for one in checkpoint.weights.of(key) if one.is_trainable)


def _passes_in_pieces(tensor: Tensor) -> bool:
    """Whether it is never held as a whole: it lies in one piece, and its edits look at one number at a time."""
    return isinstance(tensor.source, ContiguousSource) and tensor.is_elementwise


def _held(tensor: Tensor) -> int:
    """Bytes of all that is held while a tensor is read; an edit that holds more than others says so."""
    beside = max((getattr(edit, "bytes_beside", 0) for edit in tensor.edits), default=0)
    return _COPIES * (tensor_size(tensor) or 0) + beside * (tensor.size or 0)


def tensor_size(tensor: Tensor) -> int | None:
    """Its bytes; None where its shape is not known yet."""
    digits = "".join(character for character in (tensor.dtype or "float32") if character.isdigit())
    return None if tensor.size is None else tensor.size * max(1, int(digits[:2] or 8) // 8)


def memory_problem(output: Output, limit: int | None) -> MemoryLimitError | None:
    """What to say of an output whose making needs more memory than the run may have; None where it does not."""
    if limit is None or output.memory is None or output.memory <= limit:
        return None
    way = "streamed" if output.how == "streamed" else "built by Keras"
    return MemoryLimitError(
        f"writing '{output.path}', which is {way}, needs {measures.about(output.memory)} of memory, but the run may"
        f" have {measures.size(limit)}",
        hint="allow more with --memory",
        at=("path",),
    )
