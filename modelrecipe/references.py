"""References to tensors, as calls and models hold them: alone, or in nested lists, tuples and mappings."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Shape = tuple[int | None, ...]

_SEQUENCES = (list, tuple)


@frozen
class TensorRef:
    """One symbolic tensor: output number `index` of call number `call` of the layer `layer`.

    Args:
        layer: the producing layer's name, within the same graph.
        call: which call of that layer, counted from 0 in the order of `Layer.calls`.
        index: which of the call's output tensors.
        shape: as recorded in the file, `(None, 4)` with None for unknown sizes; None where nothing is recorded.
        dtype: as recorded in the file.
        facts: whatever else Keras recorded about the tensor.
        expected: the shape that the taker was made for, where an edit put this tensor in another one's place.
    """

    layer: str
    call: int = 0
    index: int = 0
    shape: Shape | None = field(default=None, compare=False)
    dtype: str | None = field(default=None, compare=False)
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False)
    expected: Shape | None = field(default=None, compare=False)

    @property
    def key(self) -> tuple[str, int, int]:
        """What identifies the tensor inside its graph."""
        return (self.layer, self.call, self.index)


def iter_refs(structure: Any) -> Iterator[TensorRef]:
    """Every `TensorRef` in nested lists, tuples and mappings, in the order in which Keras numbers them.

    Mappings go by sorted key (keras, `tree.flatten`), whatever the order they are written in.
    """
    if isinstance(structure, TensorRef):
        yield structure
    elif isinstance(structure, dict):
        for key in sorted(structure):
            yield from iter_refs(structure[key])
    elif isinstance(structure, _SEQUENCES):
        for value in structure:
            yield from iter_refs(value)


def map_refs(structure: Any, function: Callable[[TensorRef], Any]) -> Any:
    """The same structure with every `TensorRef` put through `function`; the very same where that changes nothing."""
    if isinstance(structure, TensorRef):
        return function(structure)
    if isinstance(structure, dict):
        mapped = {key: map_refs(value, function) for key, value in structure.items()}
        return mapped if any(mapped[key] is not value for key, value in structure.items()) else structure
    if isinstance(structure, _SEQUENCES):
        items = [map_refs(value, function) for value in structure]
        if all(new is old for new, old in zip(items, structure, strict=True)):
            return structure
        return tuple(items) if isinstance(structure, tuple) else items
    return structure
