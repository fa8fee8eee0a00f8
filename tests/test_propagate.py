"""Shapes through an edited graph: recorded ones are believed where nothing changed, rules go on behind an edit."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from modelrecipe.edit.replacement import Replacement, replace_layers
from modelrecipe.edit.rewire import Insertion, insert_after, remove_layers
from modelrecipe.graph import Call, Layer
from modelrecipe.propagate import annotate, end_shapes, graph_shapes, input_shapes, is_complete, output_shapes
from tests.portraits import checkpoint, entry, graph, layer, ref, with_shapes

if TYPE_CHECKING:
    import pytest

CHAIN = with_shapes(
    graph(
        entry("x", 4),
        layer("a", "Dense", "x", units=8),
        layer("odd", "pkg>Odd", "a"),
        layer("b", "Dense", "odd", units=3),
        outputs="b",
    ),
    {"x": (None, 4), "a": (None, 8), "odd": (None, 8), "b": (None, 3)},
)


def new(name: str, class_name: str, **config: object) -> Layer:
    return layer(name, class_name, key=f"+{name}", **config)


def test_recorded_shapes_are_believed():
    assert graph_shapes(CHAIN) == {
        ("x", 0, 0): (None, 4),
        ("a", 0, 0): (None, 8),
        ("odd", 0, 0): (None, 8),
        ("b", 0, 0): (None, 3),
    }


def test_behind_an_equal_replacement_they_are_believed_again():
    edited = replace_layers(CHAIN, {"a": Replacement(chain=[new("a", "Dense", units=8)])})
    assert graph_shapes(edited)[("odd", 0, 0)] == (None, 8)


def test_behind_another_width_a_custom_layer_is_unknown_and_a_rule_goes_on():
    edited = replace_layers(CHAIN, {"a": Replacement(chain=[new("a", "Dense", units=7)])})
    found = graph_shapes(edited)
    assert found[("a", 0, 0)] == (None, 7)
    assert found[("odd", 0, 0)] is None


def test_an_inserted_layer_is_measured_by_rule():
    edited = insert_after(CHAIN, {"b": Insertion(make=lambda _: [new("e", "Dense", units=2)])})
    assert end_shapes(edited) == [(None, 2)]


def test_behind_a_removed_layer_a_record_for_other_inputs_is_not_believed():
    made = with_shapes(
        graph(
            entry("x", 6, 6, 2),
            layer("pool", "MaxPooling2D", "x", pool_size=[2, 2], strides=[2, 2], padding="valid"),
            layer("flat", "Flatten", "pool"),
            outputs="flat",
        ),
        {"x": (None, 6, 6, 2), "pool": (None, 3, 3, 2), "flat": (None, 18)},
    )
    assert end_shapes(made) == [(None, 18)]
    assert end_shapes(remove_layers(made, ["pool"])) == [(None, 72)]


def test_a_nested_model_is_measured_with_what_it_is_given():
    inner = graph(entry("i", 4), layer("d", "Dense", "i", units=5), outputs="d")
    nested = Layer(name="n", class_name="Functional", graph=inner, calls=layer("n", "D", "x").calls, key="n")
    assert end_shapes(graph(entry("x", 9), nested, outputs=ref("n"))) == [(None, 5)]


def test_layers_in_any_order_are_measured():
    ordered = graph(entry("x", 4), layer("a", "Dense", "x", units=8), layer("b", "Dense", "a", units=3), outputs="b")
    backwards = replace(ordered, layers=tuple(reversed(ordered.layers)))
    assert end_shapes(backwards) == [(None, 3)]


def test_a_long_chain_that_stands_in_reverse_is_measured_in_one_pass(monkeypatch: pytest.MonkeyPatch):
    names = ["x", *(f"d{number}" for number in range(5000))]
    chain = [layer(name, "Activation", before, activation="relu") for before, name in pairwise(names)]
    made = graph(entry("x", 4), *chain, outputs=names[-1])
    backwards = replace(made, layers=tuple(reversed(made.layers)))
    asked: Counter[str] = Counter()
    refs = Call.refs

    def counted(call: Call) -> object:
        found = refs(call)
        asked.update(ref.layer for ref in found)
        return found

    monkeypatch.setattr(Call, "refs", counted)
    assert graph_shapes(backwards)[("d4999", 0, 0)] == (None, 4)
    assert max(asked.values()) < 10


def test_a_further_output_is_waited_for_too():
    lstm = layer("lstm", "LSTM", "x", units=3, return_state=True)
    made = graph(entry("x", 5, 2), layer("d", "Dense", ref("lstm", 0, 1), units=7), lstm, outputs="d")
    ordered = replace(made, layers=(made.layers[0], made.layers[2], made.layers[1]))
    assert graph_shapes(made) == graph_shapes(ordered)


def test_a_circle_ends():
    made = graph(entry("x", 4), layer("a", "Add", ["x", "b"]), layer("b", "ReLU", "a"), outputs="b")
    assert graph_shapes(made) == {("x", 0, 0): (None, 4)}


def test_an_unknown_input_leaves_everything_unknown():
    made = graph(Layer(name="x", class_name="InputLayer", key="x"), layer("a", "Flatten", "x"), outputs="a")
    assert graph_shapes(made) == {("x", 0, 0): None, ("a", 0, 0): None}


def test_annotate_writes_shapes_into_every_reference():
    bare = graph(entry("x", 4), layer("a", "Dense", "x", units=8), outputs="a")
    noted = annotate(checkpoint(bare))
    assert noted.model.graph is not None
    assert noted.model.graph.layer("a").calls[0].refs()[0].shape == (None, 4)
    assert noted.model.graph.outputs.shape == (None, 8)
    assert is_complete(noted)


def test_what_keras_found_overrides():
    bare = graph(entry("x", 4), layer("odd", "pkg>Odd", "x"), outputs="odd")
    assert not is_complete(checkpoint(bare))
    noted = annotate(checkpoint(bare), {"": {("x", 0, 0): (None, 4), ("odd", 0, 0): (None, 9)}})
    assert is_complete(noted)


def test_inputs_and_outputs_of_one_layer():
    model = checkpoint(CHAIN).model
    assert input_shapes(model, "b") == [(None, 8)]
    assert output_shapes(model, "b") == [(None, 3)]
    assert input_shapes(model, "b", call=4) == []
