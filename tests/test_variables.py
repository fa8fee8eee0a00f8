"""Variables: declared, given, put in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrecipe.errors import Problems, RecipeError, UsageError
from modelrecipe.recipe import load_recipe
from modelrecipe.recipe.given import given_on_command_line
from modelrecipe.recipe.variables import (
    UNKNOWN,
    Scope,
    is_unknown,
    open_scope,
    relative_path,
    unused,
)
from modelrecipe.source import parse_source

SCOPE = Scope(values={"n": 3, "rate": 1e-3, "flag": True, "name": "a", "shape": [None, 5], "größe": "x"})


def put_in(data: Any, scope: Scope = SCOPE) -> tuple[Any, list[str]]:
    found: list[RecipeError] = []
    value = scope.put_in(data, (), found)
    return value, [str(error) for error in found]


def value_of(kind: str, *pairs: str, files: tuple[Path, ...] = (), more: str = "") -> Any:
    """What a variable of that type is when it is given so."""
    source = parse_source(f"version: 1\nvars:\n  v: {{type: {kind}{more}}}\nsteps:\n  - load: ${{v}}\n", "r.yaml")
    found: list[RecipeError] = []
    scope = open_scope(source, given_on_command_line(pairs, files), found, root=Path())
    if found:
        raise Problems(found)
    return scope.values["v"]


def refusal(*arguments: Any, **options: Any) -> str:
    with pytest.raises(Problems) as caught:
        value_of(*arguments, **options)
    return str(caught.value).partition("\n")[0]


# Putting in


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("${n}", 3),
        ("${flag}", True),
        ("${shape}", [None, 5]),
        ("x${n}y", "x3y"),
        ("${n}${rate}", "30.001"),
        ("is ${flag}", "is true"),
        ("${name}/${name}", "a/a"),
        ("$${n}", "${n}"),
        ("$n {n} $", "$n {n} $"),
        ({"a": ["${n}", {"b": "${name}"}]}, {"a": [3, {"b": "a"}]}),
        (5, 5),
        (None, None),
    ],
)
def test_a_variable_is_put_in_with_its_type(data: Any, value: Any):
    assert put_in(data) == (value, [])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("${nam}", "unknown variable 'nam'; did you mean 'name'?"),
        ("x${elsewhere}", "unknown variable 'elsewhere'; declare it under vars"),
        ("${}", "'${}' is no variable; write ${name}, or $${ for the characters themselves"),
        ("${n + 1}", "'${n + 1}' is no variable; write ${name}, or $${ for the characters themselves"),
        ("${n", "'${n' is no variable; write ${name}, or $${ for the characters themselves"),
        ("${größe}", "'${größe}' is no variable; write ${name}, or $${ for the characters themselves"),
        (
            "a${shape}",
            "variable 'shape' is a list, and cannot stand inside a text; let \"${shape}\" be the whole value",
        ),
        ({"${n}": 1}, "key '${n}' cannot hold a variable"),
    ],
)
def test_what_cannot_be_put_in_is_refused(data: Any, text: str):
    value, found = put_in(data)
    assert found == [text]
    assert is_unknown(value) or isinstance(data, dict)


def test_a_variable_whose_value_is_wrong_causes_no_second_error():
    value, found = put_in(["${bad}", "x${bad}"], Scope(values={}, broken=frozenset({"bad"})))
    assert (value, found) == ([UNKNOWN, UNKNOWN], [])
    assert is_unknown({"a": value})


@given(st.recursive(st.text(max_size=8) | st.integers(), lambda inner: st.lists(inner, max_size=3), max_leaves=6))
def test_data_without_variables_are_untouched(data: Any):
    if "${" not in str(data):
        assert put_in(data) == (data, [])


@given(st.text(alphabet="a${}n ", max_size=12))
def test_any_text_is_put_in_or_refused(text: str):
    value, found = put_in(text)
    assert found or not is_unknown(value)


# Values


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", "012", "012"),
        ("string", "true", "true"),
        ("string", "", ""),
        ("string", "a: b", "a: b"),
        ("string", "[1", "[1"),
        ("string", "x=y", "x=y"),
        ("integer", "5", 5),
        ("integer", "-0", 0),
        ("number", "1e-3", 0.001),
        ("number", "5", 5),
        ("boolean", "true", True),
        ("list", "[1, a]", [1, "a"]),
        ("list", "[]", []),
        ("path", "m/../n.keras", "n.keras"),
        ("path", "5", "5"),
    ],
)
def test_set_is_read_as_the_type_says(
    kind: str, text: str, value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    found = value_of(kind, f"v={text}")
    assert found == value
    assert type(found) is type(value)


def test_the_last_one_given_counts(tmp_path: Path):
    file = tmp_path / "vars.yaml"
    file.write_text("v: 1\n", encoding="utf-8")
    assert value_of("integer", files=(file,)) == 1
    assert value_of("integer", "v=3", files=(file,)) == 3
    assert value_of("integer", files=(file,), more=", default: 7") == 1


def test_the_environment_is_asked_only_where_the_recipe_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RECIPE_V", "4")
    monkeypatch.setenv("v", "5")
    assert value_of("integer", more=", env: RECIPE_V, default: 7") == 4
    assert value_of("integer", more=", default: 7") == 7
    assert value_of("integer", "v=6", more=", env: RECIPE_V") == 6
    assert value_of("string", more=", env: RECIPE_V") == "4"


def test_a_path_is_relative_to_where_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = "version: 1\nvars: {source: {type: path, default: here.keras}}\nsteps:\n  - load: ${source}\n"
    for folder in ("recipes", "values", "work"):
        (tmp_path / folder).mkdir()
    recipe = tmp_path / "recipes" / "r.yaml"
    recipe.write_text(text, encoding="utf-8")
    file = tmp_path / "values" / "v.yaml"
    file.write_text("source: in_values.keras\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path / "work")

    def loaded(given: Any) -> Any:
        return load_recipe("../recipes/r.yaml", given).steps[0].data

    assert loaded(None) == "here.keras"
    assert loaded(given_on_command_line((), (file,))) == "../values/in_values.keras"
    assert loaded(given_on_command_line(("source=m.keras",), (file,))) == "../work/m.keras"
    assert loaded({"source": "m.keras"}) == "../work/m.keras"
    assert loaded({"source": Path("m.keras")}) == "../work/m.keras"
    assert loaded({"source": tmp_path / "m.keras"}) == "../m.keras"


def test_a_default_may_hold_the_characters_of_a_variable():
    assert value_of("string", more=', default: "$${v}"') == "${v}"


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        ("integer", "5.0", "must be of type integer, but --set v=5.0 is 5.0; write 5"),
        ("integer", "true", "must be of type integer, but --set v=true is true"),
        ("integer", "many", "must be of type integer, but --set v=many is 'many'"),
        ("number", "", "must be of type number, but --set v= is null"),
        ("boolean", "yes", "must be of type boolean, but --set v=yes is 'yes'"),
        ("list", "a", "must be of type list, but --set v=a is 'a'; write [a, b]"),
    ],
)
def test_a_value_of_another_type_is_refused(kind: str, text: str, told: str):
    assert refusal(kind, f"v={text}") == f"r.yaml:3:3: variable 'v' {told}"


def test_a_value_that_is_no_yaml_is_refused():
    assert refusal("list", "v=[1") == "r.yaml:3:3: --set v=[1: '[' is never closed; variable 'v' is of type list"


# The command line


@pytest.mark.parametrize(
    ("pair", "text"),
    [
        ("factor", "--set factor: there is no '='; write --set name=value"),
        ("=3", "--set =3: there is no name; write --set name=value"),
    ],
)
def test_a_pair_needs_a_name_and_a_value(pair: str, text: str):
    with pytest.raises(UsageError) as caught:
        given_on_command_line((pair,), ())
    assert str(caught.value) == text


def test_two_pairs_for_one_name_are_refused():
    with pytest.raises(UsageError) as caught:
        given_on_command_line(("f=1", "g=1", " f=2"), ())
    assert str(caught.value) == "--set gives 'f' two values, '1' and '2'; leave one out"


def test_a_wrong_text_in_a_file_of_values_is_wrong_usage(tmp_path: Path):
    file = tmp_path / "v.yaml"
    file.write_text("f: [1\n", encoding="utf-8")
    with pytest.raises(Problems) as caught:
        given_on_command_line((), (file,))
    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        f"{file}:1:4: '[' is never closed; write the ']' that ends the list\n  1 | f: [1\n    |    ^"
    )


def test_a_file_of_values_is_a_mapping(tmp_path: Path):
    file = tmp_path / "v.yaml"
    file.write_text("- 1\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        given_on_command_line((), (file,))
    assert str(caught.value) == f"'{file}' is no mapping of names to values; write lines as 'factor: 0.8'"


# Use


def test_a_variable_counts_as_used_wherever_it_stands():
    declared = "{a: {type: string}, b: {type: string}, c: {type: string}}"
    text = f'version: 1\nname: ${{a}}\nvars: {declared}\nsteps: [x: "y-${{b}}"]\n'
    assert [str(error).partition(";")[0] for error in unused(parse_source(text, "r.yaml"))] == [
        "r.yaml:3:46: variable 'c' is declared but not used"
    ]


@pytest.mark.parametrize(
    ("path", "root", "relative"),
    [("a/m", "a", "m"), ("m", "a/b", "../../m"), ("a/../m", ".", "m"), ("/x/m", "/x", "m")],
)
def test_a_relative_path_has_forward_slashes(path: str, root: str, relative: str):
    assert relative_path(Path(path), Path(root)) == relative
