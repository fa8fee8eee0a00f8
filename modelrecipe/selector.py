"""Which layers a step means. A selection is a value, found apart from being changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.errors import SelectorError, nearest_names
from modelrecipe.fields import Doc, Rule, fields_of
from modelrecipe.flow import Flow
from modelrecipe.graph import Located
from modelrecipe.weights import matches_weight

_COMPARISON = r"^\s*(<=|>=|==|<|>)\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*$"
_RANGE = r"^\s*\d+\s*(\.\.\s*\d+\s*)?$"
_POSITIONS = ("index", "first", "last")
_COUNT = Rule({"minimum": 1})


@dataclass(frozen=True, kw_only=True)
class Selector:
    """Which layers are meant: all keys must hold; a string is short for `name`.

    `index`, `first` and `last` count among the layers that the other keys leave, in the order of `inspect`.

    Example:
        {type: Conv2D, downstream_of: stem, last: 3, expect: 3}
    """

    name: Annotated[str | None, Doc("glob on the layer's name at any depth, or on its path when it holds a '/'")] = None
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
        tuple[str, ...] | None, Doc("downstream of the first and upstream of the second"), Rule({"maxItems": 2, "minItems": 2})
    ] = None
    has: Annotated[str | None, Doc("has a weight of that name")] = None
    params: Annotated[
        str | None,
        Doc("comparison of the number of parameters, as '> 1e5'"),
        Rule({"pattern": _COMPARISON, "patternErrorMessage": "must be a comparison, as '> 1e5'"}),
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

    schema_rule: ClassVar[Mapping[str, Any]] = {"minProperties": 1}

    def problems(self) -> Iterator[SelectorError]:
        """What is wrong whatever the model is."""
        if self.regex is not None:
            try:
                re.compile(self.regex)
            except re.error as error:
                yield SelectorError(f"'{self.regex}' is no regular expression: {error}", at=("regex",))

    def __str__(self) -> str:
        given = {item.key: getattr(self, item.attribute) for item in fields_of(Selector)}
        given = {key: value for key, value in given.items() if value is not None}
        if list(given) == ["name"]:
            return f"'{self.name}'"
        return "{" + ", ".join(f"{key}: {_shown(value)}" for key, value in given.items()) + "}"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_shown(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shown(item)}" for key, item in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def select(checkpoint: Checkpoint, selector: Selector) -> list[Located]:
    """The layers that `selector` names, in the order of the graph.

    Raises:
        SelectorError: nothing matches (names the nearest layers and the key that emptied the match), a layer that the
            selector refers to does not exist, or the number differs from `expect`.
    """
    scene = _Scene(checkpoint, list(checkpoint.layers()))
    may_be_empty = selector.expect is not None and count_range(selector.expect)[0] == 0
    found = _quietly(scene, selector) if may_be_empty else _select(scene, selector)
    _check_count(selector, found)
    return found


@dataclass(frozen=True)
class _Scene:
    checkpoint: Checkpoint
    layers: Sequence[Located]

    @property
    def flow(self) -> Flow:
        return Flow.of(self.checkpoint.model)

    def one(self, name: str, key: str) -> Located:
        """The single layer that `name` names; other keys refer to layers by it."""
        test = _glob(name)
        found = [located for located in self.layers if test(located)]
        if len(found) == 1:
            return found[0]
        if found:
            paths = ", ".join(f"'{located.path}'" for located in found[:4])
            raise SelectorError(
                f"'{name}' is not one layer but {len(found)}: {paths}", hint="write the path of one", at=(key,)
            )
        raise SelectorError(f"there is no layer '{name}'", hint=_nearest_hint(name, self.layers), at=(key,))


def _select(scene: _Scene, selector: Selector) -> list[Located]:
    found = list(scene.layers)
    for key, narrow in _narrowings(scene, selector):
        left = narrow(found)
        if found and not left:
            raise _emptied(selector, key, found, scene.layers)
        found = left
    return found


Narrow = Callable[[Sequence[Located]], list[Located]]


def _narrowings(scene: _Scene, selector: Selector) -> Iterator[tuple[str, Narrow]]:
    """One function per key that is given, the positional ones last."""
    for item in fields_of(Selector):
        value = getattr(selector, item.attribute)
        if value is not None and item.key in _TESTS:
            yield item.key, _filter(_TESTS[item.key](scene, value))
    for key in _POSITIONS:
        value = getattr(selector, key)
        if value is not None:
            yield key, lambda found, key=key, value=value: _at_positions(found, key, value)


def _filter(test: Callable[[Located], bool]) -> Narrow:
    return lambda found: [located for located in found if test(located)]


def _at_positions(found: Sequence[Located], key: str, value: int | tuple[int, ...]) -> list[Located]:
    if key == "first":
        return list(found[:value])  # type: ignore[misc]
    if key == "last":
        return list(found[-value:])  # type: ignore[operator]
    wanted = {value} if isinstance(value, int) else set(value)
    chosen = {number if number >= 0 else number + len(found) for number in wanted}
    return [located for number, located in enumerate(found) if number in chosen]


def _by_name(_: _Scene, pattern: str) -> Callable[[Located], bool]:
    return _glob(pattern)


def _glob(pattern: str) -> Callable[[Located], bool]:
    compiled = compile_glob(pattern)
    if "/" in pattern:
        return lambda located: located.path == pattern or compiled.fullmatch(located.path) is not None
    return lambda located: located.layer.name == pattern or compiled.fullmatch(located.layer.name) is not None


@lru_cache(maxsize=256)
def compile_glob(pattern: str) -> re.Pattern[str]:
    """A glob as a regular expression: `*` and `?` stay within a name, `**/` crosses any number of them."""
    out, rest = "", pattern
    while rest:
        if rest.startswith("**/"):
            out, rest = out + "(?:.*/)?", rest[3:]
        elif rest.startswith("**"):
            out, rest = out + ".*", rest[2:]
        elif (found := re.match(r"\[!?[^\]]+\]", rest)) is not None:
            inside = found.group()[1:-1]
            body = "^" + inside[1:] if inside.startswith("!") else inside
            out, rest = out + "[" + body.replace("\\", r"\\") + "]", rest[found.end() :]
        else:
            out, rest = out + {"*": "[^/]*", "?": "[^/]"}.get(rest[0], re.escape(rest[0])), rest[1:]
    return re.compile(out, re.DOTALL)


def _by_regex(_: _Scene, pattern: str) -> Callable[[Located], bool]:
    compiled = re.compile(pattern)
    return lambda located: compiled.fullmatch(located.path) is not None


def _by_type(_: _Scene, wanted: str | tuple[str, ...]) -> Callable[[Located], bool]:
    names = {wanted} if isinstance(wanted, str) else set(wanted)

    def test(located: Located) -> bool:
        layer = located.layer
        if layer.is_operation:
            return bool(names & {layer.class_name, f"ops.{layer.class_name}"})
        return bool(names & {layer.class_name, f"layers.{layer.class_name}", layer.registered_name})

    return test


def _by_config(_: _Scene, wanted: Mapping[str, Any]) -> Callable[[Located], bool]:
    return lambda located: _contains(located.layer.config, wanted)


def _contains(config: Any, wanted: Any) -> bool:
    """Whether every key of `wanted` stands in `config` with an equal value; `{class: X}` fits a serialised object."""
    if isinstance(wanted, Mapping) and isinstance(config, Mapping):
        return all(
            _contains(config.get({"class": "class_name"}.get(key, key)), value) for key, value in wanted.items()
        )
    if isinstance(config, Mapping) and isinstance(wanted, str):
        inner = config.get("config")
        return wanted == config.get("class_name") or (isinstance(inner, Mapping) and inner.get("name") == wanted)
    if isinstance(wanted, bool) or isinstance(config, bool):
        return config is wanted
    if isinstance(config, list | tuple) and isinstance(wanted, int):
        return all(item == wanted for item in config)
    return list(config) == list(wanted) if isinstance(config, tuple) else config == wanted


def _by_range(scene: _Scene, name: str, *, after: bool) -> Callable[[Located], bool]:
    pivot = scene.one(name, "from" if after else "until")
    numbers = {located.path: number for number, located in enumerate(scene.layers)}
    here = numbers[pivot.path]
    if after:
        return lambda located: numbers[located.path] >= here
    # What stands inside the pivot is listed behind it and belongs to it.
    inside = f"{pivot.path}/"
    return lambda located: numbers[located.path] <= here or located.path.startswith(inside)


def _by_flow(scene: _Scene, name: str, key: str) -> Callable[[Located], bool]:
    pivot = scene.one(name, key)
    reached = scene.flow.upstream(pivot.path) if key == "upstream_of" else scene.flow.downstream(pivot.path)
    return lambda located: located.path in reached


def _by_between(scene: _Scene, ends: tuple[str, ...]) -> Callable[[Located], bool]:
    after = scene.flow.downstream(scene.one(ends[0], "between").path)
    before = scene.flow.upstream(scene.one(ends[1], "between").path)
    return lambda located: located.path in after and located.path in before


def _by_weight(scene: _Scene, name: str) -> Callable[[Located], bool]:
    return lambda located: any(matches_weight(tensor, name) for tensor in scene.checkpoint.tensors(located))


def _by_params(scene: _Scene, comparison: str) -> Callable[[Located], bool]:
    def test(located: Located) -> bool:
        sizes = [tensor.size for tensor in scene.checkpoint.tensors(located) if not tensor.is_random_state]
        return compare(sum(size or 0 for size in sizes), comparison)

    return test


def compare(value: float, comparison: str) -> bool:
    """Whether `value` meets a comparison such as `> 1e5`.

    Raises:
        SelectorError: the text is no comparison.
    """
    found = re.match(_COMPARISON, comparison)
    if found is None:
        raise SelectorError(f"'{comparison}' is no comparison", hint="write one as '> 1e5'")
    sign, number = found.group(1), float(found.group(2))
    return {
        "<": value < number,
        "<=": value <= number,
        ">": value > number,
        ">=": value >= number,
        "==": value == number,
    }[sign]


def dtype_of(config: Mapping[str, Any]) -> str | None:
    """The name of the dtype policy in a layer's configuration."""
    dtype = config.get("dtype")
    if isinstance(dtype, Mapping):
        inner = dtype.get("config")
        return inner.get("name") if isinstance(inner, Mapping) else None
    return dtype if isinstance(dtype, str) else None


