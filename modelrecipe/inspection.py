"""What `inspect` tells about a model file, as values. Reads headers alone: no weights, no Keras."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelrecipe import formats
from modelrecipe.engine.totals import totals
from modelrecipe.errors import FileError
from modelrecipe.graph import Located, Shape, walk
from modelrecipe.obstacles import obstacles
from modelrecipe.propagate import TensorKey, graph_shapes
from modelrecipe.selector import dtype_of, select

if TYPE_CHECKING:
    from pathlib import Path

    from modelrecipe.checkpoint import Checkpoint, Mended
    from modelrecipe.outcome import Totals
    from modelrecipe.selector import Selector
    from modelrecipe.weights import Tensor


@dataclass(frozen=True, kw_only=True)
class WeightFacts:
    """One variable of a layer."""

    name: str
    shape: tuple[int, ...] | None
    dtype: str | None
    trainable: bool


@dataclass(frozen=True, kw_only=True)
class LayerFacts:
    """One layer.

    Args:
        index: position from 0, as a selector's `index` counts when no other key is given.
        path: names from the outermost model inwards.
        type: class as a recipe names it.
        outputs: shapes that its first call gives; None where only Keras can tell.
        parameters: of the layer, or of all layers inside; None where only Keras can tell.
        trainable: its flag with the flags of the models around it.
        is_frozen: whether it has weights that could train and do not.
        calls: how often it is called.
        first_path: of a layer that stands in several places, the path of the first; None at the first place.
        dtype: name of the dtype policy.
        weights: variables of the layer itself.
        config: constructor arguments as the file has them.
    """

    index: int
    path: str
    type: str
    outputs: tuple[Shape | None, ...]
    parameters: int | None
    trainable: bool
    is_frozen: bool
    calls: int
    first_path: str | None
    dtype: str | None
    weights: tuple[WeightFacts, ...]
    config: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """A model file.

    Args:
        file: as the user wrote it.
        format: `keras_zip` or `hdf5`.
        writer: what wrote it, where the file says so.
        size: bytes.
        name: the model's.
        type: the model's class.
        is_opaque: whether the file lists no layers, as for a subclassed model.
        is_compiled: whether loss and optimizer are stored.
        optimizer: its class, where it is stored.
        has_optimizer_state: whether the optimizer's variables are stored.
        totals: size and ends of the whole model.
        repairs: what was mended to read it, each with the layers that it mended.
        remarks: what else there is to know of the file.
        obstacles: what keeps Keras from building the model, or the file from being opened; each is one sentence.
        selector: what the layers were selected by; None for all.
        layers: all of them, or the selected ones.
    """

    file: str
    format: str
    writer: str | None
    size: int
    name: str
    type: str
    is_opaque: bool
    is_compiled: bool
    optimizer: str | None
    has_optimizer_state: bool
    totals: Totals
    repairs: tuple[Mended, ...]
    remarks: tuple[str, ...]
    obstacles: tuple[str, ...]
    selector: str | None
    layers: tuple[LayerFacts, ...]


def inspect_file(path: Path, selector: Selector | None = None) -> Inspection:
    """What a model file holds.

    Args:
        path: the file.
        selector: which layers to list; None for all.

    Raises:
        FileError: it is missing, damaged, unsafe, or no whole Keras model.
        SelectorError: the selector matches nothing.
    """
    checkpoint, refusals = _read(path)
    origin = checkpoint.origin
    compiled = (origin.compile_config or {}) if origin else {}
    model = checkpoint.model
    return Inspection(
        file=str(path),
        format=origin.format if origin else "",
        writer=origin.writer if origin else None,
        size=_size_of(path),
        name=model.name,
        type=model.kind_name,
        is_opaque=checkpoint.is_opaque,
        is_compiled=bool(compiled),
        optimizer=_optimizer(compiled),
        has_optimizer_state=bool(origin and origin.has_optimizer_state),
        totals=totals(checkpoint),
        repairs=origin.repairs if origin else (),
        remarks=origin.remarks if origin else (),
        obstacles=(*refusals, *map(str, obstacles(checkpoint))),
        selector=None if selector is None else str(selector),
        layers=tuple(layer_facts(checkpoint, None if selector is None else select(checkpoint, selector))),
    )


def _size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a directory."""
    files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
    return sum(file.stat().st_size for file in files)


