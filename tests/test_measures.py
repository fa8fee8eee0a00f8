from __future__ import annotations

import pytest

from modelrecipe import measures


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (None, "?")]
)
def test_sizes(number: int | None, said: str):
    assert measures.size(number) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "about 0 B"), (996, "about 1 kB"), (88_900, "about 89 kB"), (6 * 10**8, "about 600 MB"), (None, "?")],
)
def test_an_estimate_has_two_digits(number: int | None, said: str):
    assert measures.about(number) == said


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 0, "0%"), (1, 10**6, "<0.1%"), (10**6 - 1, 10**6, ">99.9%"), (5, 5, "100%"), (1, 3, "33.3%"), (None, 3, "?")],
)
def test_a_share_is_never_rounded_to_none_or_all(part: int | None, whole: int, said: str):
    assert measures.share(part, whole) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [(0.004, "0.00 s"), (9.994, "9.99 s"), (12.34, "12.3 s"), (200, "3 min 20 s"), (7260, "2 h 1 min")],
)
def test_durations(number: float, said: str):
    assert measures.seconds(number) == said


@pytest.mark.parametrize(
    ("sizes", "said"),
    [((None, 5), "(None, 5)"), ((3,), "(3,)"), ((), "()"), (None, "?")],
)
def test_shapes_as_keras_prints_them(sizes: tuple[int | None, ...] | None, said: str):
    assert measures.shape(sizes) == said


def test_names_are_quoted_and_the_rest_counted():
    assert measures.quoted(["a"]) == "'a'"
    assert measures.quoted(["a", "b", "c", "d"]) == "'a', 'b', 'c', 'd'"
    assert measures.quoted(["a", "b", "c"], most=2) == "'a', 'b' and 1 more"


def test_differences_are_signed_and_equal_ones_silent():
    assert measures.difference(1000, 3000) == "+2,000"
    assert measures.difference(3, 1) == "-2"
    assert measures.difference(3, 3) == ""
    assert measures.difference(None, 3) == ""