def _by_role(scene: _Scene, role: str) -> Callable[[Located], bool]:
    graph = scene.checkpoint.model.graph
    if graph is None:
        return lambda located: False
    if role == "input":
        return lambda located: located.layer.is_input and len(located.parents) == 1
    return lambda located: len(located.parents) == 1 and graph.is_output(located.layer.name)


def _by_any(scene: _Scene, parts: tuple[Selector, ...]) -> Callable[[Located], bool]:
    paths = {located.path for part in parts for located in _quietly(scene, part)}
    return lambda located: located.path in paths


def _by_all(scene: _Scene, parts: tuple[Selector, ...]) -> Callable[[Located], bool]:
    sets = [{located.path for located in _quietly(scene, part)} for part in parts]
    return lambda located: all(located.path in paths for paths in sets)


def _quietly(scene: _Scene, selector: Selector) -> list[Located]:
    """Inside `any`, `all` and `not`, matching nothing is an answer, but a layer that does not exist stays an error."""
    found = list(scene.layers)
    for _, narrow in _narrowings(scene, selector):
        found = narrow(found)
    return found


_TESTS: Mapping[str, Callable[[_Scene, Any], Callable[[Located], bool]]] = {
    "name": _by_name,
    "regex": _by_regex,
    "type": _by_type,
    "config": _by_config,
    "from": lambda scene, name: _by_range(scene, name, after=True),
    "until": lambda scene, name: _by_range(scene, name, after=False),
    "upstream_of": lambda scene, name: _by_flow(scene, name, "upstream_of"),
    "downstream_of": lambda scene, name: _by_flow(scene, name, "downstream_of"),
    "between": _by_between,
    "has": _by_weight,
    "params": _by_params,
    "trainable": lambda _, flag: lambda located: located.is_effectively_trainable is flag,
    "dtype": lambda _, name: lambda located: dtype_of(located.layer.config) == name,
    "role": _by_role,
    "any": _by_any,
    "all": _by_all,
    "not": lambda scene, part: lambda located, paths=frozenset(l.path for l in _quietly(scene, part)): (
        located.path not in paths
    ),
}


