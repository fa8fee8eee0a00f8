"""Calls as lists: what stands in files of Keras 1 and 2 is read as calls, and written as it was."""

from __future__ import annotations

from typing import Any

import pytest

from modelrecipe.graph import Call, Graph, Layer
from modelrecipe.old_calls import plain_ends, read_call, write_call
from modelrecipe.references import TensorRef

A, B = TensorRef(layer="a"), TensorRef(layer="b", call=1, index=2)


@pytest.mark.parametrize(
    ("node", "args", "kwargs"),
    [
        ([["a", 0, 0, {}]], (A,), {}),
        ([["a", 0, 0, {"training": False}]], (A,), {"training": False}),
        ([["a", 0, 0, {"axis": -1}], ["b", 1, 2, {"axis": -1}]], ([A, B],), {"axis": -1}),
        ([["a", 0, 0, {"value": ["b", 1, 2]}]], (A,), {"value": B}),
        ([["a", 0, 0, {"states": [["b", 1, 2], ["a", 0, 0]]}]], (A,), {"states": [B, A]}),
        ([["a", 0, 0, {"mode": ["nobody", 1, 2]}]], (A,), {"mode": ["nobody", 1, 2]}),
        ([["_CONSTANT_VALUE", -1, 2.5, {"y": ["a", 0, 0]}]], (2.5,), {"y": A}),
        ([["_CONSTANT_VALUE", -1, [1, 2], {}], ["a", 0, 0, {}]], ([[1, 2], A],), {}),
        ({"x": ["a", 0, 0, {}], "y": ["b", 1, 2, {}]}, ({"x": A, "y": B},), {}),
        ([["a", 0, 0, {}], [["b", 1, 2, {}], ["a", 0, 0, {}]]], ([A, [B, A]],), {}),
    ],
)
def test_a_call_is_read_and_written_as_it_was(node: Any, args: Any, kwargs: Any) -> None:
    call = read_call(node, {"a", "b"})
    assert call == Call(args=args, kwargs=kwargs, form="legacy")
    assert write_call(call) == node


def test_an_entry_without_a_list_around_it_is_read_too() -> None:
    assert read_call(["a", 0, 0, {"y": 2}], {"a"}) == Call(args=(A,), kwargs={"y": 2}, form="legacy")


def test_arguments_may_stand_in_one_entry_alone() -> None:
    assert read_call([["a", 0, 0, {"axis": 1}], ["b", 1, 2]], {"a", "b"}).kwargs == {"axis": 1}


@pytest.mark.parametrize("form", ["legacy", "keras3"])
def test_a_list_of_one_is_the_tensor_itself_in_old_graphs_alone(form: Any) -> None:
    layer = Layer(name="d", class_name="Dense", calls=(Call(args=(A,), form=form),))
    graph = Graph(kind="functional", layers=(layer,), inputs=[A], outputs=[A, B])
    assert plain_ends(graph, graph.inputs) == (A if form == "legacy" else [A])
    assert plain_ends(graph, graph.outputs) == [A, B]
