"""The quick judge of schemas says nothing else than jsonschema does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelrecipe import registry, schema
from modelrecipe.errors import RecipeError
from modelrecipe.schema import ITEM_KEYS, head_schema, misfit, step_schema
from modelrecipe.schema.judge import surely_fits
from modelrecipe.source import parse_source, read_source
from tests.recipe_cases import BAD, FOLDER, GOOD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHIPPED = sorted((FOLDER.parents[1] / "recipes").rglob("*.yaml"))
WORDS = (*registry.steps(), "include")


def agree(data: Any, rules: dict[str, Any]) -> bool:
    """Both must agree on every value; returns what they say."""
    is_valid = misfit._validator()(rules).is_valid(data)
    assert surely_fits(data, rules) == is_valid
    return is_valid


def parts(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Head, steps and what stands beside them in a file, each with its schema, before variables are put in."""
    try:
        data = read_source(path).data
    except RecipeError:
        return
    if not isinstance(data, dict):
        return
    yield data, head_schema()
    steps = data.get("steps")
    for item in steps if isinstance(steps, list) else ():
        for word, value in item.items() if isinstance(item, dict) else ():
            if word in WORDS:
                yield value, step_schema(word)
            elif word in ITEM_KEYS:
                yield value, dict(ITEM_KEYS[word])


STEPS = [(value, rules) for path in (*GOOD, *BAD, *SHIPPED) for value, rules in parts(path)]


def examples() -> Iterator[tuple[Any, dict[str, Any]]]:
    for word, step in registry.steps().items():
        for item in parse_source((step.__doc__ or "").partition("Example:\n")[2], "example").data:
            yield item[word], step_schema(word)


def test_both_agree_on_every_recipe_there_is():
    assert {agree(value, rules) for value, rules in STEPS} == {True, False}


def test_every_example_is_known_to_be_right_without_jsonschema():
    assert [value for value, rules in examples() if not surely_fits(value, rules)] == []


SCALARS = st.one_of(
    *(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.0, 1.0, 2.0, 0.5, float("nan"), float("inf")])),
    st.sampled_from(["", "a", "Dense", "type", "${x}", "1..3", "< 3", "start", "epoch 3", "2 epochs", "a.b:c", "true"]),
)
KEYS = st.sampled_from(
    ["layers", "type", "any", "all", "not", "index", "class", "config", "path", "factor", "x", "with"]
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> Any:
    """The same data with something else in one place, or without it, or with one thing more."""
    if isinstance(value, dict) and value and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(value, key=str)))
        return {**value, key: draw(mutated(value[key]))}
    if isinstance(value, list) and value and draw(st.integers(0, 4)):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], draw(mutated(value[place])), *value[place + 1 :]]
    if isinstance(value, dict) and draw(st.booleans()):
        rest = dict(list(value.items())[1:])
        return draw(st.sampled_from([rest, {**value, draw(KEYS): draw(VALUES)}]))
    if isinstance(value, list) and draw(st.booleans()):
        return draw(st.sampled_from([value[1:], [*value, draw(VALUES)]]))
    return draw(VALUES)


@settings(max_examples=1500, deadline=None)
@given(st.data())
def test_both_agree_on_recipes_with_something_else_in_one_place(data: st.DataObject):
    value, rules = data.draw(st.sampled_from(STEPS))
    agree(data.draw(mutated(value)), rules)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(WORDS), VALUES)
def test_both_agree_on_any_data(word: str, value: Any):
    agree(value, step_schema(word))


RULES: list[dict[str, Any]] = [
    *({"type": kind} for kind in ("array", "boolean", "integer", "null", "number", "object", "string")),
    *({"type": ["string", "null"]}, {"enum": [1, "a", None]}, {"enum": [True, 0.5]}, {"const": 1}, {"const": False}),
    *({"minimum": 1}, {"maximum": 1}, {"exclusiveMinimum": 1}, {"exclusiveMaximum": 1}, {"minLength": 1}),
    *({"pattern": "^[aD]"}, {"minItems": 1}, {"maxItems": 1}, {"minProperties": 1}, {"maxProperties": 1}),
    *({"required": ["x"]}, {"properties": {"x": {"type": "null"}}}, {"propertyNames": {"pattern": "^[a-l]"}}),
    *({"additionalProperties": False, "properties": {"x": True}}, {"additionalProperties": {"type": "integer"}}),
    *({"items": {"type": "integer"}}, {"items": False}, {"allOf": [{"minimum": 0}, {"type": "integer"}]}),
    *(
        {"anyOf": [{"type": "string"}, {"minimum": 2}]},
        {"definitions": {"A": {"minItems": 1}}, "$ref": "#/definitions/A"},
    ),
    {"definitions": {"A": True}, "$ref": "#/definitions/A", "type": "null"},
]


@pytest.mark.parametrize("rules", RULES, ids=str)
@given(value=VALUES)
def test_both_agree_on_every_keyword(rules: dict[str, Any], value: Any):
    agree(value, rules)


@pytest.mark.parametrize(
    "rules",
    [{"not": {"type": "string"}}, {"format": "uri"}, {"enum": [[1]]}, {"$ref": "#"}, {"multipleOf": 1}],
    ids=str,
)
def test_what_the_judge_does_not_know_is_left_to_jsonschema(rules: dict[str, Any]):
    assert not surely_fits(1, rules)
    assert not surely_fits([1], rules)
    assert list(schema.problems(1, {"not": {"type": "string"}})) == []
