"""Layers behind an InputLayer that carry a shape of their own, as `.keras` files of Keras 2 have them."""

from __future__ import annotations

from typing import Any

from modelrecipe.formats.repair import Writer, map_layers
from modelrecipe.formats.repairs import inner_shapes


def layer(class_name: str, module: str | None = "keras.layers", **config: Any) -> dict[str, Any]:
    place = {"module": module} if module else {}
    return {**place, "class_name": class_name, "config": {"name": "x", **config}}


def mended(data: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    mend = inner_shapes.REPAIR.layer
    assert mend is not None
    return map_layers(data, lambda item: mend(item, Writer()))


def test_shape_of_a_layer_that_is_no_input_is_dropped() -> None:
    data = layer("Embedding", batch_input_shape=[None, None], input_dim=5)
    assert mended(data) == (layer("Embedding", input_dim=5), [""])


def test_layer_in_a_wrapper_is_mended() -> None:
    data = layer("TimeDistributed", layer=layer("Dense", batch_input_shape=[None, 3], units=2))
    assert mended(data) == (layer("TimeDistributed", layer=layer("Dense", units=2)), ["x"])


def test_inputs_and_hdf5_files_need_no_repair() -> None:
    for data in (
        layer("InputLayer", batch_input_shape=[None, 3]),
        layer("Dense", module=None, batch_input_shape=[None, 3]),
        layer("Dense", units=2),
    ):
        found, places = mended(data)
        assert found is data
        assert places == []
