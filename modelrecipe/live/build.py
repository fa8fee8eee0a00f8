"""A document becomes a Keras model: every call of the graph is made again, in order, on newly made layers.

Keras' own loader does the same (`functional_from_config`), but neither says which layer broke nor looks at shapes. Here
both are done: an error names the layer, what feeds it and the shapes, and the shape of every tensor is given back.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelrecipe.edit.masks import LostMasks
from modelrecipe.errors import BuildError, ShapeError
from modelrecipe.formats.tensorflow import TFSM_CLASS
from modelrecipe.graph import Call, Graph, Layer, walk
from modelrecipe.live.adapters import alphas
from modelrecipe.live.construct import foreign_code, make, reason
from modelrecipe.live.private import can_defer, deferring, initialise, inner_layers, sharing_scope
from modelrecipe.live.session import import_keras, seeded
from modelrecipe.old_calls import plain_ends
from modelrecipe.references import Shape, TensorRef, iter_refs, map_refs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from modelrecipe.propagate import TensorKey
    from modelrecipe.weights import Tensor


@dataclass
class Built:
    """A live model with what is known of its parts.

    Args:
        model: the Keras model.
        layers: the live layers by key.
        shapes: for the path of every model ("" for the outermost), the shape of each tensor inside.
        paths: a path for every key, for messages.
        fresh: what Keras initialised of the layers that no file fills wholly, taken before anything was filled in.
        still: variables that do not train, whatever the flag of their layer.
    """

    model: Any = None
    layers: dict[str, Any] = field(default_factory=dict)
    shapes: dict[str, dict[TensorKey, Shape | None]] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    fresh: dict[str, tuple[Tensor, ...]] = field(default_factory=dict)
    still: dict[str, list[Any]] = field(default_factory=dict)


def build(
    model: Layer,
    *,
    seed: int,
    is_safe: bool = True,
    executes_graphs: bool = False,
    filled: Collection[str] = (),
) -> Built:
    """Build the model that a graph describes.

    Args:
        model: a model whose graph is known.
        seed: of the weights of new layers; each layer's numbers depend on it and on the layer's key alone.
        is_safe: refuse Python code in configurations; only a model that the caller built may do without.
        executes_graphs: make layers that execute the graph of a SavedModel.
        filled: keys of layers that are given all their numbers afterwards: their variables may wait for them without
            any. All others are initialised.

    Raises:
        BuildError: a layer cannot be made or does not accept what it is called with.
    """
    if filled and can_defer():
        # A layer that makes variables of given numbers cannot wait for others, and says so when it is built.
        with contextlib.suppress(BuildError):
            return _build(model, Built(), seed, is_safe, executes_graphs, frozenset(filled))
    return _build(model, Built(), seed, is_safe, executes_graphs, frozenset())


def _build(
    model: Layer, built: Built, seed: int, is_safe: bool, executes_graphs: bool, waiting: frozenset[str]
) -> Built:
    builder = _Builder(built=built, seed=seed, is_safe=is_safe, executes_graphs=executes_graphs, waiting=waiting)
    with sharing_scope():
        built.model = builder.model(model, "")
    for live, alpha in builder.alphas:
        live.lora_alpha = alpha
    return built


@dataclass
class _Builder:
    built: Built
    seed: int
    is_safe: bool
    executes_graphs: bool
    waiting: frozenset[str] = frozenset()
    alphas: list[tuple[Any, float]] = field(default_factory=list)

    def leaf(self, layer: Layer, path: str) -> Any:
        is_trusted = self.executes_graphs and layer.class_name == TFSM_CLASS
        live = make(layer, path, is_safe=self.is_safe and not is_trusted)
        self.alphas += alphas(live)
        return live

    def model(self, layer: Layer, path: str) -> Any:
        """A Functional or Sequential model."""
        graph = layer.graph
        if graph is None:
            raise BuildError(f"'{path}' lists no layers")
        prefix = f"{path}/" if path else ""
        made = {
            item.name: self.layer(item, prefix + item.name) for item in graph.layers if not _is_implicit(graph, item)
        }
        if graph.kind == "sequential":
            return self._sequential(layer, graph, made, path)
        tensors = self._call_all(graph, made, path)
        self.built.shapes[path] = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
        options = {key: value for key, value in layer.config.items() if key not in ("name", "trainable")}
        inputs = map_refs(plain_ends(graph, graph.inputs), lambda ref: tensors[ref.key])
        outputs = map_refs(plain_ends(graph, graph.outputs), lambda ref: _given(ref, tensors, "the model"))
        with foreign_code(
            lambda error: BuildError(f"'{path or layer.name}' cannot be made of its layers: {reason(error)}")
        ):
            model = self._class_of(layer)(inputs=inputs, outputs=outputs, name=layer.name, **options)
        if layer.config.get("trainable") is False:
            model.trainable = False
        return model

    def _class_of(self, layer: Layer) -> Any:
        """Functional, or the registered subclass of it that the model was."""
        keras = import_keras()
        if layer.registered_name and layer.registered_name != layer.class_name:
            return keras.saving.get_registered_object(layer.registered_name) or keras.Model
        return keras.Model

    def _sequential(self, layer: Layer, graph: Graph, made: Mapping[str, Any], path: str) -> Any:
        keras = import_keras()
        ordered = [made[item.name] for item in graph.layers if item.name in made]
        with foreign_code(lambda error: self._broken_chain(graph, made, path, error)), self._deferring(graph.layers):
            model = keras.Sequential(ordered, name=layer.name)
            shape = layer.config.get("build_input_shape")
            if graph.implicit_input and shape:
                model.build(tuple(shape))
        if layer.config.get("trainable") is False:
            model.trainable = False
        self.built.shapes[path] = self._chain_shapes(graph, made)
        return model

    def _chain_shapes(self, graph: Graph, made: Mapping[str, Any]) -> dict[TensorKey, Shape | None]:
        found: dict[TensorKey, Shape | None] = {}
        for item in graph.layers:
            live = made.get(item.name)
            nodes = getattr(live, "_inbound_nodes", ())
            if nodes:
                found[(item.name, 0, 0)] = tuple(nodes[-1].output_tensors[0].shape)
        return found

    def _broken_chain(self, graph: Graph, made: Mapping[str, Any], path: str, error: Exception) -> BuildError:
        """Find the layer at which a Sequential model breaks, by calling one after the other."""
        keras = import_keras()
        first = graph.layers[0]
        shape = first.config.get("batch_shape")
        if not shape:
            return BuildError(f"'{path or 'the model'}' cannot be chained: {reason(error)}")
        tensor = keras.KerasTensor(tuple(shape), dtype=first.config.get("dtype") or "float32")
        before = first
        for item in graph.layers[1:]:
            fed = [(before.name, tuple(tensor.shape))]
            with foreign_code(lambda cause, item=item, fed=fed: _not_accepted(item, fed, cause)):
                tensor = made[item.name](tensor)
            before = item
        return BuildError(f"'{path or 'the model'}' cannot be chained: {reason(error)}")

    def layer(self, layer: Layer, path: str) -> Any:
        """A live layer; the same object for every place of a shared one."""
        if layer.key in self.built.layers:
            return self.built.layers[layer.key]
        with seeded(self._seed_of(layer)):
            live = self.model(layer, path) if layer.graph is not None else self.leaf(layer, path)
        if layer.graph is None:
            self.built.paths[layer.key] = path
        self.built.layers[layer.key] = live
        return live

    @contextlib.contextmanager
    def _deferring(self, layers: Iterable[Layer]) -> Iterator[None]:
        """Around what builds layers: variables wait for their numbers where these come from a file.

        Those of new layers among them are drawn at the end, by initializers that have their seeds already. Custom
        classes do not wait, nor what is built together with them: they may compute with variables while they are built.
        """
        leaves = [leaf for layer in layers for leaf in leaves_of(layer) if leaf.key in self.built.layers]
        live = {leaf.key: self.built.layers[leaf.key] for leaf in leaves if not leaf.is_input and not leaf.is_operation}
        parts = [part for layer in live.values() for part in (layer, *inner_layers(layer))]
        can_wait = all(type(part).__module__.startswith("keras.") for part in parts)
        if not can_wait or self.waiting.isdisjoint(live):
            yield
            return
        with deferring():
            yield
        for key in live.keys() - self.waiting:
            initialise(live[key].variables)

    def _seed_of(self, layer: Layer) -> int:
        return int.from_bytes(hashlib.sha256(f"{self.seed}:{layer.key}".encode()).digest()[:4], "big")

    def _call_all(self, graph: Graph, made: Mapping[str, Any], path: str) -> dict[TensorKey, Any]:
        """Make every call as soon as its tensors exist, in the order in which Keras does."""
        tensors: dict[TensorKey, Any] = {}
        for item in graph.layers:
            if item.is_input:
                tensors[(item.name, 0, 0)] = made[item.name].output
        done = dict.fromkeys((item.name for item in graph.layers), 0)
        waiting = [item for item in graph.layers if item.calls]
        masks = LostMasks(graph)
        while waiting:
            before = sum(done.values())
            for item in waiting:
                while done[item.name] < len(item.calls) and _is_ready(item.calls[done[item.name]], done, tensors):
                    self._call(item, done[item.name], made[item.name], tensors, masks)
                    done[item.name] += 1
            if sum(done.values()) == before:
                names = ", ".join(f"'{item.name}'" for item in waiting[:4])
                raise BuildError(f"{names} of '{path or 'the model'}' wait for each other, or for what no layer gives")
            waiting = [item for item in waiting if done[item.name] < len(item.calls)]
        return tensors

    def _call(self, item: Layer, number: int, live: Any, tensors: dict[TensorKey, Any], masks: LostMasks) -> None:
        keras = import_keras()
        call = masks.without(item.calls[number])
        fed = [(ref.layer, tuple(tensors[ref.key].shape)) for ref in call.refs() if ref.key in tensors]
        refusal = foreign_code(lambda error: _not_accepted(item, fed, error))
        with refusal, seeded(self._seed_of(item)), self._deferring([item]):
            args = [_revived(argument, tensors, item.name) for argument in call.args]
            kwargs = {key: _revived(value, tensors, item.name) for key, value in call.kwargs.items()}
            result = live(*args, **kwargs)
        given = keras.tree.flatten(result)
        tensors.update({(item.name, number, index): tensor for index, tensor in enumerate(given)})
        supports = bool(getattr(live, "supports_masking", False))
        masks.made(item, number, call, outputs=len(given), supports_masking=supports)


def leaves_of(layer: Layer) -> list[Layer]:
    """The layer itself, or those at any depth inside a model."""
    return [layer] if layer.graph is None else [item.layer for item in walk(layer) if item.layer.graph is None]


def _is_ready(call: Call, done: Mapping[str, int], tensors: Mapping[TensorKey, Any]) -> bool:
    """Whether every layer that the call takes from has made the call in question."""
    return all(ref.call < done[ref.layer] or ref.key in tensors for ref in call.refs())


def _is_implicit(graph: Graph, layer: Layer) -> bool:
    return graph.implicit_input and layer is graph.layers[0]


def _given(ref: TensorRef, tensors: Mapping[TensorKey, Any], taker: str) -> Any:
    if ref.key not in tensors:
        raise BuildError(
            f"{taker if taker == 'the model' else repr(taker)} takes output {ref.index} of '{ref.layer}', which gives"
            " fewer outputs",
            hint="replace it by a layer that gives as many",
        )
    return tensors[ref.key]


def _revived(value: Any, tensors: Mapping[TensorKey, Any], taker: str) -> Any:
    """An argument with live tensors at its references and Python objects for what was serialised."""
    if isinstance(value, TensorRef):
        return _given(value, tensors, taker)
    if isinstance(value, Mapping):
        if "class_name" in value and not list(iter_refs(value)):
            return import_keras().saving.deserialize_keras_object(dict(value), safe_mode=True)
        return {key: _revived(item, tensors, taker) for key, item in value.items()}
    return [_revived(item, tensors, taker) for item in value] if isinstance(value, list | tuple) else value


def _not_accepted(item: Layer, fed: list[tuple[str, Shape]], error: Exception) -> BuildError:
    inputs = " and ".join(f"{shape} from '{name}'" for name, shape in fed) or "its arguments"
    return ShapeError(f"'{item.name}' ({item.kind_name}) does not accept {inputs}: {reason(error)}", layer=item.key)
