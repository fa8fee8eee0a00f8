"""Digests of content: two saves of one model differ as files (dates inside), their architecture and numbers do not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from modelrecipe.formats.hdf5.tensors import ContiguousSource
from modelrecipe.frozen import frozen
from modelrecipe.graph import walk
from modelrecipe.identity import cached_by_identity
from modelrecipe.keras_config import write_model

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.formats.passing import Passed
    from modelrecipe.graph import Layer
    from modelrecipe.weights import Tensor

# What Keras numbers anew at every save, or derives from the rest; shapes only where they describe a tensor in a call.
_VOLATILE = ("shared_object_id", "build_config", "compile_config", "build_input_shape")


@frozen
class ContentDigest:
    """Digests of a model's two halves."""

    architecture: str
    weights: str


class TensorDigests:
    """Digest of each tensor, computed once per stored tensor and per edit; a cache for the time of one run.

    What is written knows its digests before anybody asks: they are made while the bytes pass by.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, tuple[int, ...]], tuple[Tensor, str]] = {}
        self._stored: dict[ContiguousSource, str] = {}

    def of(self, tensor: Tensor) -> str:
        """The digest of the numbers, edits included."""
        if not tensor.edits and isinstance(tensor.source, ContiguousSource) and tensor.source in self._stored:
            return self._stored[tensor.source]
        key = (id(tensor.source), tuple(id(edit) for edit in tensor.edits))
        if key not in self._known:
            self._known[key] = (tensor, tensor.digest())
        return self._known[key][1]

    def learn(self, passed: Iterable[Passed], written: Checkpoint | None) -> None:
        """Take over the digests of what was written.

        Args:
            passed: what was written.
            written: the new file, as its own headers describe it: what stands elsewhere than was said is not known.
                None where the file is to be asked for its digests itself.
        """
        places: dict[tuple[int, str, tuple[int, ...]], str] = {}
        for item in passed:
            source, tensor = item.region.source, item.region.tensor
            if item.before is not None:
                self._stored[source] = item.before
            if item.after is not None:
                places[item.region.offset, source.dtype, source.shape] = item.after
            if tensor is not None and item.after is not None:
                key = (id(tensor.source), tuple(id(edit) for edit in tensor.edits))
                self._known[key] = (tensor, item.after)
        for tensors in written.weights.values() if written is not None else ():
            for tensor in tensors:
                if isinstance(tensor.source, ContiguousSource):
                    place = (tensor.source.offset, tensor.source.dtype, tensor.source.shape)
                    if place in places:
                        self._stored[tensor.source] = places[place]


def architecture_digest(checkpoint: Checkpoint) -> str:
    """The digest of the configuration that Keras reads, without what changes from save to save."""
    return _digest_of(checkpoint.model)


@cached_by_identity(maxsize=2)  # where only numbers differ, it is the same graph that was read and that was written
def _digest_of(model: Layer) -> str:
    return blake3(json.dumps(_stable(write_model(model)), sort_keys=True).encode()).hexdigest()


def _stable(value: Any) -> Any:
    if isinstance(value, dict):  # as JSON has them; this is asked of every value of a large model
        if value.get("class_name") == "__keras_tensor__":
            return value["config"]["keras_history"]
        return {key: _stable(item) for key, item in value.items() if key not in _VOLATILE}
    return [_stable(item) for item in value] if isinstance(value, list | tuple) else value


def content_digest(checkpoint: Checkpoint, digests: TensorDigests) -> ContentDigest:
    """Digests of architecture and numbers; the order of layers in the file does not matter."""
    lines = sorted(
        f"{path}/{tensor.name} {digests.of(tensor)}"
        for path, tensors in named_tensors(checkpoint)
        for tensor in tensors
    )
    return ContentDigest(
        architecture=architecture_digest(checkpoint), weights=blake3("\n".join(lines).encode()).hexdigest()
    )


def named_tensors(checkpoint: Checkpoint) -> list[tuple[str, tuple[Tensor, ...]]]:
    """The tensors of every leaf layer under its path; a shared layer once, under the first."""
    if checkpoint.is_opaque:
        return [(key, checkpoint.weights[key]) for key in checkpoint.weights]
    found: dict[str, tuple[str, tuple[Tensor, ...]]] = {}
    for located in walk(checkpoint.model):
        if located.layer.key not in found and checkpoint.weights.of(located.layer.key):
            found[located.layer.key] = (located.path, checkpoint.weights.of(located.layer.key))
    return list(found.values())
