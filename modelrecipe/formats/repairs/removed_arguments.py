"""Arguments that a layer's class no longer takes, with values that changed nothing."""

from __future__ import annotations

from modelrecipe.formats.repairs.repair import Json, Repair, Writer, with_config

_ANY = object()
_GONE: dict[str, dict[str, object]] = {
    "DepthwiseConv2D": {"groups": 1, "filters": None},
    "Conv2DTranspose": {"groups": 1},
}


def _mend(data: Json, writer: Writer) -> Json:
    del writer
    config, gone = data["config"], _GONE.get(data["class_name"], {})
    if not isinstance(config, dict):
        return data
    drop = [key for key, neutral in gone.items() if key in config and (neutral is _ANY or config[key] == neutral)]
    return with_config(data, drop=drop)


REPAIR = Repair(
    name="removed-arguments",
    cause="a layer names arguments that its class has no longer, at values that mean nothing",
    versions="tf.keras 2.3 to 2.15",
    cure="they are dropped; at any other value the file is refused",
    layer=_mend,
)
