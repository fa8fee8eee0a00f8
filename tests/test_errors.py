"""How refusals read."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrecipe import errors
from modelrecipe.errors import (
    CheckError,
    FileError,
    LanguageError,
    Place,
    Problems,
    RecipeError,
    SelectorError,
    UsageError,
    did_you_mean,
    nearest_names,
)

PLACE = Place("r.yaml", 4, 16, 3, "      layers: {typ: Dense}")
KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, RecipeError)]


def test_an_error_says_where_what_and_what_to_write():
    error = LanguageError("unknown key 'typ'", hint="did you mean 'type'?", key="rescale.layers", place=PLACE)
    assert str(error) == (
        "r.yaml:4:16: rescale.layers: unknown key 'typ'; did you mean 'type'?\n"
        "  4 |       layers: {typ: Dense}\n"
        "    |                ^^^"
    )


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RecipeError("is wrong"), "is wrong"),
        (RecipeError("is wrong", hint="write it right"), "is wrong; write it right"),
        (RecipeError("is wrong", key="save.path"), "save.path: is wrong"),
        (RecipeError("is wrong", place=Place("r.yaml", 1, 2)), "r.yaml:1:2: is wrong"),
    ],
)
def test_what_is_not_known_is_left_out(error: RecipeError, text: str):
    assert str(error) == text


def test_an_error_as_plain_data():
    error = SelectorError("no layer matches", hint="look", key="freeze.layers", place=PLACE)
    assert error.as_dict() == {
        "error": "SelectorError",
        "message": "no layer matches",
        "hint": "look",
        "key": "freeze.layers",
        "file": "r.yaml",
        "line": 4,
        "column": 16,
        "exit_code": 4,
    }
    assert FileError("gone").as_dict()["line"] is None


# Excerpts


def test_a_long_line_is_cut_around_the_spot():
    text = "a" * 100 + "HERE" + "b" * 100
    shown = Place("r.yaml", 12, 101, 4, text).excerpt()
    first, second = shown.split("\n")
    assert first == "  12 | " + "a" * 36 + "HERE" + "b" * 32
    assert second == "     | " + " " * 36 + "^^^^"


def test_a_tab_takes_one_column():
    assert Place("r.yaml", 1, 3, 1, "\t\tx").excerpt() == "  1 |   x\n    |   ^"


@given(st.text(alphabet="ab \tü✓", max_size=200), st.integers(1, 300), st.integers(0, 300))
def test_an_excerpt_fits_a_terminal_and_underlines_something(text: str, column: int, length: int):
    column = min(column, len(text) + 1)
    first, second = Place("r.yaml", 7, column, length, text).excerpt().split("\n")
    assert len(first) <= 80
    assert len(second) <= 80
    assert "^" in second


@given(st.text(alphabet="ab cd", min_size=1, max_size=150), st.data())
def test_the_carets_stand_under_the_token(text: str, data: st.DataObject):
    start = data.draw(st.integers(0, len(text) - 1))
    stop = data.draw(st.integers(start + 1, min(len(text), start + 8)))
    first, second = Place("r.yaml", 7, start + 1, stop - start, text).excerpt().split("\n")
    shown = "".join(letter for letter, mark in zip(first, second, strict=False) if mark == "^")
    assert text[start:stop].startswith(shown)
    assert shown


# Several


def test_problems_are_told_in_the_order_of_the_text():
    late = LanguageError("late", place=Place("r.yaml", 9, 1))
    early = LanguageError("early", place=Place("r.yaml", 2, 7))
    nowhere = UsageError("nowhere")
    problems = Problems([late, early, nowhere])
    assert problems.problems == [nowhere, early, late]
    assert str(problems) == "nowhere\nr.yaml:2:7: early\nr.yaml:9:1: late"


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([LanguageError("")], 3),
        ([FileError(""), LanguageError("")], 3),
        ([CheckError(""), SelectorError("")], 4),
        ([FileError(""), UsageError("")], 2),
        ([FileError("")], 1),
    ],
)
def test_problems_have_the_exit_code_of_what_fails_first(found: list[RecipeError], code: int):
    assert Problems(found).exit_code == code


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_of_error_has_an_exit_code_and_a_meaning(kind: type[RecipeError]):
    assert kind.__doc__
    if kind is not Problems:
        assert kind("is wrong").exit_code in (1, 2, 3, 4, 5, 130)
        assert Problems([kind("is wrong")]).exit_code == kind.exit_code


# Near names


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("typ", "did you mean 'type'?"),
        ("TYPE", "did you mean 'type'?"),
        ("Dens", "did you mean 'Dense'?"),
        ("frobnicate", None),
        ("", None),
    ],
)
def test_a_near_name_is_offered(word: str, hint: str | None):
    assert did_you_mean(word, ["type", "name", "Dense"]) == hint


def test_the_best_come_first():
    assert nearest_names("conv1", ["conv_2", "pool", "conv_1"]) == ["conv_1", "conv_2"]
    assert nearest_names("conv1", ["conv_2", "conv_1"], most=1) == ["conv_1"]
    assert nearest_names("x", []) == []


@given(st.text(max_size=8), st.lists(st.text(max_size=8), max_size=5))
def test_only_names_that_exist_are_offered(word: str, known: list[str]):
    assert set(nearest_names(word, known)) <= set(known)


# Names without end


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (f"no '{'x' * 5000}' here", f"no '{'x' * 59}...{'x' * 19}' here"),
        (f"--set {'y' * 5000} is wrong", f"--set {'y' * 60}...{'y' * 20} is wrong"),
        (f"no '{'a b ' * 1000}c' here", f"no '{('a b ' * 15)[:59]}...{('a b ' * 5)[-18:]}c' here"),
        ("Keras' own " + "words " * 100 + "end 'here'", "Keras' own " + "words " * 100 + "end 'here'"),
        (f"'{'/folder' * 40}' does not exist", f"'{'/folder' * 40}' does not exist"),
    ],
)
def test_a_name_without_end_is_cut_in_its_middle(message: str, told: str):
    assert str(RecipeError(message)) == told
    assert RecipeError(message).as_dict()["message"] == told
    assert str(RecipeError("a", hint=message)) == f"a; {told}"


def test_an_excerpt_is_cut_for_a_narrow_terminal():
    place = Place("r.yaml", 4, 61, 4, "a" * 60 + "HERE" + "b" * 60)
    first, second = place.excerpt(60).split("\n")
    assert first == "  4 | " + "a" * 27 + "HERE" + "b" * 23
    assert second == "    | " + " " * 27 + "^^^^"
    assert str(RecipeError("wrong", place=place)).startswith(RecipeError("wrong", place=place).told(80))
