"""Caches of values that never change, by identity: comparing two large graphs would cost more than it saves."""

from __future__ import annotations

from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Key = TypeVar("Key")
Result = TypeVar("Result")


class _Same(Generic[Key]):
    """Equal to another one only when both hold the very same value, which lives as long as this does."""

    def __init__(self, value: Key) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value


def cached_by_identity(maxsize: int) -> Callable[[Callable[[Key], Result]], Callable[[Key], Result]]:
    """Remember what a function gave for its last few values; sound where a value never changes.

    Args:
        maxsize: how many results are kept.
    """

    def decorated(function: Callable[[Key], Result]) -> Callable[[Key], Result]:
        @lru_cache(maxsize=maxsize)
        def cached(same: _Same[Any]) -> Result:
            return function(same.value)

        @wraps(function)
        def asked(value: Key) -> Result:
            return cached(_Same(value))

        return asked

    return decorated
