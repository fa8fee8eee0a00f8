"""Which layers a layer's output reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from modelrecipe.flow import Flow
from tests.hand_made import inside, layer

if TYPE_CHECKING:
    from modelrecipe.graph import Layer

X = layer("x", "InputLayer")


def reached(model: Layer, path: str) -> tuple[str, str]:
    flow = Flow.of(model)
    return " ".join(sorted(flow.upstream(path))), " ".join(sorted(flow.downstream(path)))


def test_a_chain():
    model = inside("", "Functional", [X, layer("a", "Dense", "x"), layer("b", "Dense", "a")], "b")
    assert reached(model, "x") == ("", "a b")
    assert reached(model, "a") == ("x", "b")
    assert reached(model, "b") == ("a x", "")


def test_branches_that_join_again():
    layers = [
        X,
        layer("a", "Dense", "x"),
        layer("b", "Dense", "x"),
        layer("sum", "Add", "a b"),
        layer("c", "ReLU", "b"),
    ]
    model = inside("", "Functional", layers, "sum c")
    assert reached(model, "a") == ("x", "sum")
    assert reached(model, "b") == ("x", "c sum")
    assert reached(model, "sum") == ("a b x", "")


def test_a_layer_does_not_reach_itself():
    model = inside("", "Functional", [X, layer("a", "Dense", "x")], "a")
    assert "a" not in Flow.of(model).downstream("a") | Flow.of(model).upstream("a")


def test_a_shared_layer_counts_as_one():
    layers = [
        X,
        layer("y", "InputLayer"),
        layer("s", "Dense", "x", "y"),
        layer("a", "ReLU", "s"),
        layer("b", "ReLU", "s:1"),
    ]
    model = inside("", "Functional", layers, "a b")
    assert reached(model, "x") == ("", "a b s")
    assert reached(model, "b") == ("s x y", "")


def test_a_layer_shared_in_a_row_ends():
    layers = [X, layer("s", "Dense", "x", "b"), layer("b", "ReLU", "s")]
    model = inside("", "Functional", layers, "s:1")
    assert reached(model, "b") == ("b s x", "b s")


NESTED = inside(
    "",
    "Functional",
    [
        X,
        inside(
            "body",
            "Functional",
            [layer("x", "InputLayer"), layer("a", "Dense", "x"), layer("aside", "Dense", "x")],
            "a",
            "x",
            "middle",
        ),
        layer("middle", "ReLU", "body"),
        layer("head", "Dense", "body:1"),
    ],
    "head",
)


def test_data_pass_through_a_nested_model():
    assert reached(NESTED, "head") == ("body body/a body/x middle x", "")
    assert "head" in Flow.of(NESTED).downstream("body/a")


def test_what_leads_to_no_output_of_a_nested_model_reaches_nothing():
    assert reached(NESTED, "body/aside") == ("body body/a body/x middle x", "")


def test_a_model_without_a_graph_has_no_flow():
    flow = Flow.of(layer("opaque", "mine>Model"))
    assert (flow.forward, flow.backward) == ({}, {})
    assert reached(layer("opaque", "mine>Model"), "anything") == ("", "")


def test_a_flow_is_made_once_for_a_model():
    assert Flow.of(NESTED) is Flow.of(NESTED)


@pytest.mark.parametrize("depth", [1, 200])
def test_nesting_may_be_deep(depth: int):
    model = inside("m", "Functional", [X, layer("a", "Dense", "x")], "a", "x")
    for _ in range(depth):
        model = inside("m", "Functional", [X, model], "m", "x")
    outer = inside("", "Functional", [X, model, layer("head", "Dense", "m")], "head")
    innermost = "m/" * (depth + 1) + "a"
    assert "head" in Flow.of(outer).downstream(innermost)
    assert "x" in Flow.of(outer).upstream(innermost)
