"""`hard_sigmoid` was `clip(0.2 x + 0.5, 0, 1)` before Keras 3, where it is `relu6(x + 3) / 6`; nothing complains.

`old(x) = new(1.2 x)`, exactly in real arithmetic and to float noise in a computer. So weights that go into the function
are multiplied by 1.2 (when they are read), and an Activation layer gets a Rescaling in front: the file that is written
means the same to any Keras 3. See `gate_scaling` for the weights and `hard_sigmoid_layer` for a single layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from modelrecipe.formats.repair import Json, Repair, Writer
from modelrecipe.formats.repairs.gate_scaling import FACTOR, with_factor
from modelrecipe.formats.repairs.hard_sigmoid_layer import NAME, is_custom, is_hard_sigmoid, mend_layer
from modelrecipe.graph import Graph, Layer, Located, walk

if TYPE_CHECKING:
    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.references import TensorRef
    from modelrecipe.weights import Weights

_SAME = "hard_sigmoid keeps its old meaning, clip(0.2 x + 0.5, 0, 1): exactly in real arithmetic, here to float noise"


def _mend(checkpoint: Checkpoint, writer: Writer) -> tuple[Checkpoint, Sequence[str]]:
    if not _is_old(checkpoint.model, writer):
        return checkpoint, ()
    run = _Run(weights=checkpoint.weights, keys={located.layer.key for located in walk(checkpoint.model)})
    model = run.model(checkpoint.model, "")
    if not run.mended and not run.remarks:
        return checkpoint, ()
    origin = checkpoint.origin
    if origin is not None:
        said = (_SAME,) if run.mended else ()
        origin = replace(origin, remarks=(*origin.remarks, *said, *run.remarks))
    return replace(checkpoint, model=model, weights=run.weights, origin=origin), run.mended


def _is_old(model: Layer, writer: Writer) -> bool:
    """Whether a file was written before Keras 3: it says so, or it says nothing and does not look like Keras 3."""
    if writer.version:
        return writer.is_before(3)
    return not any(_is_of_keras_3(located) for located in walk(model))


def _is_of_keras_3(located: Located) -> bool:
    """Whether only Keras 3 writes a layer so; the calls of a Sequential model are no file's."""
    dtype, graph = located.layer.config.get("dtype"), located.parents[-1].graph
    has_policy = isinstance(dtype, Mapping) and dtype.get("class_name") == "DTypePolicy"
    is_functional = graph is not None and graph.kind == "functional"
    return has_policy or (is_functional and any(call.form == "keras3" for call in located.layer.calls))


@dataclass(kw_only=True)
class _Run:
    """One pass over a document; a layer that stands in several places is mended once.

    Args:
        weights: those of the document, with the factor where it was given.
        keys: of all layers, for new ones to avoid.
        mended: paths of layers that were mended.
        remarks: what to tell.
        known: under the key of each layer that was looked at, its configuration.
    """

    weights: Weights
    keys: set[str]
    mended: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    known: dict[str, Json] = field(default_factory=dict)

    def model(self, model: Layer, prefix: str) -> Layer:
        """The same model with all layers in it mended, at any depth."""
        if model.graph is None:
            return model
        before = model.graph.layers
        layers: list[Layer] = []
        taken = {layer.name for layer in before}
        for layer in before:
            path = prefix + layer.name
            if layer.graph is not None:
                layers.append(self.model(layer, f"{path}/"))
            elif _is_activation(layer):
                layers += self.rescaled(layer, path, taken)
            else:
                layers.append(self.leaf(layer, path))
        if len(layers) == len(before) and all(new is old for new, old in zip(layers, before, strict=True)):
            return model
        graph: Graph = replace(model.graph, layers=tuple(layers))
        return replace(model, graph=graph)

    def leaf(self, layer: Layer, path: str) -> Layer:
        """A layer or wrapper, whose weights take the factor."""
        if layer.key not in self.known:
            data: Json = {
                "module": layer.module,
                "class_name": layer.class_name,
                "registered_name": layer.registered_name,
                "config": layer.config,
            }
            tensors = self.weights.of(layer.key)
            outcome = mend_layer(data, tensors, path)
            self.known[layer.key] = outcome.data["config"]
            self.remarks += outcome.remarks
            if outcome.blocks:
                self.weights = self.weights.having(layer.key, with_factor(tensors, outcome.blocks))
            if outcome.blocks or outcome.data is not data:
                self.mended.append(path)
        config = self.known[layer.key]
        return layer if config is layer.config else replace(layer, config=config)

    def rescaled(self, layer: Layer, path: str, taken: set[str]) -> list[Layer]:
        """An Activation layer behind a Rescaling, which is called wherever the layer is called."""
        name = _free(f"{layer.name}_rescaling", taken)
        taken.add(name)
        key = _free(f"{layer.key}_rescaling", self.keys)
        self.keys.add(key)
        dtype = {"dtype": layer.config["dtype"]} if layer.config.get("dtype") is not None else {}
        source = Layer(
            name=name,
            class_name="Rescaling",
            module=layer.module,
            config={"name": name, "trainable": True, **dtype, "scale": FACTOR, "offset": 0.0},
            calls=tuple(replace(call, kwargs={}) for call in layer.calls),
            key=key,
        )
        self.mended.append(path)
        calls = tuple(
            call.map(lambda ref, number=number: _behind(ref, name, number)) for number, call in enumerate(layer.calls)
        )
        return [source, replace(layer, config={**layer.config, "activation": NAME}, calls=calls)]


def _behind(ref: TensorRef, name: str, number: int) -> TensorRef:
    return replace(ref, layer=name, call=number, index=0)


def _is_activation(layer: Layer) -> bool:
    data = {"module": layer.module, "class_name": layer.class_name, "registered_name": layer.registered_name}
    is_plain = layer.class_name == "Activation" and not is_custom(data)
    return is_plain and is_hard_sigmoid(layer.config.get("activation"))


def _free(wanted: str, taken: set[str]) -> str:
    """A name that nobody has: the wanted one, or that with a number."""
    names = (wanted, *(f"{wanted}_{number}" for number in range(1, len(taken) + 2)))
    return next(name for name in names if name not in taken)


REPAIR = Repair(
    name="hard-sigmoid",
    cause="`hard_sigmoid` means `clip(0.2 x + 0.5, 0, 1)`, which is another function in Keras 3",
    versions="Keras 1.0 to 2.15, tf.keras, tf_keras",
    cure="weights in front of it are multiplied by 1.2, or a Rescaling goes in front: the same function, exactly in "
    "real arithmetic, and to float noise in a computer",
    document=_mend,
)
