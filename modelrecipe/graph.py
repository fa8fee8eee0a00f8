"""The typed portrait of a Keras model: layers, their calls, and the tensors that flow between them.

All values are frozen: an edit gives back a new model and leaves the old one as it was. This room knows the shape of a
functional graph but neither files nor Keras; `keras_config` translates Keras' JSON, `rewire` edits.

A model is itself a `Layer` whose `graph` is not None, so a nested model and the outermost one are the same thing.
"""

from __future__ import annotations

from dataclasses import field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from modelrecipe.frozen import frozen
from modelrecipe.identity import cached_by_identity
from modelrecipe.references import iter_refs, map_refs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from modelrecipe.references import TensorRef

Kind = Literal["functional", "sequential"]


@frozen
class Call:
    """One call of a layer: positional and keyword arguments, with a `TensorRef` at each place of a tensor.

    Args:
        args: positional arguments, nested lists and mappings of JSON values and `TensorRef`.
        kwargs: keyword arguments, likewise.
        form: how the file writes calls: `keras3` (args and kwargs) or `legacy` (lists of Keras 1 and 2).
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    form: Literal["keras3", "legacy"] = "keras3"

    def refs(self) -> tuple[TensorRef, ...]:
        """Every tensor the call takes, positional ones first."""
        return self._refs

    @cached_property
    def _refs(self) -> tuple[TensorRef, ...]:
        return (*iter_refs(self.args), *iter_refs(self.kwargs))

    def map(self, function: Callable[[TensorRef], Any]) -> Call:
        """The same call with every tensor put through `function`; the call itself where that changes nothing."""
        args, kwargs = map_refs(self.args, function), map_refs(self.kwargs, function)
        is_same = args is self.args and kwargs is self.kwargs
        return self if is_same else Call(args=args, kwargs=kwargs, form=self.form)


@frozen
class Layer:
    """A layer, a bare operation, or a whole model.

    Args:
        name: unique within its graph.
        class_name: `Dense`, `Functional`, or an operation's `Add`.
        module: where Keras finds the class (`keras.layers`, `keras.src.ops.numpy`); None in old files.
        registered_name: `package>Class` of a custom class, else None.
        config: constructor arguments as Keras serialises them; a nested model's layers are in `graph` instead.
        build_config: what Keras recorded of the shapes that the layer was built for.
        calls: in the order of the file; empty for an InputLayer.
        graph: the inside of a Functional or Sequential model, else None.
        key: identity. For a layer of a file, its path in that file, kept when it is renamed; a new layer's
            starts with `+`. Weights hang on this key. Two places of one shared object have one key.
        extra: further entries of the serialised layer.
        output_base: what the file's list of outputs counts the layer's calls from; 1 for functional models.
    """

    name: str
    class_name: str
    module: str | None = "keras.layers"
    registered_name: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    build_config: Mapping[str, Any] | None = None
    calls: tuple[Call, ...] = ()
    graph: Graph | None = None
    key: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    output_base: int = 0

    def map(self, function: Callable[[TensorRef], Any]) -> Layer:
        """The layer with every tensor that its calls take put through `function`; itself where that changes nothing."""
        calls = tuple(call.map(function) for call in self.calls)
        is_same = all(new is old for new, old in zip(calls, self.calls, strict=True))
        return self if is_same else replace(self, calls=calls)

    @property
    def is_new(self) -> bool:
        """Whether a step made the layer, so that no file holds weights under its key."""
        return self.key.startswith("+")

    @property
    def is_input(self) -> bool:
        """Whether it is the entry of a graph."""
        return self.class_name == "InputLayer"

    @property
    def is_operation(self) -> bool:
        """Whether it is a bare operation of `keras.ops`, without weights or flags."""
        return self.module is not None and self.module.startswith("keras.src.ops")

    @property
    def is_shared(self) -> bool:
        """Whether it is called more than once."""
        return len(self.calls) > 1

    @property
    def kind_name(self) -> str:
        """The class as a recipe names it: `Dense`, `ops.Add`, `package>Layer`."""
        if self.is_operation:
            return f"ops.{self.class_name}"
        return self.registered_name or self.class_name if self.registered_name != self.class_name else self.class_name


@frozen
class Graph:
    """The inside of a model: its layers in the file's order, and which tensors enter and leave.

    Args:
        kind: how Keras writes it. A Sequential model's chain is spelt out as calls like any other.
        layers: topological enough for Keras: every tensor is made before it is used, for some order of calls.
        inputs: `TensorRef`, or a nested list/mapping of them, as the caller passes the inputs.
        outputs: likewise.
        implicit_input: the InputLayer of a Sequential model that its file does not list.
    """

    kind: Kind
    layers: tuple[Layer, ...]
    inputs: Any
    outputs: Any
    implicit_input: bool = False

    def layer(self, name: str) -> Layer:
        """The layer of that name; KeyError where there is none."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)

    def consumers(self, name: str) -> list[tuple[Layer, int]]:
        """Every (layer, call number) that takes a tensor of the layer `name`, in order."""
        return [
            (layer, number)
            for layer in self.layers
            for number, call in enumerate(layer.calls)
            if any(ref.layer == name for ref in call.refs())
        ]

    def is_output(self, name: str) -> bool:
        """Whether a tensor of the layer `name` leaves the graph."""
        return any(ref.layer == name for ref in iter_refs(self.outputs))


