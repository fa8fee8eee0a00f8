"""The schema for editors, and that it agrees with what loading says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft7Validator

from modelrecipe import catalog, registry, schema
from modelrecipe.errors import RecipeError
from modelrecipe.schema import recipe_schema, step_schema
from modelrecipe.source import read_source
from tests.recipe_cases import BAD, FOLDER, GOOD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = recipe_schema()
VALIDATOR = Draft7Validator(SCHEMA)
KERAS_OBJECTS = ("Callback", "Loss", "Metric", "Optimizer")
SHIPPED = sorted((FOLDER.parents[1] / "recipes").glob("*.yaml"))

ONLY_LOADING_TELLS = {
    # what stands in other files, in the environment, on the command line
    *("env_not_set", "env_of_another_type", "set_is_no_yaml", "set_nothing", "set_of_another_type", "set_unknown"),
    *("set_without_vars", "include_a_folder", "include_cycle", "include_itself", "include_missing", "include_not_yaml"),
    *("include_unknown_var", "include_var_of_another_type", "include_var_without_value"),
    # variables
    *("include_with_an_unknown_variable", "seed_variable_of_another_type", "var_default_a_fraction"),
    *("var_default_a_variable", "var_in_a_key", "var_is_no_name", "var_list_inside_text", "var_not_closed"),
    *("var_of_wrong_type_for_its_place", "var_undeclared", "var_unknown", "var_unused", "var_without_value"),
    # what several keys say together
    *("id_twice", "insert_both_sides", "keep_in_insert", "load_both", "load_nothing", "missing_argument"),
    # what no schema can say
    "selector_regex",
}


def accepts(steps: list[Any], **head: Any) -> bool:
    return VALIDATOR.is_valid({"version": 1, "steps": steps, **head})


def test_it_is_a_schema_of_draft_07():
    Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize("path", [*GOOD, *SHIPPED], ids=lambda path: path.stem)
def test_it_accepts_a_good_file_with_its_variables_as_written(path: Path):
    assert [error.message for error in VALIDATOR.iter_errors(read_source(path).data)] == []


def test_it_refuses_every_file_whose_form_is_wrong():
    accepted: set[str] = set()
    for path in BAD:
        try:
            data = read_source(path).data
        except RecipeError:
            continue
        if VALIDATOR.is_valid(data):
            accepted.add(path.stem)
    assert accepted == ONLY_LOADING_TELLS


@pytest.mark.parametrize("word", [*registry.steps(), "include"])
def test_an_item_holds_one_step(word: str):
    other = "save" if word != "save" else "load"
    value = {"save": "a", "load": "a"}
    item = SCHEMA["properties"]["steps"]["items"]
    assert word in item["properties"]
    assert not accepts([{word: value.get(word, "a"), other: "b"}])


@pytest.mark.parametrize("word", [*registry.steps(), "include"])
def test_no_step_takes_just_any_mapping(word: str):
    assert not accepts([{word: {"strange": 1}}])


@pytest.mark.parametrize(
    "step",
    [
        {"replace": {"layers": "a", "with": {"class": "Dense", "config": {"unit": 5}}}},
        {"replace": {"layers": "a", "with": {"class": "Dense", "config": {"units": "many"}}}},
        {"replace": {"layers": "a", "with": {"class": "Dense", "config": {"units": 5, "name": "head"}}}},
        {"replace": {"layers": "a", "with": [{"class": "ops.Mean", "config": {"axes": 1}}]}},
        {"replace": {"layers": "a", "with": "Dens"}},
        {"insert": {"after": "a", "layer": {"class": "TimeDistributed", "config": {"layer": {"class": "Dens"}}}}},
        {
            "insert": {
                "after": "a",
                "layer": {"class": "TimeDistributed", "config": {"layer": {"class": "Dense", "config": {"unit": 1}}}},
            }
        },
    ],
    ids=json.dumps,
)
def test_arguments_of_known_classes_are_checked_at_any_depth(step: dict[str, Any]):
    assert not accepts([step])


@pytest.mark.parametrize(
    "config",
    [
        {"activation": "relu", "kernel_initializer": {"class": "HeNormal"}},
        {"activation": "mine>swish", "use_bias": "${flag}", "units": "${n}"},
        {"kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.1}}},
        {"dtype": "mixed_float16", "trainable": False},
    ],
    ids=json.dumps,
)
def test_usual_arguments_are_accepted(config: dict[str, Any]):
    assert accepts([{"replace": {"layers": "a", "with": {"class": "Dense", "config": config}, "inherit": "config"}}])


@pytest.mark.parametrize("name", [*catalog.layer_names(), *catalog.operation_names()])
def test_every_class_may_be_named(name: str):
    assert accepts([{"replace": {"layers": "a", "with": {"class": name, "config": {}}}}])
    assert not accepts([{"replace": {"layers": "a", "with": {"class": name, "config": {"strange_argument": 1}}}}])


@pytest.mark.parametrize(("kind", "value"), [("integer", "a"), ("list", 3), ("path", 1), ("boolean", "yes")])
def test_a_default_must_be_of_its_type(kind: str, value: object):
    assert not accepts([], vars={"a": {"type": kind, "default": value}})


def objects(part: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of a mapping, with the way to it."""
    if isinstance(part, list):
        for number, item in enumerate(part):
            yield from objects(item, f"{path}/{number}")
    elif isinstance(part, dict):
        if part.get("type") == "object" or "properties" in part:
            yield path, part
        for key, value in part.items():
            if key not in ("default", "enum", "instead", "if", "then"):
                yield from objects(value, f"{path}/{key}")