def _emptied(selector: Selector, key: str, found: Sequence[Located], everything: Sequence[Located]) -> SelectorError:
    value = getattr(selector, key if hasattr(selector, key) else f"{key}_")
    if len(found) == len(everything):
        message = f"no layer matches {key} {_quoted(value)}"
    else:
        message = f"{key} {_quoted(value)} leaves none of the {len(found)} layers that the other keys match"
    return SelectorError(message, hint=_key_hint(key, value, found), at=(key,))


def _quoted(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else _shown(value)


def _key_hint(key: str, value: object, found: Sequence[Located]) -> str | None:
    if key in ("name", "regex") and isinstance(value, str):
        return _nearest_hint(value, found)
    if key == "type":
        present = sorted({located.layer.kind_name for located in found if not located.layer.is_input})
        wanted = value if isinstance(value, str) else str(value)
        near = nearest_names(wanted, present)
        shown = ", ".join(near or present[:8])
        return f"nearest types here: {shown}" if near else f"types here: {shown}"
    return None


def _nearest_hint(pattern: str, found: Sequence[Located]) -> str:
    names = [located.path if "/" in pattern else located.layer.name for located in found]
    near = nearest_names(re.sub(r"[*?\[\]]", "", pattern), names) or names[:5]
    return "nearest layers: " + ", ".join(f"'{name}'" for name in near)


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
            f"{selector} matches {len(found)} layers, but expect says {wanted}", hint=f"matched: {shown}", at=("expect",)
        )


def count_range(expect: int | str) -> tuple[int, int]:
    """The least and the greatest number that `expect` (a count or `1..3`) admits."""
    if isinstance(expect, int):
        return expect, expect
    low, _, high = expect.partition("..")
    return int(low), int(high or low)
