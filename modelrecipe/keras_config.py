"""Keras' JSON to a `Graph` and back, without loss.

Knows how Keras 3 serialises functional and Sequential models, and the list form of calls that Keras 1 and 2 wrote into
HDF5 files. Knows no files and no Keras. Source of the forms: `keras/src/models/functional.py` (`get_config`,
`serialize_node`, `functional_from_config`) and `sequential.py` of Keras 3.15.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modelrecipe.call_numbers import number_calls
from modelrecipe.errors import FileError
from modelrecipe.graph import Call, Graph, Layer
from modelrecipe.old_calls import read_call, write_call
from modelrecipe.references import TensorRef, map_refs

_TENSOR = "__keras_tensor__"
_GRAPH_KEYS = ("layers", "input_layers", "output_layers")
_LAYER_KEYS = ("module", "class_name", "config", "registered_name", "build_config", "name", "inbound_nodes")


def read_model(config: Mapping[str, Any]) -> Layer:
    """The model that a serialised configuration describes.

    Args:
        config: the content of `config.json`, or of the attribute `model_config` of an HDF5 file.

    Returns:
        The outermost model as a `Layer`. Its `graph` is None when the configuration lists no layers, as for a
        subclassed model.

    Raises:
        FileError: the configuration is not one of a Keras model.
    """
    try:
        return _Reader().layer(config, prefix="", is_root=True)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError) as error:
        raise FileError(f"the model's configuration is not one that Keras writes ({error!r})") from error


def write_model(model: Layer) -> dict[str, Any]:
    """The configuration that Keras reads back as `model`; the inverse of `read_model`."""
    data = _write_layer(model)
    data.pop("name", None)
    data.pop("inbound_nodes", None)
    return data


@dataclass
class _Reader:
    """Carries which shared objects were met, so that both copies of a shared layer get one key."""

    shared: dict[int, str] = field(default_factory=dict)

    def layer(
        self, data: Mapping[str, Any], *, prefix: str, is_root: bool = False, names: Container[str] = ()
    ) -> Layer:
        config = dict(data["config"])
        if not isinstance(data["class_name"], str) or not isinstance(data.get("module"), str | None):
            raise TypeError("a layer's class is no text")
        name = str(data.get("name") or config.get("name") or "")
        key = "" if is_root else prefix + name
        shared_id = data.get("shared_object_id")
        if shared_id is not None:
            key = self.shared.setdefault(shared_id, key)
        inner = "" if is_root else f"{key}/"
        graph = self.graph(data["class_name"], config, inner) if isinstance(config.get("layers"), list) else None
        return Layer(
            name=name,
            class_name=data["class_name"],
            module=data.get("module"),
            registered_name=data.get("registered_name"),
            config=config if graph is None else {k: v for k, v in config.items() if k not in _GRAPH_KEYS},
            build_config=data.get("build_config"),
            calls=tuple(_read_call(node, names) for node in data.get("inbound_nodes") or ()),
            graph=graph,
            key=key,
            extra={k: v for k, v in data.items() if k not in _LAYER_KEYS},
        )

    def graph(self, class_name: str, config: Mapping[str, Any], prefix: str) -> Graph | None:
        if not all(_is_layer(item) for item in config["layers"]):
            return None
        names = {item.get("name") or item["config"].get("name") for item in config["layers"]}
        layers = [self.layer(item, prefix=prefix, names=names) for item in config["layers"]]
        if "input_layers" in config:
            return _functional(tuple(layers), config["input_layers"], config["output_layers"])
        return _chain(layers, config.get("build_input_shape")) if class_name == "Sequential" and layers else None


def _is_layer(data: object) -> bool:
    return isinstance(data, Mapping) and "class_name" in data and isinstance(data.get("config"), Mapping)


def _chain(layers: list[Layer], input_shape: list[int | None] | None) -> Graph:
    """A Sequential model's list of layers as explicit calls."""
    implicit = not layers[0].is_input
    if implicit:
        shape = input_shape if isinstance(input_shape, list) else None
        source = Layer(name="input", class_name="InputLayer", config={"batch_shape": shape, "name": "input"}, key="")
        layers = [source, *layers]
    wired = layers[:1]
    for layer in layers[1:]:
        wired.append(replace(layer, calls=(Call(args=(TensorRef(layer=wired[-1].name),)),)))
    return Graph(
        kind="sequential",
        layers=tuple(wired),
        inputs=TensorRef(layer=wired[0].name),
        outputs=TensorRef(layer=wired[-1].name),
        implicit_input=implicit,
    )


def _read_call(node: Any, names: Container[str]) -> Call:
    if not isinstance(node, Mapping) or "args" not in node:
        return read_call(node, names)
    kwargs = node.get("kwargs") or {}
    return Call(args=tuple(_revive(item) for item in node["args"] or ()), kwargs=_revive(kwargs))


