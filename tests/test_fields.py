"""Parameters declared once: as schema, and read back."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - read by `fields` at run time
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrecipe import fields, schema
from modelrecipe.fields import Doc, Rule
from modelrecipe.selector import Selector

TEXT = {"type": "string", "minLength": 1}


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large."""

    width: Annotated[int, Doc("in pixels"), Rule({"minimum": 1})]
    height: Annotated[int | None, Doc("in pixels")] = None


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A text, or a tree of them."""

    name: Annotated[str | None, Doc("of the leaf")] = None
    parts: Annotated[tuple[Tree, ...] | None, Doc("below it")] = None
    kind: ClassVar[str] = "no parameter"


@dataclass(frozen=True, kw_only=True)
class Everything:
    """All kinds of parameters."""

    text: Annotated[str, Doc("a text")]
    number: float = 0.5
    whole: int = 3
    flag: bool = False
    word: Literal["a", "b"] = "a"
    list_: tuple[int, ...] = ()
    either: int | str = 0
    counted: Annotated[int, Rule({"minimum": 0})] | Annotated[str, Rule({"pattern": "^a"})] | None = None
    sizes: Size | tuple[Size, ...] | None = None
    tree: Tree | None = None
    free: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, str] | None = None
    anything: Any = None
    holes: tuple[int | None, ...] | None = None


def described(cls: type) -> tuple[dict[str, Any], dict[str, Any]]:
    definitions: dict[str, Any] = {}
    return fields.class_schema(cls, definitions=definitions), definitions


def read(data: Any, cls: type = Everything) -> Any:
    """Read data that fit the schema, which is checked first as for a recipe."""
    part, definitions = described(cls)
    assert [str(problem) for problem in schema.problems(data, {**part, "definitions": definitions})] == []
    return fields.read(cls, data)


# Declarations


def test_a_trailing_underscore_is_no_part_of_the_key():
    keys = {item.key: item.attribute for item in fields.fields_of(Everything)}
    assert keys["list"] == "list_"
    assert keys["text"] == "text"


def test_class_variables_are_no_parameters():
    assert [item.key for item in fields.fields_of(Tree)] == ["name", "parts"]


def test_a_parameter_without_a_default_is_required():
    assert [item.key for item in fields.fields_of(Everything) if item.required] == ["text"]
    assert dict(fields.defaults(Size)) == {"height": None}


def test_an_object_has_descriptions_defaults_and_bounds():
    part, definitions = described(Size)
    assert definitions == {}
    mapping = {
        "type": "object",
        "properties": {
            "width": {"description": "in pixels", "type": "integer", "minimum": 1},
            "height": {"description": "in pixels", "type": "integer"},
        },
        "additionalProperties": False,
        "required": ["width"],
    }
    scalar = {"type": "integer", "minimum": 1, "description": "short for width"}
    assert part == {"anyOf": [scalar, mapping]}


def test_no_scalar_stands_for_a_class_that_needs_more():
    @dataclass(frozen=True, kw_only=True)
    class Two:
        a: str
        b: str

    assert described(Two)[0]["type"] == "object"


def test_a_class_may_hold_itself():
    part, definitions = described(Everything)
    assert part["anyOf"][1]["properties"]["tree"] == {"$ref": "#/definitions/Tree"}
    parts = definitions["Tree"]["anyOf"][1]["properties"]["parts"]
    assert parts == {
        "description": "below it",
        "type": "array",
        "items": {"$ref": "#/definitions/Tree"},
        "minItems": 1,
    }
    assert definitions["Tree"]["description"] == "A text, or a tree of them."


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("number", {"type": "number", "default": 0.5}),
        ("flag", {"type": "boolean", "default": False}),
        ("word", {"enum": ["a", "b"], "default": "a"}),
        ("list", {"type": "array", "items": {"type": "integer"}, "minItems": 1}),
        ("either", {"anyOf": [{"type": "integer"}, TEXT], "default": 0}),
        ("counted", {"anyOf": [{"type": "integer", "minimum": 0}, {**TEXT, "pattern": "^a"}]}),
        ("free", {"type": "object", "additionalProperties": True}),
        ("texts", {"type": "object", "additionalProperties": TEXT}),
        ("anything", {}),
        ("holes", {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "null"}]}, "minItems": 1}),
    ],
)
def test_every_type_has_its_schema(key: str, part: dict[str, Any]):
    assert described(Everything)[0]["anyOf"][1]["properties"][key] == part


# Reading


def test_a_scalar_stands_for_the_first_parameter():
    assert read("a") == Everything(text="a")


def test_everything_is_read():
    data = {
        "text": "t",
        "number": 1,
        "whole": -2,
        "flag": True,
        "word": "b",
        "list": [1, 2],
        "either": "x",
        "counted": "abc",
        "sizes": [3, {"width": 4, "height": 5}],
        "tree": {"name": "root", "parts": ["leaf", {"parts": ["deep"]}]},
        "free": {"any": [{"thing": None}]},
        "texts": {"a": "b"},
        "anything": [1, "two"],
        "holes": [None, 5],
    }
    assert read(data) == Everything(
        text="t",
        number=1.0,
        whole=-2,
        flag=True,
        word="b",
        list_=(1, 2),
        either="x",
        counted="abc",
        sizes=(Size(width=3), Size(width=4, height=5)),
        tree=Tree(name="root", parts=(Tree(name="leaf"), Tree(parts=(Tree(name="deep"),)))),
        free={"any": [{"thing": None}]},
        texts={"a": "b"},
        anything=[1, "two"],
        holes=(None, 5),
    )


def test_a_whole_number_given_for_a_number_becomes_one():
    assert isinstance(read({"text": "t", "number": 2}).number, float)


@pytest.mark.parametrize(
    ("data", "value"), [({"either": 0}, 0), ({"either": "0"}, "0"), ({"counted": 4}, 4), ({"sizes": 7}, Size(width=7))]
)
def test_a_union_takes_the_alternative_that_fits(data: dict[str, Any], value: object):
    (key,) = data
    assert getattr(read({"text": "t", **data}), key) == value


# Round trips

NAMES = st.text(alphabet="ab*/[", min_size=1, max_size=5)
COUNTS = st.integers(1, 9)
KEYS = {
    "name": NAMES,
    "regex": NAMES,
    "type": NAMES | st.lists(NAMES, min_size=1, max_size=2),
    "config": st.dictionaries(NAMES, st.integers() | NAMES | st.none(), max_size=2),
    "index": st.integers(-3, 3) | st.lists(st.integers(-3, 3), min_size=1, max_size=2),
    "first": COUNTS,
    "last": COUNTS,
    "from": NAMES,
    "until": NAMES,
    "between": st.lists(NAMES, min_size=2, max_size=2),
    "params": st.sampled_from(["> 1e5", "<=3", "== 0"]),
    "trainable": st.booleans(),
    "role": st.sampled_from(["input", "output"]),
    "expect": st.integers(0, 5) | st.sampled_from(["1..3", "2"]),
}
SELECTORS = st.recursive(
    NAMES | st.fixed_dictionaries({}, optional=KEYS).filter(bool),
    lambda inner: st.fixed_dictionaries(
        {"name": NAMES}, optional={"not": inner, "any": st.lists(inner, min_size=1, max_size=2)}
    ),
    max_leaves=4,
)


def written(value: Any) -> Any:
    """A value as a recipe would write it, with every scalar in its full form."""
    if isinstance(value, Selector):
        return {key: written(item) for key, item in value.given().items()}
    if isinstance(value, tuple):
        return [written(item) for item in value]
    return value


def in_full(data: Any) -> Any:
    """Data of a selector with every scalar that stands for one in its full form."""
    if isinstance(data, str):
        return {"name": data}
    full = dict(data)
    if "not" in full:
        full["not"] = in_full(full["not"])
    if "any" in full:
        full["any"] = [in_full(item) for item in full["any"]]
    return full


@given(SELECTORS)
def test_what_was_read_is_what_was_written(data: Any):
    selector = read(data, Selector)
    assert written(selector) == in_full(data)
    assert read(written(selector), Selector) == selector
    assert hash(str(selector)) == hash(str(read(data, Selector)))
