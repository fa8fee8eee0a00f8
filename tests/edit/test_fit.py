"""What an edit broke downstream is found from shapes alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe.edit.fit import misfits
from modelrecipe.edit.replacement import Replacement, replace_layers
from modelrecipe.edit.rewire import Insertion, insert_after, remove_layers
from tests.portraits import checkpoint, entry, graph, layer, with_shapes

if TYPE_CHECKING:
    from modelrecipe.graph import Layer

CHAIN = with_shapes(
    graph(
        entry("x", 4),
        layer("a", "Dense", "x", units=8, use_bias=True),
        layer("act", "ReLU", "a"),
        layer("b", "Dense", "act", units=3, use_bias=True),
        outputs="b",
    ),
    {"x": (None, 4), "a": (None, 8), "act": (None, 8), "b": (None, 3)},
)
SIZES = {"a": {"kernel": (4, 8), "bias": (8,)}, "b": {"kernel": (8, 3), "bias": (3,)}}


def new(name: str, class_name: str, **config: object) -> Layer:
    return layer(name, class_name, key=f"+{name}", **config)


def broken(made, **sizes: dict[str, tuple[int, ...]]) -> list[str]:
    return [str(error) for error in misfits(checkpoint(made, **sizes))]


def test_nothing_is_wrong_with_what_was_not_edited():
    assert broken(CHAIN, **SIZES) == []


def test_an_equal_replacement_is_no_misfit():
    edited = replace_layers(CHAIN, {"a": Replacement(chain=[new("a", "Dense", units=8)])})
    assert broken(edited, **SIZES) == []


def test_a_kernel_of_another_size_is_named_with_both_layers_and_shapes():
    edited = replace_layers(CHAIN, {"a": Replacement(chain=[new("a", "Dense", units=7)])})
    assert broken(edited, **SIZES) == [
        "'act' outputs (None, 7), but 'b' (Dense) was built for (None, 8): its kernel is (8, 3) and would have to be"
        " (7, 3); give what stands before it an output of (None, 8), or replace 'b' too"
    ]


def test_the_culprit_is_the_new_layer_before_the_break():
    edited = replace_layers(CHAIN, {"a": Replacement(chain=[new("a", "Dense", units=7)])})
    assert [error.layer for error in misfits(checkpoint(edited, **SIZES))] == ["+a"]


def test_a_removed_layer_leaves_no_culprit():
    edited = remove_layers(CHAIN, ["a"])
    assert [error.layer for error in misfits(checkpoint(edited, **SIZES))] == [None]


def test_a_new_layer_is_never_at_fault():
    edited = insert_after(CHAIN, {"x": Insertion(make=lambda _: [new("i", "Dense", units=4)])})
    assert broken(edited, **SIZES) == []


def test_a_wrong_width_between_is_found():
    edited = insert_after(CHAIN, {"a": Insertion(make=lambda _: [new("i", "Dense", units=5)])})
    assert "'b' (Dense) was built for (None, 8)" in broken(edited, **SIZES)[0]


def multiplied(class_name: str, gate: int):
    return with_shapes(
        graph(
            entry("x", 8), layer("gate", "Dense", "x", units=gate), layer("m", class_name, ["gate", "x"]), outputs="m"
        ),
        {"x": (None, 8), "gate": (None, gate), "m": (None, 8)},
    )


def test_a_silent_stretch_is_found():
    edited = replace_layers(multiplied("Multiply", 8), {"gate": Replacement(chain=[new("gate", "Dense", units=1)])})
    assert broken(edited) == [
        "'gate' outputs (None, 1), but 'm' (Multiply) combines it with (None, 8) of 'x', and Keras would broadcast it"
        " silently; it was (None, 8) before; give the new layer an output of that shape"
    ]


def test_a_stretch_that_was_there_before_is_none():
    edited = replace_layers(multiplied("Multiply", 1), {"gate": Replacement(chain=[new("gate", "Dense", units=1)])})
    assert broken(edited) == []


def test_a_stretch_that_a_removal_causes_is_found():
    made = with_shapes(
        graph(
            entry("x", 8),
            layer("narrow", "Dense", "x", units=1),
            layer("wide", "Dense", "narrow", units=8),
            layer("m", "Add", ["wide", "x"]),
            outputs="m",
        ),
        {"x": (None, 8), "narrow": (None, 1), "wide": (None, 8), "m": (None, 8)},
    )
    assert "Keras would broadcast it silently" in broken(remove_layers(made, ["wide"]))[0]


def test_a_concatenation_may_grow():
    edited = replace_layers(multiplied("Concatenate", 8), {"gate": Replacement(chain=[new("gate", "Dense", units=1)])})
    assert broken(edited) == []


def test_shapes_that_keras_found_are_used():
    edited = replace_layers(CHAIN, {"a": Replacement(chain=[new("a", "pkg>Odd")])})
    assert broken(edited, **SIZES) == []
    known = {"": {("x", 0, 0): (None, 4), ("a", 0, 0): (None, 9), ("act", 0, 0): (None, 9), ("b", 0, 0): (None, 3)}}
    assert "its kernel is (8, 3)" in str(next(misfits(checkpoint(edited, **SIZES), known)))
