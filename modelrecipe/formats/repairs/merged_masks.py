"""Masks of tensors that are added or concatenated: tf.keras left out what any input masks, Keras 3 what all mask.

(`compute_mask` in `layers/merging/base_merge.py` and `concatenate.py` of both.) So a recurrent layer behind gets its
mask as an argument, made of what the masks come from: `ids != 0` of an Embedding, `any(x != mask_value)` of a Masking.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from modelrecipe.errors import FileError
from modelrecipe.formats.repair import Repair, Writer
from modelrecipe.formats.repairs.mask_flow import RECURRENT, TAKERS, Flow, Source
from modelrecipe.graph import Call, Graph, Layer
from modelrecipe.references import TensorRef

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelrecipe.checkpoint import Checkpoint


def _mend(checkpoint: Checkpoint, writer: Writer) -> tuple[Checkpoint, Sequence[str]]:
    if not (writer.version and writer.is_before(3)):
        return checkpoint, ()
    mended: list[str] = []
    model = _in_model(checkpoint.model, "", mended)
    return (replace(checkpoint, model=model), mended) if mended else (checkpoint, ())


def _in_model(model: Layer, prefix: str, mended: list[str]) -> Layer:
    if model.graph is None:
        return model
    inner = tuple(_in_model(layer, f"{prefix}{layer.name}/", mended) for layer in model.graph.layers)
    graph = replace(model.graph, layers=inner)
    changed = _in_graph(graph, prefix, mended)
    is_same = changed is graph and all(new is old for new, old in zip(inner, model.graph.layers, strict=True))
    return model if is_same else replace(model, graph=changed)


def _in_graph(graph: Graph, prefix: str, mended: list[str]) -> Graph:
    flow, operations, layers = Flow(graph), _Operations(graph=graph, prefix=prefix), list[Layer]()
    for layer in graph.layers:
        calls = list(layer.calls)
        for number, call in enumerate(layer.calls):
            sources = flow.changed(call) if layer.class_name in TAKERS and "mask" not in call.kwargs else None
            if sources is None:
                continue
            if layer.class_name not in RECURRENT or not all(source.is_known for source in sources):
                raise FileError(
                    f"layer '{prefix}{layer.name}' takes a mask that layers before it merge in another way in Keras 3, "
                    "and it cannot be given to it",
                    hint="replace the layers that make the mask, or load with repairs: none for what Keras 3 computes",
                )
            mask = operations.mask(sources)
            calls[number] = replace(call, kwargs={**call.kwargs, "mask": mask}, form="keras3")
        if calls != list(layer.calls):
            mended.append(prefix + layer.name)
            layer = replace(layer, calls=tuple(calls))
        layers.append(layer)
    if not operations.made:
        return graph
    return replace(graph, layers=(*layers, *operations.made.values()))


@dataclass(kw_only=True)
class _Operations:
    """Makes the operations that masks consist of, each once."""

    graph: Graph
    prefix: str
    made: dict[str, Layer] = field(default_factory=dict)

    def mask(self, sources: frozenset[Source]) -> TensorRef:
        """The tensor that is true wherever no source masks."""
        first, *others = [self.of(source) for source in sorted(sources, key=lambda source: source.name)]
        for other in others:
            first = self.operation("LogicalAnd", f"{first.layer}_and_{other.layer}", (first, other))
        return first

    def of(self, source: Source) -> TensorRef:
        layer = self.graph.layer(source.layer)
        value = layer.config.get("mask_value", 0.0) if layer.class_name == "Masking" else 0
        (taken,) = layer.calls[source.call].refs()
        name = f"{layer.name}_mask" if source.call == 0 else f"{layer.name}_mask_{source.call}"
        unequal = self.operation("NotEqual", f"{name}_unequal", (taken, value))
        if layer.class_name != "Masking":
            return unequal
        return self.operation("Any", name, (unequal,), axis=-1, keepdims=False)

    def operation(self, class_name: str, name: str, args: tuple[object, ...], **config: object) -> TensorRef:
        while any(layer.name == name for layer in self.graph.layers):
            name += "_"
        if name not in self.made:
            self.made[name] = Layer(
                name=name,
                class_name=class_name,
                module="keras.src.ops.numpy",
                registered_name=class_name,
                config={"name": name, **config},
                calls=(Call(args=args),),
                key=f"{self.prefix}{name}",
            )
        return TensorRef(layer=name)


REPAIR = Repair(
    name="merged-masks",
    cause="masks of tensors that are added or concatenated are joined in another way",
    versions="Keras 2.0 to 2.15, tf.keras",
    cure="a recurrent layer behind gets the old mask as an argument; where that cannot be, the file is refused",
    document=_mend,
)
