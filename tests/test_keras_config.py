from __future__ import annotations

import json
import zipfile

import pytest

from modelrecipe.errors import FileError
from modelrecipe.graph import walk
from modelrecipe.keras_config import read_model, write_model
from modelrecipe.references import iter_refs
from tests import zoo


@pytest.mark.parametrize("name", zoo.FUNCTIONAL)
def test_reading_and_writing_loses_nothing(name: str, save):
    if name in zoo.KERAS_CANNOT_RELOAD:
        pytest.skip(zoo.KERAS_CANNOT_RELOAD[name])
    with zipfile.ZipFile(save(zoo.ZOO[name]())) as archive:
        config = json.loads(archive.read("config.json"))
    assert write_model(read_model(config)) == config


def functional(outputs: list, *calls: list) -> dict:
    """A nested model that is called once for each of `calls`."""
    inner = {
        "name": "inner",
        "layers": [{"class_name": "InputLayer", "config": {"name": "i"}, "name": "i", "inbound_nodes": []}],
        "input_layers": ["i", 0, 0],
        "output_layers": ["i", 0, 0],
    }
    layers = [
        {"class_name": "InputLayer", "config": {"name": "x"}, "name": "x", "inbound_nodes": []},
        {"class_name": "Functional", "config": inner, "name": "inner", "inbound_nodes": [[item] for item in calls]},
    ]
    config = {"name": "outer", "layers": layers, "input_layers": [["x", 0, 0]], "output_layers": outputs}
    return {"class_name": "Functional", "config": config}


@pytest.mark.parametrize(
    ("first_of_calls", "first_of_outputs"), [(0, 1), (1, 1), (0, 0)], ids=["Keras 3", "Keras 2", "from 0"]
)
def test_calls_of_a_nested_model_are_numbered_by_rank(first_of_calls: int, first_of_outputs: int):
    config = functional(
        [["inner", first_of_outputs, 0], ["inner", first_of_outputs + 1, 0]],
        ["x", 0, 0, {}],
        ["inner", first_of_calls, 0, {}],
    )
    model = read_model(config)
    assert model.graph is not None
    assert [ref.call for ref in iter_refs(model.graph.outputs)] == [0, 1]
    assert [call.refs()[0].key for call in model.graph.layer("inner").calls] == [("x", 0, 0), ("inner", 0, 0)]


def test_both_places_of_a_shared_layer_have_one_key(save):
    with zipfile.ZipFile(save(zoo.ZOO["layer_inside_and_outside"]())) as archive:
        model = read_model(json.loads(archive.read("config.json")))
    keys = [item.layer.key for item in walk(model) if item.layer.class_name == "Dense"]
    assert len(keys) > len(set(keys))


def test_a_model_that_lists_no_layers_is_opaque():
    model = read_model({"module": "mine", "class_name": "Mine", "registered_name": "a>Mine", "config": {"units": 3}})
    assert model.graph is None
    assert model.config == {"units": 3}


@pytest.mark.parametrize("config", [{}, {"class_name": "Functional"}, {"class_name": "X", "config": 3}, []])
def test_what_keras_does_not_write_is_refused(config: object):
    with pytest.raises(FileError, match=r"^the model's configuration is not one that Keras writes \("):
        read_model(config)  # type: ignore[arg-type]
