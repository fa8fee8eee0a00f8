"""Caches by identity: equal values are not the same value."""

from __future__ import annotations

from modelrecipe.identity import cached_by_identity


def test_the_same_value_is_asked_once_and_an_equal_one_again():
    asked: list[list[int]] = []

    @cached_by_identity(maxsize=2)
    def total(values: list[int]) -> int:
        asked.append(values)
        return sum(values)

    one, equal = [1, 2], [1, 2]
    assert [total(one), total(one), total(equal), total(one)] == [3, 3, 3, 3]
    assert [values is one for values in asked] == [True, False]


def test_the_oldest_result_is_forgotten():
    asked: list[object] = []
    ask = cached_by_identity(maxsize=1)(asked.append)
    one, other = object(), object()
    for value in (one, other, one):
        ask(value)
    assert asked == [one, other, one]
