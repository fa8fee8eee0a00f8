"""A Sequential model of Keras 1 could begin with a merge of other models, its branches; Keras 3 has none with inputs.

Keras 1 lists the layers of the branches flat with those of the model, in the weights too, and so does the functional
model that it becomes here. Source: `keras/models.py` of Keras 1.2.2 (`Sequential.flattened_layers`, `get_config`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from modelrecipe.errors import FileError
from modelrecipe.formats.repair import Json, Repair, Writer, name_of
from modelrecipe.formats.repairs.sequential_shape import without_shape

Ref = list[Any]
"""A tensor as Keras writes it: the name of its layer, which call, which output."""


def _mend(data: Json, writer: Writer) -> Json:
    del writer
    layers = _layers(data)
    if data["class_name"] != "Sequential" or not layers or not _branches(layers[0]):
        return data
    graph = _Graph()
    end = graph.sequential(layers)
    config = {"name": name_of(data), "layers": graph.layers, "input_layers": graph.inputs, "output_layers": [end]}
    return {**data, "class_name": "Functional", "config": config}


def _layers(data: Json) -> list[Json]:
    config = data["config"]
    layers = config.get("layers") if isinstance(config, dict) else config
    return layers if isinstance(layers, list) else []


def _branches(data: Json) -> list[Json]:
    return _layers(data) if data["class_name"] == "Merge" else []


@dataclass
class _Graph:
    """The functional model while it grows."""

    layers: list[Json] = field(default_factory=list)
    inputs: list[Ref] = field(default_factory=list)

    def sequential(self, layers: list[Json]) -> Ref:
        """Add a chain; gives its end."""
        first, *rest = layers
        if _branches(first):
            ends = [self.branch(branch) for branch in _branches(first)]
            config = {key: value for key, value in first["config"].items() if key != "layers"}
            end = self.call({**first, "config": config}, ends)
        elif first["class_name"] == "InputLayer":
            end = self.input(first)
        else:
            shape, dtype = _input_of(first)
            arguments: Json = {"batch_input_shape": shape, "name": f"{name_of(first)}_input"}
            arguments |= {"dtype": dtype} if dtype else {}
            end = self.call(without_shape(first), [self.input({"class_name": "InputLayer", "config": arguments})])
        for layer in rest:
            end = self.call(layer, [end])
        return end

    def branch(self, data: Json) -> Ref:
        """Add a model that is merged, or a single layer."""
        layers = _layers(data)
        if "input_layers" not in data["config"]:
            return self.sequential(layers or [data])
        config = data["config"]
        for layer in layers:
            self.add(layer)
        self.inputs += config["input_layers"]
        if len(config["output_layers"]) != 1:
            raise FileError(f"branch '{name_of(data)}' of a merge has {len(config['output_layers'])} outputs")
        return config["output_layers"][0]

    def input(self, data: Json) -> Ref:
        self.add({**data, "name": name_of(data), "inbound_nodes": []})
        self.inputs.append([name_of(data), 0, 0])
        return self.inputs[-1]

    def call(self, data: Json, taken: list[Ref]) -> Ref:
        """Call a layer; one that is there already is shared, as Keras 1 took it."""
        name = name_of(data)
        found = next((layer for layer in self.layers if layer["name"] == name), None)
        if found is None:
            found = self.add({**data, "name": name, "inbound_nodes": []})
        found["inbound_nodes"].append(taken)
        return [name, len(found["inbound_nodes"]) - 1, 0]

    def add(self, data: Json) -> Json:
        if any(layer["name"] == data["name"] for layer in self.layers):
            raise FileError(f"layer '{data['name']}' begins two branches of a merge")
        self.layers.append(dict(data))
        return self.layers[-1]


def _input_of(first: Json) -> tuple[list[int | None], str | None]:
    """Shape and type of what the first layer of a branch takes; a model there holds it deeper inside."""
    config = first["config"]
    shape = config.get("batch_input_shape") or config.get("batch_shape")
    if isinstance(shape, list):
        dtype = config.get("input_dtype") or config.get("dtype")
        return shape, dtype if isinstance(dtype, str) else None
    if _layers(first):
        return _input_of(_layers(first)[0])
    raise FileError(f"layer '{name_of(first)}' begins a branch of a merge, but does not say what it takes")


REPAIR = Repair(
    name="keras-1-branches",
    cause="a Sequential model begins with a merge of other models",
    versions="Keras 1.0 to 1.2",
    cure="it becomes a functional model with an input for each branch and the branches' layers inside",
    layer=_mend,
)
