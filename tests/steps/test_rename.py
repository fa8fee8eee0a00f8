"""`rename`: names follow everywhere, and nothing but names changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests import zoo
from tests.running import differences, edit, leaves, names, refuse_edit, run, same_bits

if TYPE_CHECKING:
    from pathlib import Path

    import keras


def assert_only_names_differ(before: keras.Model, after: keras.Model) -> None:
    zoo.assert_same_outputs(before, after, zoo.sample_inputs(before))
    assert [type(layer) for layer in before.layers] == [type(layer) for layer in after.layers]
    assert [layer.trainable for layer in leaves(before).values()] == [
        layer.trainable for layer in leaves(after).values()
    ]
    assert all(same_bits(a.numpy(), b.numpy()) for a, b in zip(before.weights, after.weights, strict=True))


def test_a_layer_gets_its_new_name(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    renamed = edit(tmp_path, model, "rename: {layers: second, to: middle}")
    assert names(renamed) == ["features", "first", "middle", "head"]
    assert_only_names_differ(model, renamed)


def test_nothing_is_built_for_a_name(tmp_path: Path):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    outcome = run(tmp_path, "load: m.keras", "rename: {layers: first, to: one}", "save: out.keras")
    assert outcome.outputs[0].how == "streamed"


def test_names_are_made_of_old_ones_and_numbers(tmp_path: Path):
    model = zoo.ZOO["parallel_branches"]()
    renamed = edit(tmp_path, model, "rename: {layers: {type: Conv2D}, to: 'branch_{index}_{name}'}")
    assert names(renamed)[1:4] == ["branch_0_conv_1", "branch_1_conv_3", "branch_2_conv_5"]
    assert_only_names_differ(model, renamed)


def test_groups_of_a_regex_are_taken_over(tmp_path: Path):
    model = zoo.ZOO["dense_concat"]()
    renamed = edit(tmp_path, model, "rename: {layers: {regex: 'grow_(?P<number>.)'}, to: 'g{number}_{1}'}")
    assert [name for name in names(renamed) if name.startswith("g")] == ["g0_0", "g1_1", "g2_2"]
    assert_only_names_differ(model, renamed)


def test_names_are_exchanged_at_once(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    renamed = edit(tmp_path, model, "rename: {map: {first: second, second: first}}")
    assert names(renamed) == ["features", "second", "first", "head"]
    assert_only_names_differ(model, renamed)


def test_inputs_outputs_and_nested_layers_are_renamed(tmp_path: Path):
    model = zoo.ZOO["nested_two_deep"]()
    renamed = edit(tmp_path, model, "rename: {map: {y: image, head: out, middle/innermost/dense: deep, middle: outer}}")
    assert names(renamed) == ["image", "outer", "out"]
    assert "outer/innermost/deep" in leaves(renamed)
    assert_only_names_differ(model, renamed)


def test_keys_of_a_dictionary_belong_to_the_caller(tmp_path: Path):
    model = zoo.ZOO["dict_in_dict_out"]()
    renamed = edit(tmp_path, model, "rename: {layers: {role: output}, to: 'new_{name}'}")
    assert set(renamed.output) == set(model.output)
    assert_only_names_differ(model, renamed)


def test_a_shared_layer_and_its_calls_follow(tmp_path: Path):
    model = zoo.ZOO["part_of_a_larger_graph"]()
    assert_only_names_differ(model, edit(tmp_path, model, "rename: {layers: tower, to: shared}"))


def test_the_same_name_is_no_change(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    assert differences(model, edit(tmp_path, model, "rename: {layers: first, to: '{name}'}")) == []


def test_a_renamed_layer_is_found_by_later_steps_under_its_new_name(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    after = edit(
        tmp_path, model, "rename: {layers: first, to: one}", "rescale: {layers: one, weights: bias, factor: 0}"
    )
    assert not after.get_layer("one").bias.numpy().any()


def test_two_layers_with_one_name_are_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), "rename: {layers: {type: Dense}, to: same}") == (
        "4:41: rename.to: 'first' and 'second' would both be named 'same'; write another name; it may hold {name} and {index}"
    )


def test_a_name_that_is_taken_is_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), "rename: {map: {first: head}}") == (
        "4:19: rename.map: 'first' and 'head' would both be named 'head'; map one of them to another name"
    )


def test_a_slash_is_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), "rename: {layers: first, to: a/b}") == (
        "4:33: rename.to: 'a/b' cannot be a layer's name; a name is not empty and holds no '/'"
    )


def test_a_group_that_is_not_there_is_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), "rename: {layers: first, to: 'a_{number}'}") == (
        "4:33: rename.to: 'a_{number}' names something that is not there: 'number';"
        " it may hold {name}, {index}, and the groups of the selector's regex"
    )


def test_an_unknown_layer_in_the_map_is_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), "rename: {map: {frist: one}}") == (
        "4:19: rename.map.name: no layer matches name 'frist'; nearest layers: 'first'"
    )


def test_a_subclassed_model_is_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["subclassed"](), "rename: {layers: '*', to: 'x_{name}'}") == (
        "4:13: rename: the model is a subclassed 'zoo>Classifier', whose file lists no layers, so 'rename' has nothing"
        " to hold on to; rebuild it as a functional model; weights can be edited as it is (rescale)"
    )


def test_a_template_reaches_into_nothing(tmp_path: Path):
    for field in ("{name.foo}", "{name[0]}", "{name!r}", "{index:>9}", "{}"):
        assert refuse_edit(tmp_path, zoo.ZOO["chain"](), f"rename: {{layers: first, to: '{field}'}}") == (
            f"4:33: rename.to: '{field}' asks for more than a plain field: '{field}';"
            " it may hold {name}, {index}, and the groups of the selector's regex"
        )


def test_a_name_has_an_end(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["chain"](), f"rename: {{layers: first, to: {'a' * 201}}}") == (
        "4:33: rename.to: the new name of 'first' has 201 characters, but at most 200 are allowed; write a shorter one"
    )