def test_unknown_keys_are_refused_all_the_way_down():
    open_ones = {path for path, part in objects(SCHEMA) if part.get("additionalProperties", True) is True}
    expected = {
        "/definitions/Selector/anyOf/1/properties/config": "any argument of any class",
        "/definitions/LayerSpec/anyOf/1/properties/config": "narrowed by ConfigOfClass",
        "/definitions/InnerLayer/properties/config": "narrowed by ConfigOfClass",
        "/definitions/InnerLayer/properties/build_config": "Keras' own",
        "/definitions/step_include/anyOf/1/properties/vars": "variables of another file",
        "/definitions/DataSource/anyOf/1/properties/arguments": "keyword arguments of a function of the user's",
        "/definitions/DataSpec/anyOf/1/properties/arguments": "keyword arguments of a function of the user's",
        **{f"/definitions/{name}/anyOf/1/properties/config": "any argument of any of them" for name in KERAS_OBJECTS},
        "/definitions/step_configure/properties/config": "settings of whatever class the selected layers have",
    }
    assert open_ones - {path for path in open_ones if "/config_" in path or "/argument_" in path} == set(expected)
    # Arguments that are mappings are Keras' serialised objects.
    assert all("properties" not in part for path, part in objects(SCHEMA) if path in open_ones and "/argument_" in path)


def test_every_key_is_described():
    missing = [
        f"{path}/{key}"
        for path, part in objects(SCHEMA)
        for key, value in part.get("properties", {}).items()
        if value is not False and "description" not in value and "$ref" not in value
    ]
    assert missing == []
    targets = [
        value["$ref"]
        for _, part in objects(SCHEMA)
        for value in part.get("properties", {}).values()
        if value and "$ref" in value
    ]
    names = {target.rpartition("/")[2] for target in targets}
    assert [name for name in sorted(names) if "description" not in SCHEMA["definitions"][name]] == []


def test_every_reference_leads_somewhere():
    text = json.dumps(SCHEMA)
    names = {part.split('"', 1)[0] for part in text.split("#/definitions/")[1:]}
    assert names - set(SCHEMA["definitions"]) == set()


def test_editors_are_told_all_steps_and_classes():
    item = SCHEMA["properties"]["steps"]["items"]
    assert set(item["properties"]) == {*registry.steps(), "include", *schema.ITEM_KEYS}
    (enum, *_) = SCHEMA["definitions"]["LayerClass"]["anyOf"]
    assert set(enum["enum"]) == {*catalog.layer_names(), *catalog.operation_names()}
    config = SCHEMA["definitions"]["config_Conv2D"]["properties"]
    entry = catalog.find("Conv2D")
    assert entry is not None
    assert set(config) == {argument.name for argument in entry.arguments}


def test_it_is_small():
    assert len(json.dumps(SCHEMA)) < 400_000


def test_it_is_the_same_each_time():
    assert json.dumps(recipe_schema()) == json.dumps(SCHEMA)


@pytest.mark.parametrize("word", registry.steps())
def test_a_step_schema_stands_alone(word: str):
    Draft7Validator.check_schema(step_schema(word))
    assert [problem.message for problem in schema.problems({"strange": 1}, step_schema(word))] != []


# Misfits in words


@pytest.mark.parametrize(
    ("data", "part", "told"),
    [
        (1.0, {"type": "integer"}, "must be an integer, not 1.0"),
        (True, {"type": "integer"}, "must be an integer, not true"),
        (None, {"type": ["string", "null"]}, None),
        ("x" * 60, {"type": "number"}, f"must be a number, not '{'x' * 37}...'"),
        (5, {"minimum": 6}, "must be at least 6, not 5"),
        (5, {"maximum": 4}, "must be at most 4, not 5"),
        ([1, 2], {"uniqueItems": True, "maxItems": 1}, "must hold at most 1 items, not 2"),
        ({}, {"minProperties": 1}, "the mapping is empty"),
    ],
)
def test_a_misfit_is_said_in_words(data: object, part: dict[str, Any], told: str | None):
    assert [problem.message for problem in schema.problems(data, part)] == ([told] if told else [])


ENTRIES = [catalog.find(name) for name in (*catalog.layer_names(), *catalog.operation_names())]
ARGUMENTS = [
    (entry.name, argument) for entry in ENTRIES if entry is not None for argument in entry.arguments if argument.choices
]


def test_editors_accept_the_words_that_loading_accepts():
    differing: list[tuple[str, str, str]] = []
    for name, argument in ARGUMENTS:
        word = argument.choices[0]
        part = Draft7Validator(catalog.config_schema(name)["properties"][argument.name])
        for value in (word, word.upper(), word.title(), f"{word}s", "mine>word"):
            found = catalog.check_config(name, {argument.name: value}, partial=True)
            if part.is_valid(value) != (not found):
                differing.append((name, argument.name, value))
    assert differing == []


def test_padding_may_be_in_capitals():
    step = {"replace": {"layers": "a", "with": {"class": "Conv2D", "config": {"padding": "SAME"}}}}
    assert accepts([step])
    step["replace"]["with"]["config"]["padding"] = "SOME"  # type: ignore[index]
    assert not accepts([step])


def test_an_exact_length_is_said_as_one():
    part = {"minItems": 2, "maxItems": 2}
    assert [problem.message for problem in schema.problems([1], part)] == ["must hold 2 items, not 1"]
    assert [problem.message for problem in schema.problems([1, 2, 3], part)] == ["must hold 2 items, not 3"]
