"""Small graphs written by hand, for rooms that know neither files nor Keras."""

from __future__ import annotations

from typing import Any

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.graph import Call, Graph, Layer
from modelrecipe.references import Shape, TensorRef, iter_refs, map_refs
from modelrecipe.weights import Tensor, Weights


def ref(name: str, call: int = 0, index: int = 0, shape: Shape | None = None) -> TensorRef:
    """One tensor of the layer `name`."""
    return TensorRef(layer=name, call=call, index=index, shape=shape)


def entry(name: str = "x", *sizes: int) -> Layer:
    """An InputLayer."""
    return Layer(name=name, class_name="InputLayer", config={"batch_shape": [None, *sizes], "name": name}, key=name)


def layer(name: str, class_name: str = "Dense", *calls: Any, key: str | None = None, **config: Any) -> Layer:
    """A layer; a call is one tensor, a list of them, a `Call`, or a layer's name for its first tensor."""
    return Layer(
        name=name,
        class_name=class_name,
        config={"name": name, "trainable": True, **config},
        calls=tuple(_call(call) for call in calls),
        key=name if key is None else key,
    )


def operation(name: str, class_name: str, *calls: Any) -> Layer:
    """A bare operation."""
    made = layer(name, class_name, *calls)
    return Layer(name=name, class_name=class_name, module="keras.src.ops.numpy", calls=made.calls, key=name)


def _call(value: Any) -> Call:
    if isinstance(value, Call):
        return value
    if isinstance(value, list):
        return Call(args=([_tensor(item) for item in value],))
    return Call(args=(_tensor(value),))


def _tensor(value: str | TensorRef) -> TensorRef:
    return ref(value) if isinstance(value, str) else value


def graph(*layers: Layer, outputs: Any, inputs: Any = None) -> Graph:
    """A functional graph that ends in `outputs`: a tensor, a layer's name, or a list of them."""
    entries = [ref(item.name) for item in layers if item.is_input]
    return Graph(
        kind="functional",
        layers=layers,
        inputs=inputs if inputs is not None else entries[0] if len(entries) == 1 else entries,
        outputs=[_tensor(item) for item in outputs] if isinstance(outputs, list) else _tensor(outputs),
    )


def with_shapes(made: Graph, shapes: dict[str, Shape]) -> Graph:
    """The graph as a file records it, with a shape on every reference to the named layers' first tensors."""
    from dataclasses import replace

    def noted(item: TensorRef) -> TensorRef:
        return replace(item, shape=shapes.get(item.layer))

    layers = tuple(replace(item, calls=tuple(call.map(noted) for call in item.calls)) for item in made.layers)
    return replace(made, layers=layers, outputs=map_refs(made.outputs, noted))


def checkpoint(made: Graph, **sizes: dict[str, tuple[int, ...]]) -> Checkpoint:
    """A model of this graph; `sizes` gives the shape of each weight by layer."""
    weights = {
        name: tuple(
            Tensor(name=weight, slot=f"vars/{number}", shape=shape, dtype="float32")
            for number, (weight, shape) in enumerate(of_layer.items())
        )
        for name, of_layer in sizes.items()
    }
    model = Layer(name="model", class_name="Functional", config={"name": "model", "trainable": True}, graph=made)
    return Checkpoint(model=model, weights=Weights(weights), is_restructured=True)


def wiring(made: Graph) -> dict[str, list[list[str]]]:
    """For each layer and call what it takes, as `name`, `name@call` or `name@call:index`; `->` for the outputs."""
    found = {item.name: [[_shown(r) for r in call.refs()] for call in item.calls] for item in made.layers}
    return {**found, "->": [[_shown(item) for item in iter_refs(made.outputs)]]}


def _shown(item: TensorRef) -> str:
    call = f"@{item.call}" if item.call or item.index else ""
    return item.layer + call + (f":{item.index}" if item.index else "")
