"""The facts of layers, from a document: shapes as far as they follow without Keras, sizes, flags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe.graph import Located, walk
from modelrecipe.inspection.facts import LayerFacts, WeightFacts
from modelrecipe.propagate import TensorKey, own_shapes
from modelrecipe.selector import dtype_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.references import Shape
    from modelrecipe.weights import Tensor


def layer_facts(checkpoint: Checkpoint, chosen: Sequence[Located] | None = None) -> Iterator[LayerFacts]:
    """The facts of all layers, or of the chosen ones, in the order of the model."""
    first: dict[str, str] = {}
    paths = None if chosen is None else {located.path for located in chosen}
    for index, located in enumerate(checkpoint.layers()):
        first_path = first.setdefault(located.layer.key, located.path)
        if paths is not None and located.path not in paths:
            continue
        graph = located.parents[-1].graph if located.parents else None
        outputs = () if graph is None else _outputs(located, own_shapes(graph))
        yield _facts(checkpoint, located, index, outputs, first_path if first_path != located.path else None)


def _outputs(located: Located, shapes: Mapping[TensorKey, Shape | None]) -> tuple[Shape | None, ...]:
    """Shapes of the outputs of the first call, as many as are known to be."""
    found: list[Shape | None] = []
    while (located.layer.name, 0, len(found)) in shapes:
        found.append(shapes[(located.layer.name, 0, len(found))])
    return tuple(found) or (None,)


def _facts(
    checkpoint: Checkpoint, located: Located, index: int, outputs: tuple[Shape | None, ...], first_path: str | None
) -> LayerFacts:
    layer = located.layer
    tensors = _distinct(checkpoint, located)
    sizes = [tensor.size for tensor in tensors if not tensor.is_random_state]
    return LayerFacts(
        index=index,
        path=located.path,
        type=layer.kind_name,
        outputs=outputs,
        parameters=None if None in sizes else sum(size or 0 for size in sizes),
        trainable=located.is_effectively_trainable,
        is_frozen=not located.is_effectively_trainable and any(tensor.is_trainable for tensor in tensors),
        calls=len(layer.calls),
        first_path=first_path,
        dtype=dtype_of(layer.config),
        weights=tuple(
            WeightFacts(name=item.name, shape=item.shape, dtype=item.dtype, trainable=item.is_trainable)
            for item in (tensors if layer.graph is None else ())
        ),
        config=layer.config,
    )


def _distinct(checkpoint: Checkpoint, located: Located) -> list[Tensor]:
    """The tensors of a layer and of all inside it; what stands inside twice counts once."""
    if located.layer.graph is None:
        return list(checkpoint.weights.of(located.layer.key))
    keys = dict.fromkeys(inner.layer.key for inner in walk(located.layer) if inner.layer.graph is None)
    return [tensor for key in keys for tensor in checkpoint.weights.of(key)]
