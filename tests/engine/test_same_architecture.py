from __future__ import annotations

from dataclasses import replace

import pytest

from modelrecipe.engine.same_architecture import differences
from modelrecipe.formats import read_checkpoint
from modelrecipe.graph import Layer, update_graph, update_layers
from modelrecipe.references import iter_refs, map_refs
from tests import zoo


@pytest.mark.parametrize("name", ["residual", "nested_three_deep", "dict_in_dict_out", "masked_lstm", "sequential"])
def test_a_document_does_not_differ_from_itself(name: str, save):
    checkpoint = read_checkpoint(save(zoo.ZOO[name]()))
    assert list(differences(checkpoint, checkpoint)) == []


def edited(layer: Layer, **config: object) -> Layer:
    return replace(layer, config={**layer.config, **config})


@pytest.fixture
def checkpoint(save):
    import keras

    given = keras.Input((4,), name="x")
    left, right = keras.layers.Dense(3, name="left")(given), keras.layers.Dense(3, name="right")(given)
    out = keras.layers.Subtract(name="gap")([left, right])
    return read_checkpoint(save(keras.Model(given, [out, left])))


def test_another_argument_is_found(checkpoint):
    model = update_layers(checkpoint.model, {"left": lambda layer: edited(layer, activation="relu")})
    assert list(differences(checkpoint, replace(checkpoint, model=model))) == ["'left' has another 'activation'"]


def test_another_class_is_found(checkpoint):
    model = update_layers(checkpoint.model, {"gap": lambda layer: replace(layer, class_name="Add")})
    assert list(differences(checkpoint, replace(checkpoint, model=model))) == ["'gap' is a Add instead of a Subtract"]


def test_exchanged_tensors_are_found(checkpoint):
    swap = {"left": "right", "right": "left"}

    def crossed(layer: Layer) -> Layer:
        return replace(
            layer, calls=tuple(call.map(lambda ref: replace(ref, layer=swap[ref.layer])) for call in layer.calls)
        )

    model = update_layers(checkpoint.model, {"gap": crossed})
    assert list(differences(checkpoint, replace(checkpoint, model=model))) == ["'gap' is called with other tensors"]


def test_exchanged_outputs_are_found(checkpoint):
    def turned(graph):
        return replace(graph, outputs=list(reversed(graph.outputs)))

    model = update_graph(checkpoint.model, "", turned)
    assert list(differences(checkpoint, replace(checkpoint, model=model))) == ["the model has other outputs"]


def test_a_layer_that_is_not_there_is_found(checkpoint):
    def without(graph):
        layers = tuple(layer for layer in graph.layers if layer.name != "right")
        outputs = map_refs(graph.outputs, lambda ref: replace(ref, layer="left"))
        assert next(iter_refs(outputs)).layer == "left"
        return replace(graph, layers=layers)

    model = update_graph(checkpoint.model, "", without)
    assert list(differences(checkpoint, replace(checkpoint, model=model))) == ["'right' is not in the file"]


def test_what_keras_fills_in_is_no_difference(checkpoint):
    model = update_layers(checkpoint.model, {"left": lambda layer: edited(layer, quantization_config=None, newer=3)})
    assert list(differences(checkpoint, replace(checkpoint, model=model))) == []
