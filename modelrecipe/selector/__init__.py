"""Which layers a step means. A selection is a value, found apart from being changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.errors import LanguageError, SelectorError
from modelrecipe.fields import Doc, Rule, fields_of
from modelrecipe.frozen import frozen
from modelrecipe.graph import Located
from modelrecipe.selector.config_match import dtype_of
from modelrecipe.selector.glob import compile_glob
from modelrecipe.selector.keys import COMPARISON, TESTS, Scene, Test, compare
from modelrecipe.selector.words import in_words, key_hint

__all__ = ["Selector", "backward_range", "compare", "compile_glob", "count_range", "dtype_of", "select"]

_RANGE = r"^\s*\d+\s*(\.\.\s*\d+\s*)?$"
_POSITIONS = ("index", "first", "last")
_COUNT = Rule({"minimum": 1})


@frozen
class Selector:
    """Which layers are meant: all keys must hold; a string is short for `name`.

    A name without a `/` is a layer's own at any depth; with one it is a path from the outermost model on, so that
    `/conv` is its layer `conv` and no nested one.

    Layers inside nested models are layers like any other, and so are the models; a model that is selected stands for
    all layers inside it. That is why no model matches a key that its layers decide: `has`, `params` and `dtype` look
    at layers alone, `trainable` at a model only when all layers inside agree, and `not` leaves out, with a layer, every
    model that holds it; so do `until`, `upstream_of` and the like with the models around their end.

    `index`, `first` and `last` count, one after the other, among the layers that the other keys leave, in the order
    of `inspect`.

    Example:
        {type: Conv2D, downstream_of: stem, last: 3, expect: 3}
    """

    name: Annotated[str | None, Doc("glob on the layer's name at any depth; with a '/', on its path")] = None
    regex: Annotated[str | None, Doc("regular expression that must match the whole path")] = None
    type_: Annotated[str | tuple[str, ...] | None, Doc("class, as Conv2D, ops.Add or package>Layer")] = None
    config: Annotated[Mapping[str, Any] | None, Doc("constructor arguments that must be equal")] = None
    index: Annotated[int | tuple[int, ...] | None, Doc("position from 0; negative counts from the end")] = None
    first: Annotated[int | None, Doc("only the first so many"), _COUNT] = None
    last: Annotated[int | None, Doc("only the last so many"), _COUNT] = None
    from_: Annotated[str | None, Doc("from this layer on, itself included")] = None
    until: Annotated[str | None, Doc("up to this layer, itself included")] = None
    upstream_of: Annotated[str | None, Doc("layers whose output reaches this layer")] = None
    downstream_of: Annotated[str | None, Doc("layers that the output of this layer reaches")] = None
    between: Annotated[
        tuple[str, ...] | None,
        Doc("downstream of the first and upstream of the second"),
        Rule({"maxItems": 2, "minItems": 2}),
    ] = None
    has: Annotated[str | None, Doc("has a weight of that name")] = None
    params: Annotated[
        str | None,
        Doc("comparison of the number of parameters, as '> 1e5'"),
        Rule({"pattern": COMPARISON, "patternErrorMessage": "must be a comparison, as '> 1e5'"}),
    ] = None
    trainable: Annotated[bool | None, Doc("frozen or not, with the flags of the models around it")] = None
    dtype: Annotated[str | None, Doc("dtype policy, as mixed_float16")] = None
    role: Annotated[Literal["input", "output"] | None, Doc("enters or leaves the model")] = None
    any_: Annotated[tuple[Selector, ...] | None, Doc("at least one of these holds")] = None
    all_: Annotated[tuple[Selector, ...] | None, Doc("each of these holds")] = None
    not_: Annotated[Selector | None, Doc("this does not hold")] = None
    expect: Annotated[
        Annotated[int, Rule({"minimum": 0})]
        | Annotated[str, Rule({"pattern": _RANGE, "patternErrorMessage": "must be a count or a range, as '1..3'"})]
        | None,
        Doc("how many must match: a count or '1..3'; without it, at least one"),
    ] = None

    schema_rule: ClassVar[Mapping[str, Any]] = {
        "minProperties": 1,
        # What people write before they have read the documentation, see `misfit`.
        "instead": {"class": "type", "class_name": "type", "layer": "name", "path": "name", "glob": "name"},
    }

    def problems(self) -> Iterator[LanguageError]:
        """What is wrong whatever the model is."""
        if self.regex is not None:
            try:
                re.compile(self.regex)
            except (re.error, OverflowError, RecursionError) as error:
                yield LanguageError(f"'{self.regex}' is no regular expression: {error}", at=("regex",))
        if self.expect is not None:
            yield from backward_range(self.expect, "expect")

    def __str__(self) -> str:
        given = self.given()
        return f"'{self.name}'" if list(given) == ["name"] else in_words(given)

    def given(self) -> dict[str, Any]:
        """The keys that are written, with their values."""
        values = {item.key: getattr(self, item.attribute) for item in fields_of(Selector)}
        return {key: value for key, value in values.items() if value is not None}


def select(checkpoint: Checkpoint, selector: Selector, *, may_be_empty: bool = False) -> list[Located]:
    """The layers that `selector` names, in the order of the graph.

    Args:
        checkpoint: the model.
        selector: which layers are meant.
        may_be_empty: whether matching nothing is an answer, as it is where `expect` admits 0.

    Raises:
        SelectorError: nothing matches (names the nearest layers and the key that emptied the match), a layer that the
            selector refers to does not exist, or the number differs from `expect`.
    """
    scene = Scene(checkpoint, list(checkpoint.layers()))
    if may_be_empty or (selector.expect is not None and count_range(selector.expect)[0] == 0):
        return _quietly(scene, selector)
    found = list(scene.layers)
    for key, narrow in _narrowings(scene, selector):
        left = narrow(found)
        if found and not left:
            raise _emptied(scene, selector, key, found)
        found = left
    _check_count(selector, found)
    return found


Narrow = Callable[[Sequence[Located]], list[Located]]


def _narrowings(scene: Scene, selector: Selector) -> Iterator[tuple[str, Narrow]]:
    """One function per key that is given, the positional ones last."""
    given = selector.given()
    for key, value in given.items():
        if key in _COMBINED or key in TESTS:
            yield key, _filter((_COMBINED.get(key) or TESTS[key])(scene, value))
    for key in _POSITIONS:
        if key in given:
            yield key, lambda found, key=key, value=given[key]: _at_positions(found, key, value)


def _filter(test: Test) -> Narrow:
    return lambda found: [located for located in found if test(located)]


def _at_positions(found: Sequence[Located], key: str, value: Any) -> list[Located]:
    if key != "index":
        return list(found[:value] if key == "first" else found[-value:])
    wanted = [value] if isinstance(value, int) else list(value)
    beyond = [number for number in wanted if not -len(found) <= number < len(found)]
    if beyond and len(beyond) < len(wanted):
        message = f"index {beyond[0]} is beyond the {len(found)} layers that the other keys match"
        raise SelectorError(message, at=("index", wanted.index(beyond[0])))
    chosen = {number if number >= 0 else number + len(found) for number in wanted}
    return [located for number, located in enumerate(found) if number in chosen]


def _by_any(scene: Scene, parts: tuple[Selector, ...]) -> Test:
    paths = {located.path for number, part in enumerate(parts) for located in _part(scene, part, "any", number)}
    return lambda located: located.path in paths


def _by_all(scene: Scene, parts: tuple[Selector, ...]) -> Test:
    sets = [{located.path for located in _part(scene, part, "all", number)} for number, part in enumerate(parts)]
    return lambda located: all(located.path in paths for paths in sets)


def _by_not(scene: Scene, part: Selector) -> Test:
    named = {located.path for located in _part(scene, part, "not")}
    around = {parent for path in named for parent in _parents(path)}
    return lambda located: located.path not in named and located.path not in around


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _part(scene: Scene, part: Selector, *at: str | int) -> list[Located]:
    """What a selector inside `any`, `all` or `not` names; nothing at all is an answer there."""
    try:
        return _quietly(scene, part)
    except SelectorError as error:
        error.at = (*at, *error.at)
        raise


def _quietly(scene: Scene, selector: Selector) -> list[Located]:
    """Matching nothing is no error, but a layer that does not exist stays one, and so does a wrong `expect`."""
    found = list(scene.layers)
    for _, narrow in _narrowings(scene, selector):
        found = narrow(found)
    if selector.expect is not None:
        _check_count(selector, found)
    return found


_COMBINED: Mapping[str, Callable[[Scene, Any], Test]] = {"any": _by_any, "all": _by_all, "not": _by_not}


def _emptied(scene: Scene, selector: Selector, key: str, found: Sequence[Located]) -> SelectorError:
    value = selector.given()[key]
    if len(found) == len(scene.layers):
        message = f"no layer matches {key} {in_words(value, quotes=True)}"
    else:
        message = (
            f"{key} {in_words(value, quotes=True)} leaves none of the {len(found)} layers that the other keys match"
        )
    return SelectorError(message, hint=key_hint(key, value, found, scene.checkpoint), at=(key,))


def _check_count(selector: Selector, found: Sequence[Located]) -> None:
    if selector.expect is None:
        if not found:
            raise SelectorError("the model has no layers to select")
        return
    low, high = count_range(selector.expect)
    if not low <= len(found) <= high:
        wanted = str(low) if low == high else f"{low} to {high}"
        shown = ", ".join(f"'{located.path}'" for located in found[:6]) + (", ..." if len(found) > 6 else "")
        raise SelectorError(
            f"{selector} matches {len(found)} layer{'s' * (len(found) != 1)}, but expect says {wanted}",
            hint=f"matched: {shown}" if found else None,
            at=("expect",),
        )


def count_range(expect: int | str) -> tuple[int, int]:
    """The least and the greatest number that `expect` (a count or `1..3`) admits."""
    if isinstance(expect, int):
        return expect, expect
    low, _, high = expect.partition("..")
    return int(low), int(high or low)


def backward_range(expect: int | str, key: str) -> Iterator[LanguageError]:
    """What is wrong with a range that no number is in, as `3..1`; `key` holds it."""
    low, high = count_range(expect)
    if low > high:
        yield LanguageError(f"the range '{expect}' runs backwards", hint=f"write '{high}..{low}'", at=(key,))
