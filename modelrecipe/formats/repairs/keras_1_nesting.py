"""Keras 1 and early 2 wrote a Sequential model inside a Sequential one without a name."""

from __future__ import annotations

from typing import Any

from modelrecipe.formats.repair import Json, Repair, Writer, with_config


def _mend(data: Json, writer: Writer) -> Json:
    """A Sequential model, whose nameless inner ones get names that nobody has; a merge in front holds some too."""
    del writer
    config = data["config"]
    layers = config if isinstance(config, list) else config.get("layers")
    if data["class_name"] not in ("Sequential", "Merge") or not isinstance(layers, list):
        return data
    named = _named(layers)
    if named is layers:
        return data
    return {**data, "config": named} if isinstance(config, list) else with_config(data, layers=named)


def _named(layers: list[Any]) -> list[Any]:
    taken = {layer["config"].get("name") for layer in layers if isinstance(layer["config"], dict)}
    taken |= {layer.get("name") for layer in layers}
    if not any(_is_nameless(layer) for layer in layers):
        return layers
    found: list[Any] = []
    for layer in layers:
        if not _is_nameless(layer):
            found.append(layer)
            continue
        number = 1
        while f"sequential_{number}" in taken:
            number += 1
        taken.add(f"sequential_{number}")
        found.append({**layer, "name": f"sequential_{number}"})
    return found


def _is_nameless(layer: Json) -> bool:
    return layer["class_name"] == "Sequential" and isinstance(layer["config"], list) and not layer.get("name")


REPAIR = Repair(
    name="sequential-inner-names",
    cause="a Sequential model inside another one has no name",
    versions="Keras 1.0 to 2.2.2",
    cure="it is called `sequential_1`, `sequential_2`, ...; its weights are found by its place",
    layer=_mend,
)
