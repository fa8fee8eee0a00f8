"""Functional models name the module that their class had in Keras 2, where Keras 3 finds none."""

from __future__ import annotations

from modelrecipe.formats.repair import Json, Repair, Writer

_OLD = "engine.functional"
_MODULE = "keras.src.models.functional"


def _mend(data: Json, writer: Writer) -> Json:
    del writer
    module = data.get("module")
    if data["class_name"] != "Functional" or not isinstance(module, str) or not module.endswith(_OLD):
        return data
    return {**data, "module": _MODULE, "registered_name": "Functional"}


REPAIR = Repair(
    name="model-modules",
    cause="a functional model names the module that its class had in Keras 2 (`keras.src.engine.functional`)",
    versions="`.keras` files of Keras 2.12 to 2.15 and tf_keras",
    cure="it names that of Keras 3",
    layer=_mend,
)