@frozen
class Located:
    """A layer with where it stands.

    Args:
        path: names from the outermost model inwards, joined by `/`.
        layer: the layer itself.
        parents: the models around it, the outermost first; the first one is the whole model.
    """

    path: str
    layer: Layer
    parents: tuple[Layer, ...]

    @property
    def is_effectively_trainable(self) -> bool:
        """Whether `fit` of a loaded file would change it: its own flag, unless the whole model is frozen.

        Keras goes by the flags of leaf layers. The flag of a nested model hides its layers from that model alone; the
        flag of the outermost one hides all, but a Sequential model loses it when it is loaded (measured on 3.15).
        """
        whole = self.parents[0] if self.parents else self.layer
        is_sequential = whole.graph is not None and whole.graph.kind == "sequential"
        return is_trainable(self.layer) and (is_sequential or is_trainable(whole))


def is_trainable(layer: Layer) -> bool:
    """The layer's own flag; True where its class has none."""
    return bool(layer.config.get("trainable", True))


def walk(model: Layer) -> Iterator[Located]:
    """Every layer inside `model`, nested ones after the model that holds them, in the file's order."""
    return iter(() if model.graph is None else _located(model))


@cached_by_identity(maxsize=16)
def _located(model: Layer) -> tuple[Located, ...]:
    return tuple(_walk(model, (model,), ""))


def _walk(model: Layer, parents: tuple[Layer, ...], prefix: str) -> Iterator[Located]:
    if model.graph is None:
        return
    for layer in model.graph.layers:
        if layer.is_input and model.graph.implicit_input:
            continue  # no file lists it, so nothing about it could be kept
        path = prefix + layer.name
        yield Located(path=path, layer=layer, parents=parents)
        yield from _walk(layer, (*parents, layer), f"{path}/")


def locate(model: Layer, path: str) -> Located:
    """The layer at `path`; KeyError where there is none."""
    for located in walk(model):
        if located.path == path:
            return located
    raise KeyError(path)


def update_layers(model: Layer, changed: Mapping[str, Callable[[Layer], Layer]]) -> Layer:
    """Put the layers at the paths of `changed` through their functions, however deep they stand.

    Every copy of a layer that is shared between graphs (one key) is changed alike. Wiring is not touched: use
    `Layer.map` where names or calls change.
    """
    keys = {located.path: located.layer.key for located in walk(model)}
    return _update(model, {keys[path]: function for path, function in changed.items()})


def _update(model: Layer, changed: Mapping[str, Callable[[Layer], Layer]]) -> Layer:
    if model.graph is None:
        return model
    layers: list[Layer] = []
    for layer in model.graph.layers:
        inner = _update(layer, changed)
        function = changed.get(layer.key)
        layers.append(function(inner) if function else inner)
    if all(new is old for new, old in zip(layers, model.graph.layers, strict=True)):
        return model
    return replace(model, graph=replace(model.graph, layers=tuple(layers)))


def update_graph(model: Layer, path: str, function: Callable[[Graph], Graph]) -> Layer:
    """Put the graph of the model at `path` ("" is the outermost) through `function`."""
    if path == "":
        if model.graph is None:
            raise KeyError(path)
        return replace(model, graph=function(model.graph))
    return update_layers(
        model,
        {path: lambda layer: replace(layer, graph=function(layer.graph)) if layer.graph else layer},
    )