def _revive(value: Any) -> Any:
    """Put a `TensorRef` in the place of every serialised tensor."""
    if isinstance(value, Mapping):
        if value.get("class_name") == _TENSOR:
            facts = dict(value["config"])
            layer, call, index = facts.pop("keras_history")
            shape = facts.pop("shape", None)
            return TensorRef(
                layer=str(layer),
                call=int(call),
                index=int(index),
                shape=tuple(shape) if shape is not None else None,
                dtype=facts.pop("dtype", None),
                facts=facts,
            )
        return {key: _revive(item) for key, item in value.items()}
    return [_revive(item) for item in value] if isinstance(value, list) else value


def _revive_ends(value: Any) -> Any:
    """`input_layers`/`output_layers`: a leaf is `[name, call, index]`, anything else is structure."""
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and isinstance(value[1], int):
        return TensorRef(layer=value[0], call=value[1], index=int(value[2]))
    if isinstance(value, Mapping):
        return {key: _revive_ends(item) for key, item in value.items()}
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no reference to a tensor")
    return [_revive_ends(item) for item in value]


def _functional(layers: tuple[Layer, ...], inputs: Any, outputs: Any) -> Graph:
    """A graph whose calls are numbered from 0, whatever the file counts from."""
    ends = _revive_ends(outputs)
    numbers = number_calls(layers, ends)

    def inner(ref: TensorRef) -> TensorRef:
        return _numbered(ref, numbers[ref.layer].inner[ref.call])

    def entry(ref: TensorRef) -> TensorRef:
        if ref.layer not in numbers:
            raise KeyError(ref.layer)
        return _numbered(ref, 0)

    def numbered(layer: Layer) -> Layer:
        base, mapped = numbers[layer.name].output_base, layer.map(inner)
        return mapped if base == layer.output_base else replace(mapped, output_base=base)

    return Graph(
        kind="functional",
        layers=tuple(map(numbered, layers)),
        inputs=map_refs(_revive_ends(inputs), entry),
        outputs=map_refs(ends, lambda ref: _numbered(ref, numbers[ref.layer].ends[ref.call])),
    )


def _numbered(ref: TensorRef, call: int) -> TensorRef:
    return ref if ref.call == call else replace(ref, call=call)


def _write_layer(layer: Layer) -> dict[str, Any]:
    config = dict(layer.config)
    if "name" in config:
        config["name"] = layer.name
    if layer.graph is not None:
        config.update(_write_graph(layer.graph))
    data: dict[str, Any] = {}
    if layer.module is not None:
        data["module"] = layer.module
    data["class_name"] = layer.class_name
    data["config"] = config
    if layer.module is not None:
        data["registered_name"] = layer.registered_name
    if layer.build_config is not None:
        data["build_config"] = layer.build_config
    data.update(layer.extra)
    data["name"] = layer.name
    data["inbound_nodes"] = [_write_call(call) for call in layer.calls]
    return data


def _write_graph(graph: Graph) -> dict[str, Any]:
    if graph.kind == "sequential":
        shown = graph.layers[1:] if graph.implicit_input else graph.layers
        return {"layers": [_without_calls(_write_layer(layer)) for layer in shown]}
    bases = {layer.name: layer.output_base for layer in graph.layers}

    def end(ref: TensorRef) -> list[Any]:
        return [ref.layer, ref.call + bases[ref.layer], ref.index]

    return {
        "layers": [_write_layer(layer) for layer in graph.layers],
        "input_layers": map_refs(graph.inputs, lambda ref: [ref.layer, 0, ref.index]),
        "output_layers": map_refs(graph.outputs, end),
    }


def _without_calls(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in ("name", "inbound_nodes")}


def _write_call(call: Call) -> Any:
    if call.form == "legacy":
        return write_call(call)
    return {"args": _serialise(call.args), "kwargs": _serialise(call.kwargs)}


def _serialise(value: Any) -> Any:
    if isinstance(value, TensorRef):
        config = {
            "shape": list(value.shape) if value.shape is not None else None,
            "dtype": value.dtype,
            **value.facts,
            "keras_history": list(value.key),
        }
        return {"class_name": _TENSOR, "config": config}
    if isinstance(value, Mapping):
        return {key: _serialise(item) for key, item in value.items()}
    return [_serialise(item) for item in value] if isinstance(value, list | tuple) else value


def iter_configs(value: Any) -> Iterator[dict[str, Any]]:
    """Every serialised object inside a layer's configuration (`class_name` with `config`), the outer ones first."""
    if isinstance(value, dict):
        if "class_name" in value and isinstance(value.get("config"), dict):
            yield value
        for item in value.values():
            yield from iter_configs(item)
    elif isinstance(value, list):
        for item in value:
            yield from iter_configs(item)
