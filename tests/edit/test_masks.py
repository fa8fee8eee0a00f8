"""Masks that Keras computed into a graph: found, dropped with their source, and ended by layers that support none."""

from __future__ import annotations

from modelrecipe.edit.masks import LostMasks, computed_masks, without_masks_of
from modelrecipe.graph import Call, Graph
from tests.portraits import entry, graph, layer, operation, ref, wiring


def masked(*, mask_zero: bool = True, shown: bool = False) -> Graph:
    """ids -> embedding -> lstm, with the mask as Keras writes it."""
    call = Call(args=(ref("emb"),), kwargs={"mask": ref("not_equal")})
    return graph(
        entry("ids"),
        layer("emb", "Embedding", "ids", mask_zero=mask_zero),
        operation("not_equal", "NotEqual", "ids"),
        layer("lstm", "LSTM", call),
        outputs=["lstm", "not_equal"] if shown else "lstm",
    )


def test_the_operations_of_a_mask_are_found():
    made = masked()
    assert computed_masks(made, made.layer("emb")) == {"not_equal"}


def test_a_mask_in_several_steps_is_found_whole():
    call = Call(args=(ref("masking"),), kwargs={"mask": ref("any")})
    made = graph(
        entry(),
        layer("masking", "Masking", "x"),
        operation("not_equal", "NotEqual", "x"),
        operation("any", "Any", "not_equal"),
        layer("lstm", "LSTM", call),
        outputs="lstm",
    )
    assert computed_masks(made, made.layer("masking")) == {"not_equal", "any"}
    assert wiring(without_masks_of(made, "masking"))["lstm"] == [["masking"]]


def test_a_mask_goes_with_its_source():
    assert wiring(without_masks_of(masked(), "emb")) == {
        "ids": [],
        "emb": [["ids"]],
        "lstm": [["emb"]],
        "->": [["lstm"]],
    }


def test_an_operation_that_is_used_otherwise_stays():
    assert without_masks_of(masked(shown=True), "emb") == masked(shown=True)


def test_a_layer_that_masks_nothing_has_no_mask():
    made = masked(mask_zero=False)
    assert without_masks_of(made, "emb") is not None
    assert wiring(without_masks_of(made, "emb")) == wiring(made)


def test_settings_beside_the_mask_stay():
    call = Call(args=(ref("emb"),), kwargs={"mask": ref("not_equal"), "training": False})
    made = graph(
        entry("ids"),
        layer("emb", "Embedding", "ids", mask_zero=True),
        operation("not_equal", "NotEqual", "ids"),
        layer("lstm", "LSTM", call),
        outputs="lstm",
    )
    assert without_masks_of(made, "emb").layer("lstm").calls[0].kwargs == {"training": False}


def follow(supports_masking: bool) -> dict[str, object]:
    """What an LSTM is called with behind a new layer."""
    made = masked()
    call = Call(args=(ref("new"),), kwargs={"mask": ref("not_equal"), "training": False})
    masks = LostMasks(made)
    new = layer("new", "Conv1D", "emb", key="+new")
    masks.made(new, 0, new.calls[0], outputs=1, supports_masking=supports_masking)
    return dict(masks.without(call).kwargs)


def test_a_new_layer_without_masking_ends_the_mask():
    assert follow(supports_masking=False) == {"training": False}


def test_a_new_layer_that_passes_masks_on_leaves_it():
    assert set(follow(supports_masking=True)) == {"mask", "training"}


def test_the_end_of_a_mask_reaches_further_layers_and_other_branches_keep_theirs():
    made = masked()
    masks = LostMasks(made)
    new, old = layer("new", "Conv1D", "emb", key="+new"), layer("old", "Dense", "new")
    masks.made(new, 0, new.calls[0], outputs=1, supports_masking=False)
    masks.made(old, 0, old.calls[0], outputs=1, supports_masking=True)
    behind = Call(args=(ref("old"),), kwargs={"mask": ref("not_equal")})
    beside = Call(args=(ref("emb"),), kwargs={"mask": ref("not_equal")})
    assert (masks.without(behind).kwargs, masks.without(beside)) == ({}, beside)


def test_masks_of_named_arguments_are_told_apart():
    made = masked()
    masks = LostMasks(made)
    new = layer("new", "Conv1D", "emb", key="+new")
    masks.made(new, 0, new.calls[0], outputs=1, supports_masking=False)
    given = {"value": ref("new"), "query_mask": ref("not_equal"), "value_mask": ref("not_equal")}
    assert set(masks.without(Call(args=(ref("emb"),), kwargs=given)).kwargs) == {"value", "query_mask"}


def test_a_mask_that_the_author_computed_otherwise_is_left():
    made = masked()
    masks = LostMasks(made)
    new = layer("new", "Conv1D", "emb", key="+new")
    masks.made(new, 0, new.calls[0], outputs=1, supports_masking=False)
    call = Call(args=(ref("new"),), kwargs={"mask": ref("ids")})
    assert masks.without(call) == call
