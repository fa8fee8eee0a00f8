"""What selectors name, on graphs written by hand and on models that Keras saved."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrecipe import fields, schema
from modelrecipe.errors import LanguageError, SelectorError
from modelrecipe.formats import read_checkpoint
from modelrecipe.selector import Selector, compare, compile_glob, count_range, dtype_of, select
from tests.hand_made import checkpoint, inside, layer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from modelrecipe.checkpoint import Checkpoint

MIXED = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "mixed_float16"}, "registered_name": None}
RELU6 = {"module": "builtins", "class_name": "function", "config": "relu6", "registered_name": "function"}
GLOROT = {"module": "keras.initializers", "class_name": "GlorotUniform", "config": {"seed": None}}

PLAIN = checkpoint(
    [
        layer("image", "InputLayer"),
        layer("conv_1", "Conv2D", "image", filters=4, kernel_size=[3, 3], activation="relu", kernel_initializer=GLOROT),
        layer("pool", "MaxPooling2D", "conv_1", pool_size=[2, 2], strides=[2, 1], padding="same"),
        layer("conv_2", "Conv2D", "pool", filters=8, kernel_size=[5, 3], activation=RELU6, dtype=MIXED),
        layer("add", "ops.Add", "conv_2 conv_2"),
        layer("merge", "Add", "add conv_2", trainable=False, dtype="float32"),
        layer("swish", "mine>Swish", "merge", beta=1.0, on=True, nothing=None),
        layer("head", "Dense", "swish", units=10, activation="softmax", bias_constraint=None),
    ],
    "head",
    {"conv_1": {"kernel": 100, "bias": 4}, "conv_2": {"kernel": 288, "bias": 8}, "head": {"kernel": 1000, "bias": 10}},
)

NESTED = checkpoint(
    [
        layer("x", "InputLayer"),
        layer("stem", "Dense", "x"),
        inside(
            "body",
            "Functional",
            [
                layer("x", "InputLayer"),
                layer("a", "Dense", "x"),
                inside(
                    "deep",
                    "Sequential",
                    [layer("x", "InputLayer"), layer("bn", "BatchNormalization", "x"), layer("b", "Dense", "bn")],
                    "b",
                    "a",
                ),
                layer("c", "Dense", "deep"),
            ],
            "c",
            "stem",
        ),
        layer("b", "Dropout", "body"),
        layer("head", "Dense", "b"),
        layer("side", "Dense", "stem"),
    ],
    "head side",
    {
        "stem": {"kernel": 10},
        "body/a": {"kernel": 20},
        "body/deep/bn": {"gamma": 5},
        "body/deep/b": {"kernel": 30},
        "body/c": {"kernel": 40},
        "head": {"kernel": 50},
        "side": {"kernel": 60},
    },
)


def read(data: Any) -> Selector:
    """A selector as a recipe writes it, checked as a recipe is."""
    definitions: dict[str, fields.Schema] = {}
    part = fields.class_schema(Selector, definitions=definitions)
    assert [str(problem) for problem in schema.problems(data, {**part, "definitions": definitions})] == []
    return fields.read(Selector, data)


def names(model: Checkpoint, data: Any) -> str:
    """The paths that a selector names, in order."""
    return " ".join(located.path for located in select(model, read(data)))


def refusal(model: Checkpoint, data: Any) -> SelectorError:
    with pytest.raises(SelectorError) as caught:
        select(model, read(data))
    return caught.value


# Names and paths


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("b", "body/deep/b b"),
        ("/b", "b"),
        ("body/deep/b", "body/deep/b"),
        ("/body/deep/b", "body/deep/b"),
        ("body", "body"),
        ("body/*", "body/x body/a body/deep body/c"),
        ("body/**", "body/x body/a body/deep body/deep/x body/deep/bn body/deep/b body/c"),
        ("**/b", "body/deep/b b"),
        ("body/**/b", "body/deep/b"),
        ("**/deep/*", "body/deep/x body/deep/bn body/deep/b"),
        ("*/*", "body/x body/a body/deep body/c"),
        ("/*", "x stem body b head side"),
        ("?", "x body/x body/a body/deep/x body/deep/b body/c b"),
        ("[ac]", "body/a body/c"),
        ("[!a-cx]*", "stem body/deep head side"),
        ("s*", "stem side"),
    ],
)
def test_a_glob_names_layers_or_paths(pattern: str, found: str):
    assert names(NESTED, pattern) == found
    assert names(NESTED, {"name": pattern}) == found


@pytest.mark.parametrize("name", ["conv[1]", "a*b", "a/b", "what?", "[", "größe ✓"])
def test_a_layer_is_found_by_its_own_name_whatever_it_holds(name: str):
    model = checkpoint([layer("x", "InputLayer"), layer(name, "Dense", "x"), layer("other", "Dense", name)], "other")
    assert names(model, name) == name


def test_a_glob_on_names_crosses_a_slash_in_a_name():
    model = checkpoint([layer("x", "InputLayer"), layer("block1/conv", "Dense", "x")], "block1/conv")
    assert names(model, "block1*") == "block1/conv"
    assert names(model, "block1/*") == "block1/conv"


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("b", "b"),
        ("body/.*", "body/x body/a body/deep body/deep/x body/deep/bn body/deep/b body/c"),
        (".*/b", "body/deep/b"),
    ],
)
def test_a_regex_matches_the_whole_path(pattern: str, found: str):
    assert names(NESTED, {"regex": pattern}) == found


@given(st.text(max_size=12) | st.text(alphabet="*?[]!-^/\\a-z&~|.", max_size=12))
def test_a_glob_of_any_text_compiles_and_a_plain_one_matches_itself(pattern: str):
    compiled = compile_glob(pattern)
    if not set(pattern) & set("*?["):
        assert compiled.fullmatch(pattern)
        assert not compiled.fullmatch(f"{pattern}x")


@given(st.text(alphabet="ab/", max_size=6))
def test_a_double_star_matches_every_path(path: str):
    assert compile_glob("**").fullmatch(path)
    assert compile_glob(f"**/{path}").fullmatch(path)
    assert bool(compile_glob("*").fullmatch(path)) == ("/" not in path)


# Classes and arguments


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("Conv2D", "conv_1 conv_2"),
        ("Convolution2D", "conv_1 conv_2"),
        ("MaxPool2D", "pool"),
        ("layers.MaxPool2D", "pool"),
        ("Add", "add merge"),
        ("ops.Add", "add"),
        ("layers.Add", "merge"),
        ("mine>Swish", "swish"),
        ("Swish", "swish"),
        ("InputLayer", "image"),
        (["Dense", "ops.Add"], "add head"),
    ],
)
def test_a_type_is_a_class_an_operation_or_a_registered_name(wanted: Any, found: str):
    assert names(PLAIN, {"type": wanted}) == found


@pytest.mark.parametrize("wanted", ["Conv", "conv2d", "Conv2DTranspose", "layers.Swish2", "other>Swish"])
def test_a_type_is_the_whole_name(wanted: str):
    assert names(PLAIN, {"any": [{"type": wanted}, "head"]}) == "head"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"activation": "relu"}, "conv_1"),
        ({"activation": "relu6"}, "conv_2"),
        ({"activation": "softmax", "units": 10}, "head"),
        ({"pool_size": 2}, "pool"),
        ({"pool_size": [2, 2]}, "pool"),
        ({"strides": [2, 1]}, "pool"),
        ({"kernel_size": 3}, "conv_1"),
        ({"kernel_size": [5, 3]}, "conv_2"),
        ({"kernel_initializer": "GlorotUniform"}, "conv_1"),
        ({"kernel_initializer": "glorot_uniform"}, "conv_1"),
        ({"kernel_initializer": {"class": "GlorotUniform"}}, "conv_1"),
        ({"kernel_initializer": {"class": "GlorotUniform", "config": {"seed": None}}}, "conv_1"),
        ({"dtype": "mixed_float16"}, "conv_2"),
        ({"beta": 1}, "swish"),
        ({"on": True}, "swish"),
        ({"nothing": None}, "swish"),
        ({"bias_constraint": None}, "head"),
    ],
)
def test_a_config_is_a_subset(wanted: dict[str, Any], found: str):
    assert names(PLAIN, {"config": wanted}) == found


@pytest.mark.parametrize(
    "wanted",
    [{"on": 1}, {"strides": 2}, {"strides": [1, 2]}, {"activation": "rel"}, {"units": 10, "activation": "relu"}],
)
def test_a_config_is_equal_or_no_match(wanted: dict[str, Any]):
    assert names(PLAIN, {"any": [{"config": wanted}, "pool"]}) == "pool"


def test_a_size_that_keras_wrote_as_a_tuple_is_a_list():
    tuples = {"class_name": "__tuple__", "items": [2, 2]}
    model = checkpoint([layer("x", "InputLayer"), layer("pool", "MaxPooling2D", "x", pool_size=tuples)], "pool")
    assert names(model, {"config": {"pool_size": 2}}) == "pool"
    assert names(model, {"config": {"pool_size": [2, 2]}}) == "pool"


# Positions


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"index": 0}, "image"),
        ({"index": -1}, "head"),
        ({"index": [0, -1, 1]}, "image conv_1 head"),
        ({"first": 2}, "image conv_1"),
        ({"last": 2}, "swish head"),
        ({"type": "Conv2D", "index": 1}, "conv_2"),
        ({"type": "Conv2D", "first": 1}, "conv_1"),
        ({"type": "Conv2D", "last": 1}, "conv_2"),
        ({"has": "kernel", "last": 2, "first": 2}, "conv_1 conv_2"),
        ({"has": "kernel", "first": 2, "last": 1}, "conv_2"),
        ({"has": "kernel", "index": [0, 2], "last": 1}, "head"),
        ({"type": "Conv2D", "first": 9}, "conv_1 conv_2"),
    ],
)
def test_positions_count_among_what_the_other_keys_leave(keys: dict[str, Any], found: str):
    assert names(PLAIN, keys) == found


# Ranges and flow


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"from": "swish"}, "swish head"),
        ({"until": "conv_1"}, "image conv_1"),
        ({"from": "pool", "until": "conv_2"}, "pool conv_2"),
        ({"from": "pool", "until": "pool"}, "pool"),
    ],
)
def test_a_range_includes_both_ends(keys: dict[str, Any], found: str):
    assert names(PLAIN, keys) == found


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"until": "body/a"}, "x stem body/x body/a"),
        ({"until": "body/deep"}, "x stem body/x body/a body/deep body/deep/x body/deep/bn body/deep/b"),
        ({"until": "body", "has": "kernel"}, "stem body/a body/deep/b body/c"),
        ({"from": "body/deep/bn", "has": "*"}, "body/deep/bn body/deep/b body/c head side"),
        ({"from": "body/c"}, "body/c b head side"),
    ],
)
def test_a_range_ends_inside_a_nested_model_without_selecting_all_of_it(keys: dict[str, Any], found: str):
    assert names(NESTED, keys) == found


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"upstream_of": "side"}, "x stem"),
        ({"upstream_of": "body/deep/b"}, "x stem body/x body/a body/deep/x body/deep/bn"),
        ({"upstream_of": "body"}, "x stem"),
        (
            {"upstream_of": "head"},
            "x stem body body/x body/a body/deep body/deep/x body/deep/bn body/deep/b body/c b",
        ),
        ({"downstream_of": "body"}, "b head"),
        ({"downstream_of": "body/a"}, "body/deep body/deep/x body/deep/bn body/deep/b body/c b head"),
        ({"downstream_of": "body/c"}, "b head"),
        ({"downstream_of": "/b"}, "head"),
        ({"between": ["stem", "body/c"]}, "body/x body/a body/deep body/deep/x body/deep/bn body/deep/b"),
        ({"between": ["body/a", "head"], "type": "Dense"}, "body/deep/b body/c"),
    ],
)
def test_flow_crosses_nested_models(keys: dict[str, Any], found: str):
    assert names(NESTED, keys) == found


def test_a_name_that_refers_to_a_layer_must_mean_one():
    assert str(refusal(NESTED, {"from": "b"})) == ("'b' is not one layer but 2: 'body/deep/b', '/b'; write one of them")
    assert names(NESTED, {"from": "/b"}) == "b head side"


def test_a_name_that_refers_to_no_layer_is_refused_with_the_nearest():
    error = refusal(NESTED, {"between": ["stem", "haed"]})
    assert (str(error), error.at) == ("there is no layer 'haed'; nearest layers: 'head'", ("between", 1))


# Weights, flags, types, roles


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"has": "bias"}, "conv_1 conv_2 head"),
        ({"params": "> 1e2"}, "conv_1 conv_2 head"),
        ({"params": ">= 296"}, "conv_2 head"),
        ({"params": "== 104"}, "conv_1"),
        ({"params": "<1.04E2"}, "image pool add merge swish"),
        ({"trainable": False}, "merge"),
        ({"dtype": "mixed_float16"}, "conv_2"),
        ({"dtype": "float32"}, "merge"),
        ({"role": "input"}, "image"),
        ({"role": "output"}, "head"),
    ],
)
def test_weights_flags_types_and_roles(keys: dict[str, Any], found: str):
    assert names(PLAIN, keys) == found


def test_a_model_is_no_match_for_what_its_layers_decide():
    assert names(NESTED, {"has": "gamma"}) == "body/deep/bn"
    assert names(NESTED, {"params": "> 35"}) == "body/c head side"
    assert names(NESTED, {"params": "> 1e9", "expect": 0}) == ""


def test_roles_are_of_the_outermost_model():
    assert names(NESTED, {"role": "input"}) == "x"
    assert names(NESTED, {"role": "output"}) == "head side"


def test_trainable_is_what_training_would_change():
    inner = [layer("a", "Dense", "x"), layer("b", "Dense", "a", trainable=False)]
    frozen = inside("frozen", "Functional", [layer("x", "InputLayer"), *inner], "b", "x", trainable=False)
    half = inside("half", "Functional", [layer("x", "InputLayer"), *inner], "b", "frozen")
    model = checkpoint([layer("x", "InputLayer"), frozen, half], "half")
    assert names(model, {"trainable": True, "type": "Dense"}) == "frozen/a half/a"
    assert names(model, {"trainable": False}) == "frozen/b half/b"
    assert "half" not in names(model, {"trainable": True}).split()


# Algebra


def test_any_all_and_not():
    assert names(PLAIN, {"any": ["head", {"type": "Conv2D"}]}) == "conv_1 conv_2 head"
    assert names(PLAIN, {"all": [{"type": "Conv2D"}, {"params": "> 200"}]}) == "conv_2"
    assert names(PLAIN, {"has": "kernel", "not": {"type": "Conv2D"}}) == "head"
    assert names(PLAIN, {"any": [{"type": "Conv2D", "last": 1}, {"index": 0}]}) == "image conv_2"
    assert names(PLAIN, {"not": "nothing_there", "type": "Dense"}) == "head"


def test_not_leaves_out_the_models_around_a_layer_too():
    assert names(NESTED, {"not": {"type": "BatchNormalization"}}) == (
        "x stem body/x body/a body/deep/x body/deep/b body/c b head side"
    )
    assert "body" in names(NESTED, {"not": "head"}).split()


FLAT = [layer("x", "InputLayer")] + [
    layer(f"{kind[0].lower()}{number}", kind, "x", units=number % 3)
    for number, kind in enumerate(["Dense", "ReLU"] * 3)
]
FLAT_MODEL = checkpoint(FLAT, "d4", {"d0": {"kernel": 3}, "d2": {"kernel": 7}})
PARTS = st.sampled_from(
    [
        Selector(name="d*"),
        Selector(type_="ReLU"),
        Selector(config={"units": 1}),
        Selector(has="kernel"),
        Selector(from_="r1", until="d4"),
        Selector(first=3),
        Selector(type_="Dense", last=1),
        Selector(name="nothing"),
    ]
)
SELECTORS = st.recursive(
    PARTS,
    lambda inner: (
        st.builds(lambda a, b: Selector(any_=(a, b)), inner, inner)
        | st.builds(lambda a, b: Selector(all_=(a, b)), inner, inner)
        | st.builds(lambda a: Selector(not_=a), inner)
    ),
    max_leaves=5,
)


def chosen(selector: Selector) -> set[str]:
    """What a selector inside another one names, which may be nothing."""
    return {located.path for located in select(FLAT_MODEL, Selector(any_=(selector,), expect="0..99"))}


EVERYTHING = {item.name for item in FLAT}


@given(SELECTORS, SELECTORS)
def test_selectors_are_an_algebra_of_sets(a: Selector, b: Selector):
    assert chosen(Selector(any_=(a, b))) == chosen(a) | chosen(b)
    assert chosen(Selector(all_=(a, b))) == chosen(a) & chosen(b)
    assert chosen(Selector(not_=a)) == EVERYTHING - chosen(a)
    assert chosen(Selector(not_=Selector(not_=a))) == chosen(a)


@given(SELECTORS, SELECTORS)
def test_de_morgan_holds(a: Selector, b: Selector):
    neither = Selector(all_=(Selector(not_=a), Selector(not_=b)))
    assert chosen(Selector(not_=Selector(any_=(a, b)))) == chosen(neither)
    not_both = Selector(any_=(Selector(not_=a), Selector(not_=b)))
    assert chosen(Selector(not_=Selector(all_=(a, b)))) == chosen(not_both)


@given(SELECTORS)
def test_a_selection_is_in_the_order_of_the_graph(a: Selector):
    found = [located.path for located in select(FLAT_MODEL, Selector(any_=(a,), expect="0..99"))]
    assert found == [item.name for item in FLAT if item.name in found]


# Counts


@pytest.mark.parametrize("expect", [2, "2", "1..3", " 2 .. 2 ", "0..2"])
def test_expect_is_a_count_or_a_range(expect: Any):
    assert names(PLAIN, {"type": "Conv2D", "expect": expect}) == "conv_1 conv_2"


def test_a_wrong_count_is_refused_with_what_matched():
    error = refusal(PLAIN, {"type": "Conv2D", "expect": 3})
    assert error.at == ("expect",)
    assert str(error) == ("{type: Conv2D, expect: 3} matches 2 layers, but expect says 3; matched: 'conv_1', 'conv_2'")
    assert str(refusal(PLAIN, {"type": "Conv2D", "expect": "3..4"})).startswith(
        "{type: Conv2D, expect: 3..4} matches 2 layers, but expect says 3 to 4"
    )


def test_none_may_be_expected():
    assert names(PLAIN, {"type": "Dropout", "expect": 0}) == ""
    assert str(refusal(PLAIN, {"type": "Dense", "expect": 0})) == (
        "{type: Dense, expect: 0} matches 1 layer, but expect says 0; matched: 'head'"
    )


def test_expect_counts_inside_any_all_and_not_too():
    error = refusal(PLAIN, {"not": {"type": "Conv2D", "expect": 3}})
    assert error.at == ("not", "expect")
    assert refusal(PLAIN, {"any": ["head", {"type": "Conv2D", "expect": 3}]}).at == ("any", 1, "expect")


@pytest.mark.parametrize(("expect", "found"), [(3, (3, 3)), ("3", (3, 3)), ("1..3", (1, 3)), (" 1 .. 3 ", (1, 3))])
def test_a_range_has_two_ends(expect: int | str, found: tuple[int, int]):
    assert count_range(expect) == found


# Nothing matched


@pytest.mark.parametrize(
    ("keys", "text", "at"),
    [
        ("cnov_1", "no layer matches name 'cnov_1'; nearest layers: 'conv_1', 'conv_2'", ("name",)),
        ({"regex": "conv"}, "no layer matches regex 'conv'; nearest layers: 'conv_2', 'conv_1'", ("regex",)),
        ({"type": "Conv3D"}, "no layer matches type 'Conv3D'; nearest types here: Conv2D", ("type",)),
        (
            {"type": "LSTM"},
            "no layer matches type 'LSTM'; types here: Add, Conv2D, Dense, MaxPooling2D, mine>Swish, ops.Add",
            ("type",),
        ),
        ({"config": {"unit": 5}}, "no layer matches config {unit: 5}; nearest arguments here: units", ("config",)),
        ({"config": {"units": 5}}, "no layer matches config {units: 5}; values of units here: 10", ("config",)),
        ({"has": "gamma"}, "no layer matches has 'gamma'; weights here: bias, kernel", ("has",)),
        (
            {"dtype": "float16"},
            "no layer matches dtype 'float16'; nearest dtypes here: float32, mixed_float16",
            ("dtype",),
        ),
        ({"params": "> 1e9"}, "no layer matches params '> 1e9'", ("params",)),
        ({"index": 8}, "no layer matches index 8; the last one is 7", ("index",)),
        (
            {"type": "Conv2D", "params": "> 1e9"},
            "params '> 1e9' leaves none of the 2 layers that the other keys match",
            ("params",),
        ),
        (
            {"type": "Conv2D", "trainable": False},
            "trainable false leaves none of the 2 layers that the other keys match; they are all trainable",
            ("trainable",),
        ),
        (
            {"type": "Conv2D", "index": [0, 5]},
            "index 5 is beyond the 2 layers that the other keys match",
            ("index", 1),
        ),
        ({"any": ["a", "b"]}, "no layer matches any ['a', 'b']", ("any",)),
        ({"not": "*"}, "no layer matches not '*'", ("not",)),
    ],
)
def test_a_selector_that_matches_nothing_says_which_key_emptied_it(keys: Any, text: str, at: tuple[str | int, ...]):
    error = refusal(PLAIN, keys)
    assert (str(error), error.at) == (text, at)


def test_a_model_without_layers_is_refused():
    assert str(refusal(checkpoint([], ""), "a")) == "the model has no layers to select"


# The value itself


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("conv_*", "'conv_*'"),
        ({"name": "a", "trainable": True}, "{name: a, trainable: true}"),
        ({"type": ["A", "B"], "index": [0, -1]}, "{type: [A, B], index: [0, -1]}"),
        ({"any": ["a", {"from": "b"}], "not": {"has": "gamma"}}, "{any: ['a', {from: b}], not: {has: gamma}}"),
        ({"config": {"padding": "same", "bias": None}}, "{config: {padding: same, bias: null}}"),
    ],
)
def test_a_selector_says_what_it_is(data: Any, text: str):
    assert str(read(data)) == text


@pytest.mark.parametrize("regex", ["(", "*a", "[z-a]", "(?P<a>.)(?P<a>.)", "a{99999999999999999999}"])
def test_a_regex_that_is_none_is_refused(regex: str):
    (problem,) = read({"regex": regex}).problems()
    assert isinstance(problem, LanguageError)
    assert (problem.at, problem.message.startswith(f"'{regex}' is no regular expression: ")) == (("regex",), True)


def test_a_range_that_runs_backwards_is_refused():
    (problem,) = read({"type": "A", "expect": "3..1"}).problems()
    assert str(problem) == "the range '3..1' runs backwards; write '1..3'"


@pytest.mark.parametrize(
    ("comparison", "holds"), [("> 1e5", False), ("<=100", True), (" == 100.", True), (">= .5", True), ("<1e+2", False)]
)
def test_a_comparison(comparison: str, holds: bool):
    assert compare(100, comparison) is holds


@pytest.mark.parametrize("text", ["100", "=> 1", "> 1.2.3", "> -", "> 1e", "~ 5"])
def test_what_is_no_comparison_is_refused(text: str):
    with pytest.raises(SelectorError, match=re.escape(f"'{text}' is no comparison; write one as '> 1e5'")):
        compare(1, text)


@pytest.mark.parametrize(
    ("config", "name"),
    [({"dtype": "float32"}, "float32"), ({"dtype": MIXED}, "mixed_float16"), ({}, None), ({"dtype": {}}, None)],
)
def test_a_dtype_policy_has_a_name(config: dict[str, Any], name: str | None):
    assert dtype_of(config) == name


# Models that Keras saved


@pytest.fixture
def zoo(save: Callable[..., Path]) -> Callable[[str], Checkpoint]:
    def zoo(name: str) -> Checkpoint:
        from tests.zoo import ZOO

        return read_checkpoint(save(ZOO[name]()))

    return zoo


@pytest.mark.parametrize(
    ("model", "keys", "found"),
    [
        ("chain", {"config": {"activation": "relu"}}, "first"),
        ("chain", {"config": {"kernel_initializer": "glorot_uniform"}}, "first second head"),
        ("image_classifier", {"config": {"pool_size": 2}}, "pool"),
        ("image_classifier", {"has": "moving_mean"}, "bn"),
        ("image_classifier", {"between": ["conv", "flat"]}, "bn relu pool"),
        ("image_classifier", {"role": "output"}, "predictions"),
        ("residual", {"upstream_of": "bn_1"}, "image conv_1"),
        ("residual", {"downstream_of": "add"}, "relu_2 gap"),
        ("sequential", {"from": "first"}, "first head"),
    ],
)
def test_selectors_on_saved_models(zoo: Callable[[str], Checkpoint], model: str, keys: Any, found: str):
    assert names(zoo(model), keys) == found


@pytest.mark.parametrize("model", ["nested_three_deep", "siamese", "sequential_in_functional", "nested_two_in_two_out"])
def test_flow_is_one_relation_read_both_ways(zoo: Callable[[str], Checkpoint], model: str):
    document = zoo(model)
    leaves = [located.path for located in document.layers() if located.layer.graph is None]

    def reached(key: str, path: str) -> set[str]:
        found = select(document, fields.read(Selector, {key: f"/{path}", "expect": "0..999"}))
        return {located.path for located in found}

    below = {(a, b) for a in leaves for b in reached("downstream_of", a) if b in leaves}
    above = {(a, b) for b in leaves for a in reached("upstream_of", b) if a in leaves}
    assert below == above
    assert below


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        (Selector(name="/bn"), "no layer matches name '/bn'; nearest layers: 'body/deep/bn'"),
        (Selector(name="body/bn"), "no layer matches name 'body/bn'; nearest layers: 'body/deep/bn'"),
        (Selector(regex="bn"), "no layer matches regex 'bn'; nearest layers: 'body/deep/bn'"),
        (Selector(until="/bn"), "there is no layer '/bn'; nearest layers: 'body/deep/bn'"),
    ],
)
def test_a_nested_layer_without_its_path_is_told_with_it(selector: Selector, said: str):
    with pytest.raises(SelectorError) as refused:
        select(NESTED, selector)
    assert str(refused.value) == said


def test_nothing_at_all_can_be_an_answer():
    assert select(PLAIN, Selector(type_="LSTM"), may_be_empty=True) == []
    with pytest.raises(SelectorError):
        select(PLAIN, Selector(type_="LSTM", expect=1), may_be_empty=True)
