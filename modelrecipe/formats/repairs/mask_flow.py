"""Which masks reach which tensor of an old graph, and whether Keras 3 makes the same ones. Knows classes, no files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modelrecipe.formats.repair import is_layer
from modelrecipe.frozen import frozen
from modelrecipe.references import TensorRef, iter_refs

if TYPE_CHECKING:
    from modelrecipe.graph import Call, Graph, Layer

RECURRENT = ("RNN", "LSTM", "GRU", "SimpleRNN", "Bidirectional", "GlobalAveragePooling1D")
TAKERS = (*RECURRENT, "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Attention", "AdditiveAttention", "MultiHeadAttention")
"""Classes whose numbers depend on a mask; those of `RECURRENT` take it as the argument `mask`."""
_SOURCES = ("Embedding", "Masking")
_MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
_PASSING = (
    *("Dense", "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Dropout", "SpatialDropout1D", "GaussianNoise"),
    *("GaussianDropout", "AlphaDropout", "BatchNormalization", "LayerNormalization", "ActivityRegularization"),
)


@frozen
class Source:
    """What a mask comes from.

    Args:
        layer: name in the graph.
        call: number of its call.
        is_known: whether the mask can be computed from what the layer takes.
    """

    layer: str
    call: int
    is_known: bool = True

    @property
    def name(self) -> str:
        """What sources are sorted by."""
        return f"{self.layer}/{self.call}"


@frozen(kw_only=False)
class _Mask:
    sources: frozenset[Source]
    is_same: bool = True


@dataclass
class Flow:
    """The masks of a graph's tensors, found when asked."""

    graph: Graph
    known: dict[tuple[str, int], _Mask | None] = field(default_factory=dict)

    def changed(self, call: Call) -> frozenset[Source] | None:
        """What masks a call's input where Keras 3 would mask it otherwise; None where the two agree."""
        masks = [self.of(ref) for ref in iter_refs(call.args)]
        different = [mask for mask in masks if mask and not mask.is_same]
        return different[0].sources if different else None

    def of(self, ref: TensorRef) -> _Mask | None:
        """The mask of a tensor."""
        place = (ref.layer, ref.call)
        if place not in self.known:
            self.known[place] = None  # a damaged graph may lead in a circle
            layer = self.graph.layer(ref.layer)
            self.known[place] = self.after(layer, ref.call) if ref.call < len(layer.calls) else None
        return self.known[place]

    def after(self, layer: Layer, number: int) -> _Mask | None:
        """The mask of what a call gives."""
        refs = list(iter_refs(layer.calls[number].args))
        if _makes_mask(layer):
            return _Mask(frozenset({Source(layer=layer.name, call=number)}))
        if layer.class_name == "TimeDistributed" and isinstance(inner := layer.config.get("layer"), dict):
            if _makes(inner.get("class_name"), inner.get("config") or {}):
                return _Mask(frozenset({Source(layer=layer.name, call=number, is_known=False)}), is_same=False)
            return self.of(refs[0]) if refs else None
        if layer.class_name in _MERGES or layer.class_name == "Concatenate":
            return self.merged(layer, number, [self.of(ref) for ref in refs])
        is_passing = layer.class_name in _PASSING or (layer.class_name in RECURRENT and _gives_series(layer))
        return self.of(refs[0]) if is_passing and refs else None

    def merged(self, layer: Layer, number: int, masks: list[_Mask | None]) -> _Mask | None:
        """The mask of a merge: of tf.keras all masks together, of Keras 3 only the same if all are one."""
        given = [mask for mask in masks if mask]
        if not given:
            return None
        sources = frozenset(source for mask in given for source in mask.sources)
        is_same = len(given) == len(masks) and all(mask.is_same and mask.sources == sources for mask in given)
        if layer.class_name == "Concatenate" and layer.config.get("axis", -1) == 1:  # along time: masks one after other
            sources = frozenset({Source(layer=layer.name, call=number, is_known=False)})
            is_same = all(mask.is_same for mask in given)
        return _Mask(sources, is_same)


def _makes_mask(layer: Layer) -> bool:
    return _makes(layer.class_name, layer.config)


def _makes(class_name: object, config: object) -> bool:
    is_embedding = class_name == "Embedding" and isinstance(config, dict) and bool(config.get("mask_zero"))
    return class_name == "Masking" or is_embedding


def _gives_series(layer: Layer) -> bool:
    """Whether a recurrent layer gives an output for each step, which then has the mask of its input."""
    inner = layer.config.get("layer")
    config = inner["config"] if isinstance(inner, dict) and is_layer(inner) else layer.config
    return bool(config.get("return_sequences"))
