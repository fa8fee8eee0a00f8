"""Edits of one graph: what is called with what afterwards. No Keras."""

from __future__ import annotations

import pytest

from modelrecipe.edit.replacement import Replacement, replace_layers
from modelrecipe.edit.rewire import (
    Insertion,
    insert_after,
    insert_before,
    remove_layers,
    rename_layers,
    unreachable,
)
from modelrecipe.errors import EditError
from modelrecipe.graph import Call, Graph
from tests.portraits import entry, graph, layer, ref, wiring

CHAIN = graph(entry(), layer("a", "Dense", "x"), layer("b", "Dense", "a"), outputs="b")
MERGE = graph(entry(), layer("a", "Dense", "x"), layer("add", "Add", ["a", "x"]), outputs="add")
SHARED = graph(
    entry(),
    layer("s", "Dense", "x", ref("t")),
    layer("t", "Dense", ref("s")),
    outputs=[ref("s", 1), ref("t")],
)


def new(name: str, class_name: str = "Identity"):
    return layer(name, class_name, key=f"+{name}")


def inserted(*names: str, calls: str = "once") -> Insertion:
    return Insertion(make=lambda number: [new(name + (str(number) if number else "")) for name in names], calls=calls)


def test_insert_after_moves_every_consumer():
    assert wiring(insert_after(MERGE, {"x": inserted("i")})) == {
        "x": [],
        "i": [["x"]],
        "a": [["i"]],
        "add": [["a", "i"]],
        "->": [["add"]],
    }


def test_insert_after_an_output_moves_the_end():
    assert wiring(insert_after(CHAIN, {"b": inserted("i", "j")})) == {
        "x": [],
        "a": [["x"]],
        "b": [["a"]],
        "i": [["b"]],
        "j": [["i"]],
        "->": [["j"]],
    }


def test_one_inserted_layer_serves_every_call_of_a_shared_one():
    found = wiring(insert_after(SHARED, {"s": inserted("i")}))
    assert found["i"] == [["s"], ["s@1"]]
    assert found["t"] == [["i"]]
    assert found["->"] == [["i@1", "t"]]


def test_each_call_gets_its_own():
    found = wiring(insert_after(SHARED, {"s": inserted("i", calls="each")}))
    assert (found["i"], found["i1"]) == ([["s"]], [["s@1"]])
    assert found["->"] == [["i1", "t"]]


def test_insertions_behind_neighbours_do_not_catch_each_other():
    found = wiring(insert_after(CHAIN, {"a": inserted("i"), "b": inserted("j")}))
    assert (found["i"], found["b"], found["j"]) == ([["a"]], [["i"]], [["b"]])


def test_insert_before_reaches_one_consumer():
    found = wiring(insert_before(MERGE, {"a": inserted("i")}))
    assert (found["i"], found["a"], found["add"]) == ([["x"]], [["i"]], [["a", "x"]])


def test_insert_before_a_shared_layer_serves_its_calls():
    found = wiring(insert_before(SHARED, {"s": inserted("i")}))
    assert found["i"] == [["x"], ["t"]]
    assert found["s"] == [["i"], ["i@1"]]


def test_insert_before_keeps_further_arguments():
    call = Call(args=(ref("a"), [1, 2]), kwargs={"training": False})
    made = graph(entry(), layer("a", "Dense", "x"), layer("b", "Custom", call), outputs="b")
    [changed] = insert_before(made, {"b": inserted("i")}).layer("b").calls
    assert (changed.args[1], changed.kwargs) == ([1, 2], {"training": False})


def test_remove_bypasses():
    assert wiring(remove_layers(CHAIN, ["a"])) == {"x": [], "b": [["x"]], "->": [["b"]]}


def test_remove_of_neighbours_and_of_the_end():
    assert wiring(remove_layers(CHAIN, ["a", "b"])) == {"x": [], "->": [["x"]]}


def test_remove_of_a_shared_layer_bypasses_each_call():
    assert wiring(remove_layers(SHARED, ["s"])) == {"x": [], "t": [["x"]], "->": [["t", "t"]]}


def test_what_takes_a_bypassed_tensor_still_says_what_it_was_made_for():
    made = graph(
        entry(),
        layer("a", "Dense", ref("x", shape=(None, 4))),
        layer("b", "Dense", ref("a", shape=(None, 8))),
        outputs="b",
    )
    [taken] = remove_layers(made, ["a"]).layer("b").calls[0].refs()
    assert (taken.layer, taken.shape, taken.expected) == ("x", (None, 4), (None, 8))


def test_replace_keeps_calls_and_sharing():
    found = wiring(replace_layers(SHARED, {"s": Replacement(chain=[new("s")])}))
    assert found == wiring(SHARED)


