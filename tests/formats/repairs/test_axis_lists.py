"""BatchNormalization with its axis in a list, as `.keras` files of Keras 2 have it."""

from __future__ import annotations

from typing import Any

from modelrecipe.formats.repair import Writer, map_layers
from modelrecipe.formats.repairs import axis_lists


def norm(axis: Any, module: str | None = "keras.layers") -> dict[str, Any]:
    place = {"module": module} if module else {}
    return {**place, "class_name": "BatchNormalization", "config": {"name": "norm", "axis": axis}}


def inside(layer: dict[str, Any]) -> dict[str, Any]:
    wrapper = {"module": "keras.layers", "class_name": "TimeDistributed", "config": {"name": "each", "layer": layer}}
    return {"module": "keras", "class_name": "Sequential", "config": {"name": "m", "layers": [wrapper]}}


def mended(data: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    mend = axis_lists.REPAIR.layer
    assert mend is not None
    return map_layers(data, lambda layer: mend(layer, Writer()))


def test_list_of_one_axis_gives_way_to_the_number() -> None:
    assert mended(norm([1])) == (norm(1), [""])


def test_layer_in_a_wrapper_is_mended() -> None:
    assert mended(inside(norm([-1]))) == (inside(norm(-1)), ["each/norm"])


def test_numbers_and_lists_of_several_stay() -> None:
    for data in (norm(1), norm([1, 2]), inside(norm(-1))):
        found, places = mended(data)
        assert found is data
        assert places == []


def test_hdf5_files_need_no_repair() -> None:
    data = norm([1], module=None)
    assert mended(data) == (data, [])
