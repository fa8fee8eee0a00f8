"""`Checkpoint`: a model as a document, that is its graph, its weights, and where both came from."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from modelrecipe.frozen import frozen
from modelrecipe.graph import Layer, Located, walk
from modelrecipe.keras_config import iter_configs
from modelrecipe.weights import Tensor, Weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_FEW = 3


@frozen
class Mended:
    """One repair that a file needed (`formats.repairs`).

    Args:
        repair: its name.
        layers: paths of the layers that it mended, as they were called; "" for the outermost model.
    """

    repair: str
    layers: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As `removed-arguments (13 layers)`, with the names of few layers."""
        named = [layer for layer in self.layers if layer]
        if not named:
            return self.repair
        return f"{self.repair} ({', '.join(named) if len(named) <= _FEW else f'{len(named)} layers'})"


@frozen
class Origin:
    """The file a checkpoint was read from.

    Args:
        path: the file.
        format: name of the format room that read it: `keras_zip`, `hdf5`.
        writer: what wrote it, as `Keras 3.15.1`.
        compile_config: loss, metrics and optimizer as stored; None for a model that was not compiled.
        has_optimizer_state: whether the optimizer's variables are stored.
        assets: names of further members that belong to layers (vocabularies), as `layers/text_vectorization/...`.
        asset_layers: those that each layer key owns: member name to the path below the layer's own folder.
        repairs: what was mended, in order; the document is then no longer what the file says, word by word.
        remarks: what a reader should know of the file beside that, in words.
    """

    path: Path
    format: str
    writer: str | None = None
    compile_config: Mapping[str, Any] | None = None
    has_optimizer_state: bool = False
    assets: tuple[str, ...] = ()
    asset_layers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    repairs: tuple[Mended, ...] = ()
    remarks: tuple[str, ...] = ()


@frozen
class Checkpoint:
    """A model as a document. A step takes one and gives back the edited one.

    Args:
        model: the outermost model; its `graph` is None for a subclassed model, which is one opaque node.
        weights: lazy tensors under the key of each layer.
        origin: the file; None for a model that was never on disk.
        is_restructured: whether an edit changed wiring or classes since the origin was read, so that Keras has to
            build the graph before it can be written.
        inner: for an opaque model, the layers that its weight file shows: path to the keys under which their tensors
            stand.
    """

    model: Layer
    weights: Weights
    origin: Origin | None = None
    is_restructured: bool = False
    inner: tuple[Located, ...] = ()

    @classmethod
    def nothing(cls) -> Checkpoint:
        """What the first `load` is given."""
        return cls(model=Layer(name="", class_name=""), weights=Weights())

    @property
    def is_opaque(self) -> bool:
        """Whether the file lists no layers, so that only weights and the model's own flag can be edited."""
        return self.model.graph is None

    def layers(self) -> Iterable[Located]:
        """Every layer with its path, nested ones after the model that holds them."""
        return self.inner if self.is_opaque else walk(self.model)

    def tensors(self, located: Located) -> tuple[Tensor, ...]:
        """The tensors of one layer; for a nested model, those of all layers inside."""
        if located.layer.graph is None:
            return self.weights.of(located.layer.key)
        return tuple(tensor for inner in walk(located.layer) for tensor in self.weights.of(inner.layer.key))

    def parameters(self) -> int | None:
        """How many numbers all layers hold; None when only Keras can tell. A shared layer counts once."""
        if self.is_opaque:
            return self.weights.total()
        keys = {located.layer.key for located in self.layers()}
        return self.weights.total(sorted(keys & set(self.weights)))

    def trainable_parameters(self) -> int | None:
        """How many of them training would change: of layers that are not frozen, without statistics."""
        counted: dict[str, tuple[Tensor, ...]] = {}
        for located in self.layers():
            if located.layer.graph is None and located.is_effectively_trainable:
                tensors = [tensor for tensor in self.weights.of(located.layer.key) if tensor.is_trainable]
                own = [tensor for tensor in tensors if tensor.slot.startswith("vars/")]
                is_frozen_inside = len(own) < len(tensors) and _holds_frozen_layers(located.layer)
                counted[located.layer.key] = tuple(own if is_frozen_inside else tensors)
        return Weights(counted).total()


def _holds_frozen_layers(layer: Layer) -> bool:
    """Whether the layers that its configuration holds, as a wrapper's does, are all frozen by their own flags."""
    held = [inner["config"] for inner in iter_configs(dict(layer.config)) if "trainable" in inner["config"]]
    return bool(held) and not any(config["trainable"] for config in held)
