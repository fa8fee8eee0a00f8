from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

from modelrecipe.formats import read_checkpoint
from modelrecipe.graph import Call, Graph, Layer, is_trainable, locate, update_graph, update_layers, walk
from modelrecipe.references import TensorRef, iter_refs, map_refs
from tests import zoo


def layer(name: str, *sources: str, key: str | None = None, **more: object) -> Layer:
    calls = tuple(Call(args=(TensorRef(layer=source),)) for source in sources)
    return Layer(name=name, class_name="Dense", calls=calls, key=key if key is not None else name, **more)


def model(*layers: Layer, output: str) -> Layer:
    graph = Graph(
        kind="functional",
        layers=layers,
        inputs=TensorRef(layer=layers[0].name),
        outputs=TensorRef(layer=output),
    )
    return Layer(name="model", class_name="Functional", module="keras", graph=graph)


@pytest.fixture
def nested() -> Layer:
    inner = model(layer("in"), layer("deep", "in", key="body/deep"), output="deep")
    body = replace(inner, name="body", key="body", calls=(Call(args=(TensorRef(layer="x"),)),))
    return model(layer("x"), body, layer("head", "body"), output="head")


def test_walk_lists_a_nested_model_before_what_stands_inside(nested: Layer):
    assert [item.path for item in walk(nested)] == ["x", "body", "body/in", "body/deep", "head"]


def test_walk_gives_the_models_around_a_layer_outermost_first(nested: Layer):
    assert [parent.name for parent in locate(nested, "body/deep").parents] == ["model", "body"]


def test_locate_raises_for_a_path_that_is_not_there(nested: Layer):
    with pytest.raises(KeyError):
        locate(nested, "body/shallow")


def test_update_layers_changes_the_named_layer_and_leaves_the_old_model_alone(nested: Layer):
    changed = update_layers(nested, {"body/deep": lambda item: replace(item, class_name="Conv2D")})
    assert locate(changed, "body/deep").layer.class_name == "Conv2D"
    assert locate(nested, "body/deep").layer.class_name == "Dense"
    assert locate(changed, "head").layer is locate(nested, "head").layer


def test_update_layers_without_changes_gives_the_same_object(nested: Layer):
    assert update_layers(nested, {}) is nested


def test_update_layers_changes_every_copy_of_a_shared_layer():
    inner = model(layer("in"), layer("shared", "in", key="shared"), output="shared")
    body = replace(inner, name="body", key="body", calls=(Call(args=(TensorRef(layer="shared"),)),))
    outer = model(layer("x"), layer("shared", "x"), body, output="body")
    changed = update_layers(outer, {"shared": lambda item: replace(item, class_name="Conv2D")})
    assert locate(changed, "body/shared").layer.class_name == "Conv2D"


def test_update_graph_reaches_a_nested_graph(nested: Layer):
    changed = update_graph(nested, "body", lambda graph: replace(graph, layers=graph.layers[:1]))
    assert [item.path for item in walk(changed)] == ["x", "body", "body/in", "head"]


def test_a_nested_models_flag_does_not_freeze_what_stands_inside(nested: Layer):
    frozen = update_layers(nested, {"body": lambda item: replace(item, config={"trainable": False})})
    assert locate(frozen, "body/deep").is_effectively_trainable
    assert not locate(frozen, "body").is_effectively_trainable


def test_the_flag_of_the_whole_model_freezes_everything(nested: Layer):
    frozen = replace(nested, config={"trainable": False})
    assert not locate(frozen, "body/deep").is_effectively_trainable
    assert is_trainable(locate(frozen, "body/deep").layer)


def test_a_sequential_model_loses_its_own_flag(nested: Layer):
    assert nested.graph is not None
    chain = replace(nested, config={"trainable": False}, graph=replace(nested.graph, kind="sequential"))
    assert locate(chain, "head").is_effectively_trainable


@pytest.mark.parametrize("name", zoo.tagged("frozen"))
def test_what_trains_is_what_keras_trains_after_loading(name: str, save):
    path = save(zoo.ZOO[name]())
    loaded = keras.saving.load_model(path, compile=False)
    assert read_checkpoint(path).trainable_parameters() == sum(
        int(np.prod(weight.shape)) for weight in loaded.trainable_weights
    )


def test_refs_are_numbered_as_keras_numbers_them_whatever_the_order_of_the_keys():
    ends = {"b": TensorRef(layer="second"), "a": [TensorRef(layer="first")]}
    assert [ref.layer for ref in iter_refs(ends)] == ["first", "second"]


def test_map_refs_keeps_the_structure():
    ends = {"a": [TensorRef(layer="x"), 3, (None,)]}
    assert map_refs(ends, lambda ref: ref.layer) == {"a": ["x", 3, (None,)]}


def test_consumers_and_outputs(nested: Layer):
    graph = nested.graph
    assert graph is not None
    assert [(item.name, number) for item, number in graph.consumers("body")] == [("head", 0)]
    assert graph.is_output("head")
    assert not graph.is_output("body")


def test_shapes_do_not_count_when_references_are_compared():
    assert TensorRef(layer="x", shape=(None, 3)) == TensorRef(layer="x")


@pytest.mark.parametrize(
    ("item", "name"),
    [
        (Layer(name="a", class_name="Dense"), "Dense"),
        (Layer(name="a", class_name="Add", module="keras.src.ops.numpy", registered_name="Add"), "ops.Add"),
        (Layer(name="a", class_name="Scale", module="mine", registered_name="zoo>Scale"), "zoo>Scale"),
    ],
)
def test_kind_name_is_how_a_recipe_names_the_class(item: Layer, name: str):
    assert item.kind_name == name
