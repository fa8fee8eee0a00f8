"""tf.keras allowed `/` in the names of layers; Keras 3 does not, because it separates names in paths."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe.formats.repair import Json, Repair, Writer, map_inside, with_config
from modelrecipe.keras_config import read_model, write_model
from modelrecipe.references import TensorRef, map_refs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.graph import Graph, Layer


def _mend(checkpoint: Checkpoint, writer: Writer) -> tuple[Checkpoint, Sequence[str]]:
    del writer
    mended: list[str] = []
    model = _renamed(checkpoint.model, "", mended)
    if "/" in model.name:
        model = replace(model, name=model.name.replace("/", "_"))
        mended.append("")
    return (replace(checkpoint, model=model), mended) if mended else (checkpoint, ())


def _renamed(model: Layer, path: str, mended: list[str]) -> Layer:
    """The same model without `/` in the names of its layers, at any depth; weights hang on keys, which stay."""
    if model.graph is None:
        config, places = map_inside(dict(model.config), _without_slashes, path.removesuffix("/"))
        mended += places
        return replace(model, config=config) if places else model
    layers = [_renamed(layer, f"{path}{layer.name}/", mended) for layer in model.graph.layers]
    names = _free_names([layer.name for layer in layers])
    if not names:
        return model if layers == list(model.graph.layers) else _with_layers(model, layers)
    mended += [path + name for name in names]

    def at_new_name(ref: TensorRef) -> TensorRef:
        return replace(ref, layer=names.get(ref.layer, ref.layer))

    layers = [
        replace(
            layer,
            name=names.get(layer.name, layer.name),
            calls=tuple(call.map(at_new_name) for call in layer.calls),
        )
        for layer in layers
    ]
    graph = replace(
        model.graph,
        layers=tuple(layers),
        inputs=map_refs(model.graph.inputs, at_new_name),
        outputs=map_refs(model.graph.outputs, at_new_name),
    )
    return replace(model, graph=graph)


def _without_slashes(data: Json) -> Json:
    """A layer in the configuration of another one without `/` in its name and, for a model, in those inside it."""
    is_model = isinstance(data["config"], dict) and isinstance(data["config"].get("layers"), list)
    model = read_model(data) if is_model else None
    plain = _renamed(model, "", []) if model is not None else None
    if plain is not None and plain is not model:
        return _without_slashes({**data, "config": write_model(plain)["config"]})
    found = {key: data[key].replace("/", "_") for key in ("name",) if isinstance(data.get(key), str)}
    own = data["config"].get("name") if isinstance(data["config"], dict) else None
    if isinstance(own, str) and "/" in own:
        return with_config({**data, **found}, name=own.replace("/", "_"))
    return data


def _with_layers(model: Layer, layers: Sequence[Layer]) -> Layer:
    graph: Graph | None = model.graph
    return model if graph is None else replace(model, graph=replace(graph, layers=tuple(layers)))


def _free_names(names: Sequence[str]) -> dict[str, str]:
    """A new name for each that holds `/`, of those that nobody has."""
    taken = {name for name in names if "/" not in name}
    found: dict[str, str] = {}
    for name in names:
        if "/" in name:
            wanted = new = name.replace("/", "_")
            number = 1
            while new in taken:
                new, number = f"{wanted}_{number}", number + 1
            taken.add(new)
            found[name] = new
    return found


REPAIR = Repair(
    name="slash-names",
    cause="names of layers hold `/`, which Keras 3 refuses",
    versions="tf.keras 1.13 to 2.15",
    cure="`/` becomes `_`; the weights keep their layers",
    document=_mend,
)
