"""Models as documents, written by hand: a line for each layer, without Keras and without files."""

from __future__ import annotations

from typing import Any

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.graph import Call, Graph, Layer
from modelrecipe.references import TensorRef
from modelrecipe.weights import Tensor, Weights

OPERATIONS = "keras.src.ops.numpy"


def ref(name: str) -> TensorRef:
    """`a`, or `a:1` for the second call of a layer."""
    layer, _, call = name.partition(":")
    return TensorRef(layer=layer, call=int(call or 0))


def layer(name: str, kind: str, *calls: str, key: str | None = None, **config: Any) -> Layer:
    """A layer whose calls are each written as the tensors they take: `"a b"`; `ops.Add` is a bare operation.

    Each call of a shared layer is one argument.
    """
    is_operation = kind.startswith("ops.")
    registered = kind if ">" in kind else None
    return Layer(
        name=name,
        class_name=kind.removeprefix("ops.").rpartition(">")[2],
        module=OPERATIONS if is_operation else "keras.layers",
        registered_name=registered,
        config={"name": name, **config},
        calls=tuple(Call(args=tuple(ref(tensor) for tensor in call.split())) for call in calls),
        key=name if key is None else key,
    )


def inside(name: str, kind: str, layers: list[Layer], outputs: str, *calls: str, **config: Any) -> Layer:
    """A model of layers; its keys get the model's name in front."""
    prefix = f"{name}/" if name else ""
    return Layer(
        name=name,
        class_name=kind,
        config={"name": name, **config},
        calls=tuple(Call(args=tuple(ref(tensor) for tensor in call.split())) for call in calls),
        graph=Graph(
            kind="functional",
            layers=tuple(_prefixed(item, prefix) for item in layers),
            inputs=[ref(item.name) for item in layers if item.is_input],
            outputs=[ref(output) for output in outputs.split()],
        ),
        key=name,
    )


def _prefixed(item: Layer, prefix: str) -> Layer:
    from dataclasses import replace

    graph = item.graph
    if graph is not None:
        graph = replace(graph, layers=tuple(_prefixed(inner, prefix) for inner in graph.layers))
    return replace(item, key=prefix + item.key, graph=graph)


def checkpoint(layers: list[Layer], outputs: str, weights: dict[str, dict[str, int]] | None = None) -> Checkpoint:
    """A model with, for each layer key, the sizes of its variables by name."""
    tensors = {
        key: tuple(
            Tensor(name=name, slot=f"vars/{number}", shape=(size,), dtype="float32")
            for number, (name, size) in enumerate(sizes.items())
        )
        for key, sizes in (weights or {}).items()
    }
    return Checkpoint(model=inside("", "Functional", layers, outputs), weights=Weights(tensors))
