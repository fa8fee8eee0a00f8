"""Keras before 2.2.3 wrote the configuration of a Sequential model as a bare list of layers."""

from __future__ import annotations

from modelrecipe.formats.repair import Json, Repair, Writer


def _mend(data: Json, writer: Writer) -> Json:
    del writer
    if data["class_name"] != "Sequential" or not isinstance(data["config"], list):
        return data
    layers = data["config"]
    # Keras 1 wrote the arguments of a merge, and nested models, one level higher.
    name = data.get("name") or "sequential"
    return {**data, "config": {"name": name, "layers": layers}}


REPAIR = Repair(
    name="sequential-list",
    cause="the configuration of a Sequential model is a bare list of layers",
    versions="Keras 1.0 to 2.2.2",
    cure="the list becomes the `layers` of a configuration",
    layer=_mend,
)
