"""What one key of a selector asks of a layer: a function from the key's value to a test.

The keys that hold selectors of their own (`any`, `all`, `not`) are `selector`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelrecipe import catalog
from modelrecipe.errors import SelectorError
from modelrecipe.flow import Flow
from modelrecipe.frozen import frozen
from modelrecipe.graph import Layer, Located, walk
from modelrecipe.selector.config_match import contains, dtype_of
from modelrecipe.selector.glob import matcher
from modelrecipe.selector.words import nearest_hint
from modelrecipe.weights import matches_weight

if TYPE_CHECKING:
    from modelrecipe.checkpoint import Checkpoint

COMPARISON = r"^\s*(<=|>=|==|<|>)\s*(-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*$"

Test = Callable[[Located], bool]


@frozen(kw_only=False)
class Scene:
    """A model with its layers in their order, for tests that look beyond one layer."""

    checkpoint: Checkpoint
    layers: Sequence[Located]

    @property
    def flow(self) -> Flow:
        """What reaches what."""
        return Flow.of(self.checkpoint.model)

    def one(self, name: str, *at: str | int) -> Located:
        """The single layer that `name` names; other keys refer to layers by it."""
        test = matcher(name)
        found = [located for located in self.layers if test(located)]
        if len(found) == 1:
            return found[0]
        if found:
            paths = ", ".join(f"'{_full(located.path)}'" for located in found[:4]) + (", ..." if found[4:] else "")
            raise SelectorError(f"'{name}' is not one layer but {len(found)}: {paths}", hint="write one of them", at=at)
        raise SelectorError(f"there is no layer '{name}'", hint=nearest_hint(name, self.layers), at=at)


def _full(path: str) -> str:
    """A path that names one layer alone."""
    return path if "/" in path else f"/{path}"


def _by_regex(_: Scene, pattern: str) -> Test:
    compiled = re.compile(pattern)
    return lambda located: compiled.fullmatch(located.path) is not None


def _by_type(_: Scene, wanted: str | tuple[str, ...]) -> Test:
    names = {wanted} if isinstance(wanted, str) else set(wanted)
    names |= {known for name in names for known in _further_names(name)}

    def test(located: Located) -> bool:
        layer = located.layer
        if layer.is_operation:
            return bool(names & {layer.class_name, f"ops.{layer.class_name}"})
        return bool(names & {layer.class_name, f"layers.{layer.class_name}", layer.registered_name})

    return test


def _further_names(name: str) -> Iterator[str]:
    """The name under which files know the class, of one that Keras has several names for: `Convolution2D`."""
    prefix, _, rest = name.rpartition("layers.")
    entry = catalog.find(rest)
    if entry is not None and not entry.is_operation:
        yield f"layers.{entry.class_name}" if prefix or rest != name else entry.class_name


def _by_config(_: Scene, wanted: Mapping[str, Any]) -> Test:
    return lambda located: contains(located.layer.config, wanted)


def _by_range(scene: Scene, name: str, key: str) -> Test:
    pivot = scene.one(name, key)
    numbers = {located.path: number for number, located in enumerate(scene.layers)}
    here = numbers[pivot.path]
    if key == "from":
        return lambda located: numbers[located.path] >= here
    # What stands inside the pivot is listed behind it and belongs to it; a model around it goes on behind it.
    inside = f"{pivot.path}/"
    return lambda located: (
        (numbers[located.path] <= here and not _holds(located, pivot.path)) or located.path.startswith(inside)
    )


def _holds(model: Located, path: str) -> bool:
    return path.startswith(f"{model.path}/")


def _by_flow(scene: Scene, name: str, key: str) -> Test:
    pivot = scene.one(name, key)
    reached = scene.flow.upstream(pivot.path) if key == "upstream_of" else scene.flow.downstream(pivot.path)
    return lambda located: located.path in reached and not _holds(located, pivot.path)


def _by_between(scene: Scene, ends: tuple[str, ...]) -> Test:
    first, second = (scene.one(name, "between", number).path for number, name in enumerate(ends))
    reached = scene.flow.downstream(first) & scene.flow.upstream(second)
    return lambda located: located.path in reached and not _holds(located, first) and not _holds(located, second)


def _by_weight(scene: Scene, name: str) -> Test:
    return lambda located: (
        located.layer.graph is None
        and any(matches_weight(tensor, name) for tensor in scene.checkpoint.tensors(located))
    )


def _by_params(scene: Scene, comparison: str) -> Test:
    def test(located: Located) -> bool:
        if located.layer.graph is not None:
            return False
        sizes = [tensor.size for tensor in scene.checkpoint.tensors(located) if not tensor.is_random_state]
        if None in sizes or (not sizes and _may_have_more(located.layer)):
            raise SelectorError(
                f"only Keras can tell the size of '{located.path}'",
                hint="name the layer, or let a check or save stand before this step",
                at=("params",),
            )
        return compare(sum(size for size in sizes if size is not None), comparison)

    return test


def _may_have_more(layer: Layer) -> bool:
    """Whether a new layer was not measured yet, and the catalog cannot tell whether it has variables."""
    is_measured = all(ref.shape is not None for call in layer.calls for ref in call.refs())
    return layer.is_new and not is_measured and catalog.variables(layer.kind_name, layer.config) is None


def _by_flag(_: Scene, wanted: bool) -> Test:
    def test(located: Located) -> bool:
        inner = [
            Located(path=leaf.path, layer=leaf.layer, parents=(*located.parents, *leaf.parents))
            for leaf in walk(located.layer)
            if leaf.layer.graph is None and not leaf.layer.is_input and not leaf.layer.is_operation
        ]
        return all(leaf.is_effectively_trainable is wanted for leaf in inner or [located])

    return test


def compare(value: float, comparison: str) -> bool:
    """Whether `value` meets a comparison such as `> 1e5`.

    Raises:
        SelectorError: the text is no comparison.
    """
    found = re.match(COMPARISON, comparison)
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


def _by_role(scene: Scene, role: str) -> Callable[[Located], bool]:
    graph = scene.checkpoint.model.graph
    if graph is None:
        return lambda located: False
    if role == "input":
        return lambda located: located.layer.is_input and len(located.parents) == 1
    return lambda located: len(located.parents) == 1 and graph.is_output(located.layer.name)


TESTS: Mapping[str, Callable[[Scene, Any], Test]] = {
    "name": lambda _, pattern: matcher(pattern),
    "regex": _by_regex,
    "type": _by_type,
    "config": _by_config,
    "from": lambda scene, name: _by_range(scene, name, "from"),
    "until": lambda scene, name: _by_range(scene, name, "until"),
    "upstream_of": lambda scene, name: _by_flow(scene, name, "upstream_of"),
    "downstream_of": lambda scene, name: _by_flow(scene, name, "downstream_of"),
    "between": _by_between,
    "has": _by_weight,
    "params": _by_params,
    "trainable": _by_flag,
    "dtype": lambda _, name: lambda located: located.layer.graph is None and dtype_of(located.layer.config) == name,
    "role": _by_role,
}
