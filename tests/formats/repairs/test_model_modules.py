"""Functional models under the module that their class had in Keras 2."""

from __future__ import annotations

from typing import Any

import pytest

from modelrecipe.formats.repair import Writer, map_layers
from modelrecipe.formats.repairs import model_modules

NEW = "keras.src.models.functional"


def model(module: str | None, layers: list[dict[str, Any]], class_name: str = "Functional") -> dict[str, Any]:
    data = {"module": module, "class_name": class_name, "config": {"name": "m", "layers": layers}}
    return {**data, "registered_name": class_name}


def mended(data: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    mend = model_modules.REPAIR.layer
    assert mend is not None
    return map_layers(data, lambda item: mend(item, Writer()))


@pytest.mark.parametrize("module", ["keras.src.engine.functional", "keras.engine.functional"])
def test_module_of_keras_2_gives_way_at_any_depth(module: str) -> None:
    inner = model(module, [])
    assert mended(model("keras", [inner], "Sequential")) == (model("keras", [model(NEW, [])], "Sequential"), ["m"])
    assert mended(model(module, [inner])) == (model(NEW, [model(NEW, [])]), ["", "m"])


@pytest.mark.parametrize("module", [NEW, None, "my.package"])
def test_other_modules_stay(module: str | None) -> None:
    data = model(module, [])
    found, places = mended(data)
    assert found is data
    assert places == []


def test_other_classes_stay() -> None:
    data = model("keras.src.engine.functional", [], "MyModel")
    assert mended(data)[0] is data