def _read(path: Path) -> tuple[Checkpoint, tuple[str, ...]]:
    """The document; where no repair makes one of the file, the file as it stands, and what is against it."""
    try:
        return formats.read_checkpoint(path), ()
    except FileError as error:
        try:
            return formats.read_checkpoint(path, mends=False), (str(error),)
        except FileError:
            raise error from None


def layer_facts(checkpoint: Checkpoint, chosen: Sequence[Located] | None = None) -> Iterator[LayerFacts]:
    """The facts of all layers, or of the chosen ones, in the order of the model."""
    shapes: dict[int, Mapping[TensorKey, Shape | None]] = {}
    first: dict[str, str] = {}
    paths = None if chosen is None else {located.path for located in chosen}
    for index, located in enumerate(checkpoint.layers()):
        first_path = first.setdefault(located.layer.key, located.path)
        if paths is not None and located.path not in paths:
            continue
        graph = located.parents[-1].graph if located.parents else None
        if graph is not None and id(graph) not in shapes:
            shapes[id(graph)] = graph_shapes(graph)
        outputs = () if graph is None else _outputs(located, shapes[id(graph)])
        yield _facts(checkpoint, located, index, outputs, first_path if first_path != located.path else None)


def _outputs(located: Located, shapes: Mapping[TensorKey, Shape | None]) -> tuple[Shape | None, ...]:
    """Shapes of the outputs of the first call, as many as are known to be."""
    found: list[Shape | None] = []
    while (located.layer.name, 0, len(found)) in shapes:
        found.append(shapes[(located.layer.name, 0, len(found))])
    return tuple(found) or (None,)


def _facts(
    checkpoint: Checkpoint, located: Located, index: int, outputs: tuple[Shape | None, ...], first_path: str | None
) -> LayerFacts:
    layer = located.layer
    tensors = _distinct(checkpoint, located)
    sizes = [tensor.size for tensor in tensors if not tensor.is_random_state]
    return LayerFacts(
        index=index,
        path=located.path,
        type=layer.kind_name,
        outputs=outputs,
        parameters=None if None in sizes else sum(size or 0 for size in sizes),
        trainable=located.is_effectively_trainable,
        is_frozen=not located.is_effectively_trainable and any(tensor.is_trainable for tensor in tensors),
        calls=len(layer.calls),
        first_path=first_path,
        dtype=dtype_of(layer.config),
        weights=tuple(
            WeightFacts(name=item.name, shape=item.shape, dtype=item.dtype, trainable=item.is_trainable)
            for item in (tensors if layer.graph is None else ())
        ),
        config=layer.config,
    )


def _distinct(checkpoint: Checkpoint, located: Located) -> list[Tensor]:
    """The tensors of a layer and of all inside it; what stands inside twice counts once."""
    if located.layer.graph is None:
        return list(checkpoint.weights.of(located.layer.key))
    keys = dict.fromkeys(inner.layer.key for inner in walk(located.layer) if inner.layer.graph is None)
    return [tensor for key in keys for tensor in checkpoint.weights.of(key)]


def _optimizer(compiled: Mapping[str, Any]) -> str | None:
    """The optimizer's class: Keras 3 keeps it under `optimizer`, old files under `optimizer_config`."""
    for key in ("optimizer", "optimizer_config"):
        stored = compiled.get(key)
        if isinstance(stored, str):
            return stored
        if isinstance(stored, Mapping) and isinstance(stored.get("class_name"), str):
            return stored["class_name"]
    return None
