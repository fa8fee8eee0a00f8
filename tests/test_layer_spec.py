"""Layers as recipes write them."""

from __future__ import annotations

from typing import Any

import pytest

from modelrecipe import fields
from modelrecipe.errors import EditError, UnknownKeyError
from modelrecipe.layer_spec import LayerSpec
from tests.hand_made import layer

POOL = layer("pool", "MaxPooling2D", "x", pool_size=[3, 3], strides=[2, 2], padding="same", data_format="channels_last")


def spec(data: Any) -> LayerSpec:
    return fields.read(LayerSpec, data)


def made(data: Any, **options: Any) -> dict[str, Any]:
    """The configuration of the new layer."""
    return dict(spec(data).make(name="new", key="+new", **options).config)


def test_a_class_stands_for_a_spec():
    assert spec("ReLU") == LayerSpec(class_="ReLU") == spec({"class": "ReLU"})


def test_a_layer_is_made_under_its_name_and_key():
    new = spec({"class": "Dense", "config": {"units": 5}}).make(name="head", key="+head")
    assert (new.name, new.key, new.class_name, new.module, new.registered_name) == (
        "head",
        "+head",
        "Dense",
        "keras.layers",
        None,
    )
    assert new.config == {"units": 5, "name": "head"}
    assert new.is_new


def test_a_further_name_of_a_class_is_written_as_files_do():
    assert spec("MaxPool2D").make(name="p", key="+p").class_name == "MaxPooling2D"


def test_an_operation_is_made():
    new = spec("ops.Add").make(name="sum", key="+sum")
    assert (new.class_name, new.module, new.is_operation, new.kind_name) == (
        "Add",
        "keras.src.ops.numpy",
        True,
        "ops.Add",
    )


def test_a_registered_class_is_made_with_any_arguments():
    new = spec({"class": "mine>Swish", "config": {"beta": 1}}).make(name="s", key="+s")
    assert (new.class_name, new.registered_name, new.config) == ("Swish", "mine>Swish", {"beta": 1, "name": "s"})


def test_objects_in_arguments_are_written_as_keras_does():
    config = {
        "units": 5,
        "kernel_initializer": {"class": "HeNormal", "config": {"seed": 1}},
        "kernel_constraint": {"class_name": "MaxNorm", "config": {"max_value": 2}},
    }
    assert made({"class": "Dense", "config": config}) == {
        "units": 5,
        "kernel_initializer": {"class_name": "HeNormal", "config": {"seed": 1}},
        "kernel_constraint": {"class_name": "MaxNorm", "config": {"max_value": 2}},
        "name": "new",
    }


def test_a_layer_in_an_argument_is_written_as_keras_does():
    inner = {"class": "Dense", "config": {"units": 5}}
    assert made({"class": "TimeDistributed", "config": {"layer": inner}})["layer"] == {
        "class_name": "Dense",
        "config": {"units": 5},
        "module": "keras.layers",
        "registered_name": None,
    }


# Inheriting


def test_all_arguments_that_fit_are_inherited():
    assert made("AveragePooling2D", old=POOL, inherit="config") == {
        "pool_size": [3, 3],
        "strides": [2, 2],
        "padding": "same",
        "data_format": "channels_last",
        "name": "new",
    }


def test_named_arguments_are_inherited_and_written_ones_win():
    data = {"class": "AveragePooling2D", "config": {"pool_size": 2, "strides": 1}, "inherit": ["strides", "padding"]}
    assert made(data, old=POOL) == {"pool_size": 2, "strides": 1, "padding": "same", "name": "new"}


def test_what_a_class_does_not_take_is_left_behind():
    assert made("ReLU", old=POOL, inherit="config") == {"name": "new"}


def test_name_flag_and_built_shapes_are_not_inherited():
    old = layer("old", "Dense", "x", units=5, trainable=False, build_config={})
    assert made("Dense", old=old, inherit="config") == {"units": 5, "name": "new"}


def test_the_dtype_policy_stays_unless_another_is_written():
    old = layer("old", "ReLU", "x", dtype="float16")
    assert made("ELU", old=old) == {"dtype": "float16", "name": "new"}
    assert made({"class": "ELU", "config": {"dtype": "float32"}}, old=old) == {"dtype": "float32", "name": "new"}
    assert made("ops.Relu", old=old) == {"name": "new"}


def test_the_float_policy_behind_a_quantised_one_stays():
    policy = {"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8", "source_name": "float32"}}
    assert made("ELU", old=layer("old", "Dense", "x", dtype=policy))["dtype"] == "float32"


@pytest.mark.parametrize(
    ("inherit", "text"),
    [
        (["stride"], "'pool' has no argument 'stride' to inherit; did you mean 'strides'?"),
        (["pool_size"], "ReLU takes no argument 'pool_size'"),
    ],
)
def test_what_cannot_be_inherited_is_refused(inherit: list[str], text: str):
    with pytest.raises(EditError) as caught:
        made({"class": "ReLU", "inherit": inherit}, old=POOL)
    assert (str(caught.value), caught.value.at) == (text, ("inherit",))


def test_an_argument_that_is_still_missing_is_refused():
    with pytest.raises(EditError) as caught:
        made("Dense", old=POOL, inherit="config")
    assert str(caught.value) == "Dense needs the argument 'units'; add 'units' to its config"


# Problems


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("Dens", [("unknown layer class 'Dens'; did you mean 'Dense'?", ("class",))]),
        (
            "Frobnicate",
            [
                (
                    "unknown layer class 'Frobnicate'; "
                    "a registered class is written package>Layer, an operation ops.Name",
                    ("class",),
                )
            ],
        ),
        (">Dense", [("unknown layer class '>Dense'; did you mean 'Dense'?", ("class",))]),
        ("mine>Anything", []),
        ({"class": "Dense"}, []),
        (
            {"class": "Dense", "config": {"unit": 1, "use_bias": 3}},
            [
                ("unknown argument 'unit' of Dense; did you mean 'units'?", ("config", "unit")),
                ("argument 'use_bias' of Dense must be true or false, not 3", ("config", "use_bias")),
            ],
        ),
        (
            {"class": "Dense", "config": {"name": "head"}},
            [
                (
                    "the name of a layer stands beside its config; write {class: Dense, name: head, ...}",
                    ("config", "name"),
                )
            ],
        ),
        (
            {"class": "TimeDistributed", "config": {"layer": {"class": "Dense", "config": {"unit": 1}}}},
            [("unknown argument 'unit' of Dense; did you mean 'units'?", ("config", "layer", "config", "unit"))],
        ),
    ],
)
def test_problems(data: Any, told: list[tuple[str, tuple[str, ...]]]):
    assert [(str(problem), problem.at) for problem in spec(data).problems()] == told


def test_an_unknown_argument_is_about_its_key():
    (problem,) = spec({"class": "Dense", "config": {"unit": 1}}).problems()
    assert isinstance(problem, UnknownKeyError)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("Dense", ["Dense needs the argument 'units'; add 'units' to its config"]),
        ("ReLU", []),
        ("mine>Dense", []),
        ({"class": "Dense", "inherit": "config"}, []),
        ({"class": "Dense", "config": {"unit": 5}}, []),
        (
            {"class": "Conv2D", "config": {"filtres": 5}},
            ["Conv2D needs the argument 'kernel_size'; add 'kernel_size' to its config"],
        ),
    ],
)
def test_missing_arguments(data: Any, told: list[str]):
    assert [str(problem) for problem in spec(data).missing()] == told
