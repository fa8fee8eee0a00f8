"""What a frozen dataclass does, a class made frozen does too."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import pytest

from modelrecipe.frozen import frozen


@frozen
class Point:
    """A place."""

    x: float
    y: float = 0.0
    notes: dict[str, str] = field(default_factory=dict, repr=False)
    made_by: str = field(default="", compare=False)

    @cached_property
    def sum(self) -> float:
        return self.x + self.y


@dataclass(frozen=True, kw_only=True)
class Peer:
    x: float
    y: float = 0.0
    notes: dict[str, str] = field(default_factory=dict, repr=False)
    made_by: str = field(default="", compare=False)


@frozen(kw_only=False)
class Pair:
    """Two things, given in order."""

    one: Any
    other: Any = None


@frozen
class Place(Point):
    """A place with a name and a number that is not given."""

    name: str
    number: int = field(default=7, init=False)
    path: list[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", [self.name])


@pytest.mark.parametrize("given", [{"x": 1}, {"x": 1, "y": 2}, {"y": 3, "x": 1, "notes": {"a": "b"}, "made_by": "me"}])
def test_fields_are_those_of_a_dataclass(given: dict[str, Any]):
    point, peer = Point(**given), Peer(**given)
    assert asdict(point) == asdict(peer)  # type: ignore[call-overload]
    assert repr(point) == repr(peer).replace("Peer", "Point")
    assert [item.name for item in fields(Point)] == [item.name for item in fields(Peer)]  # type: ignore[arg-type]
    assert replace(point, x=5) == Point(**given | {"x": 5})  # type: ignore[type-var]


def test_values_are_equal_where_compared_fields_are():
    assert Point(x=1, made_by="a") == Point(x=1, made_by="b")
    assert Point(x=1) != Point(x=1, y=1)
    assert Point(x=1) != Peer(x=1)
    assert Pair(1) != Place(x=1, name="a")
    assert hash(Pair(1, "a")) == hash(Pair(1, "a"))
    assert len({Pair(1), Pair(1), Pair(2)}) == 2
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point(x=1))  # as its notes are


def test_each_has_a_default_of_its_own():
    assert Point(x=1).notes is not Point(x=1).notes


def test_nothing_changes():
    point = Point(x=1)
    with pytest.raises(FrozenInstanceError, match="cannot change 'x'"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError, match="cannot change 'y'"):
        del point.y
    assert (point.sum, point.sum, point) == (1, 1, Point(x=1))


def test_heirs_add_fields():
    place = Place(x=1, name="a")
    assert (place.number, place.path, place.y) == (7, ["a"], 0.0)
    assert place == Place(x=1, name="a")
    assert place != Place(x=1, name="b")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Point(), "Point needs x"),
        (lambda: Point(x=1, z=2), "Point has no z"),
        (lambda: Point(z=1, a=2), "Point needs x and has no a, z"),
        (lambda: Point(1), "Point takes nothing by position, each once"),
        (lambda: Pair(1, 2, 3), "Pair takes one, other by position, each once"),
        (lambda: Pair(1, one=1), "Pair takes one, other by position, each once"),
        (lambda: Place(x=1, name="a", number=3), "Place has no number"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, told: str):
    with pytest.raises(TypeError, match=f"^{told}$"):
        make()


def test_copies_are_equal():
    point = Point(x=1, notes={"a": "b"})
    assert copy.copy(point) == copy.deepcopy(point) == pickle.loads(pickle.dumps(point)) == point


def test_a_class_keeps_what_it_says_itself():
    @frozen
    class Any2:
        x: int

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 3

        def __repr__(self) -> str:
            return "any"

    assert Any2(x=1) == Any2(x=2)
    assert (hash(Any2(x=1)), repr(Any2(x=1))) == (3, "any")


def test_a_circle_is_shown():
    pair = Pair([])
    pair.one.append(pair)
    assert repr(pair) == "Pair(one=[...], other=None)"