def test_replace_by_a_chain():
    found = wiring(replace_layers(CHAIN, {"a": Replacement(chain=[new("p"), new("a")])}))
    assert (found["p"], found["a"], found["b"]) == ([["x"]], [["p"]], [["a"]])


def test_replace_of_one_call_leaves_the_others():
    found = wiring(replace_layers(SHARED, {"s": Replacement(chain=[new("n")], calls=[1])}))
    assert (found["s"], found["n"], found["->"]) == ([["x"]], [["t"]], [["n", "t"]])


def test_replace_of_the_first_call_renumbers_the_second():
    found = wiring(replace_layers(SHARED, {"s": Replacement(chain=[new("n")], calls=[0])}))
    assert (found["n"], found["s"], found["t"], found["->"]) == ([["x"]], [["t"]], [["n"]], [["s", "t"]])


def test_neighbours_replaced_together_take_from_each_other():
    both = {"a": Replacement(chain=[new("p")]), "b": Replacement(chain=[new("q")])}
    assert wiring(replace_layers(CHAIN, both)) == {"x": [], "p": [["x"]], "q": [["p"]], "->": [["q"]]}


def test_settings_that_the_new_class_does_not_take_are_dropped():
    call = Call(args=(ref("x"),), kwargs={"training": False, "mask": None})
    made = graph(entry(), layer("lstm", "LSTM", call), outputs="lstm")
    [changed] = replace_layers(made, {"lstm": Replacement(chain=[new("lstm", "Flatten")])}).layer("lstm").calls
    assert changed.kwargs == {}


def test_tensors_that_the_new_class_does_not_take_are_refused():
    call = Call(args=(ref("x"),), kwargs={"initial_state": [ref("a")]})
    made = graph(entry(), layer("a", "Dense", "x"), layer("lstm", "LSTM", call), outputs="lstm")
    with pytest.raises(EditError) as caught:
        replace_layers(made, {"lstm": Replacement(chain=[new("lstm", "Dense")])})
    assert str(caught.value) == (
        "'lstm' is called with the tensor 'initial_state', for which Dense has no argument;"
        " use a class that takes 'initial_state', or remove what gives it first"
    )


def test_rename_follows_calls_and_ends():
    assert wiring(rename_layers(CHAIN, {"x": "y", "b": "out"})) == {
        "y": [],
        "a": [["y"]],
        "out": [["a"]],
        "->": [["out"]],
    }


def test_names_are_exchanged():
    assert wiring(rename_layers(CHAIN, {"a": "b", "b": "a"})) == {"x": [], "b": [["x"]], "a": [["b"]], "->": [["a"]]}


def test_unreachable_layers_are_found_and_inputs_are_not():
    made = graph(entry(), entry("y"), layer("a", "Dense", "x"), layer("c", "Dense", "y"), outputs="a")
    assert unreachable(made) == ["c"]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            lambda: insert_after(CHAIN, {"a": inserted("b")}),
            "there is a layer 'b' already; give the new layer another name; it may hold {name}",
        ),
        (lambda: insert_before(CHAIN, {"x": inserted("i")}), "nothing can stand before the input 'x'; write after: x"),
        (
            lambda: insert_before(MERGE, {"add": inserted("i")}),
            "'add' (Add) takes 2 inputs, so no single tensor goes on in its place;"
            " name one of the layers before it: a, x",
        ),
        (
            lambda: remove_layers(MERGE, ["add"]),
            "'add' (Add) takes 2 inputs, so no single tensor goes on in its place;"
            " name one of the layers before it: a, x",
        ),
        (
            lambda: remove_layers(CHAIN, ["x"]),
            "'x' is an input of the model and cannot be removed; remove what follows it",
        ),
        (
            lambda: replace_layers(CHAIN, {"a": Replacement(chain=[new("a")], calls=[3])}),
            "'a' has no call 3; it is called 1 time; count calls from 0",
        ),
        (
            lambda: replace_layers(CHAIN, {"x": Replacement(chain=[new("i")])}),
            "'x' is an input of the model and cannot be replaced",
        ),
        (
            lambda: rename_layers(CHAIN, {"a": "b"}),
            "'a' and 'b' would both be named 'b'",
        ),
        (lambda: rename_layers(CHAIN, {"a": ""}), "'' cannot be a layer's name; a name is not empty and holds no '/'"),
    ],
)
def test_refusals(edit, said: str):
    with pytest.raises(EditError) as caught:
        edit()
    assert str(caught.value) == said


@pytest.mark.parametrize("made", [CHAIN, MERGE, SHARED])
def test_inserting_and_removing_is_where_one_began(made: Graph):
    for item in made.layers:
        wider = insert_after(made, {item.name: inserted("i")})
        assert wiring(remove_layers(wider, ["i"])) == wiring(made)
