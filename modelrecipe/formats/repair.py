"""What a repair is, who wrote a file, and the walk over all layers of a configuration as JSON.

A repair knows one cause: a thing that an older Keras wrote and that Keras 3 does not read, or reads as something else.
It looks at what stands in the file, never at the names of files or layers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from modelrecipe.checkpoint import Checkpoint

Json = dict[str, Any]

_CONTAINERS = (dict, list)
_NOT_LAYERS = ("initializer", "regularizer", "constraint", "activation", "function", "dtype", "policy", "init")


@frozen
class Writer:
    """What wrote a file, as far as it says.

    Args:
        version: of Keras, `(2, 1, 6)` for `2.1.6-tf`; empty where the file does not say.
        backend: `tensorflow`, `theano`, `cntk`; None where the file does not say.
    """

    version: tuple[int, ...] = ()
    backend: str | None = None

    @classmethod
    def of(cls, version: str | None, backend: str | None = None) -> Writer:
        """The writer that a file's attributes name."""
        numbers = re.match(r"\d+(?:\.\d+)*", version or "")
        return cls(
            version=tuple(int(number) for number in numbers[0].split(".")) if numbers else (),
            backend=backend or None,
        )

    def is_before(self, *version: int) -> bool:
        """Whether it is older than a version; a file that names none is taken for old."""
        return self.version < version


@frozen
class Repair:
    """One cause with its cure. Both functions give back the very object they were given where the cause is absent.

    Args:
        name: as plans, locks and documentation call it.
        cause: what is wrong, and since when; for the documentation.
        versions: who writes it.
        cure: what is done about it, for the documentation.
        layer: mends one serialised layer or model (`class_name`, `config`, ...), not the layers in it: those are
            given to it by themselves, later.
        document: mends the document that the mended configuration and the file's weights give, and names the paths
            of the layers that it mended.
    """

    name: str
    cause: str
    versions: str
    cure: str
    layer: Callable[[Json, Writer], Json] | None = None
    document: Callable[[Checkpoint, Writer], tuple[Checkpoint, Sequence[str]]] | None = None


def map_layers(data: Json, function: Callable[[Json], Json], path: str = "") -> tuple[Json, list[str]]:
    """Put every serialised layer through `function`: the outermost first, then those inside what came out.

    Args:
        data: a serialised model or layer.
        function: gives back a changed copy, or the object itself.
        path: where `data` stands.

    Returns:
        The model with all changes, and the paths of the layers that changed, "" for the outermost model.
    """
    mended = function(data)
    changed = [path] if mended is not data else []
    config = mended.get("config")
    inner, below = map_inside(config, function, path)
    if inner is not config:
        mended = {**mended, "config": inner}
    return mended, [*changed, *below]


def map_inside(value: Any, function: Callable[[Json], Json], path: str) -> tuple[Any, list[str]]:
    """The same for the layers in a configuration; gives back `value` itself where nothing changed."""
    if isinstance(value, list):
        items = [
            map_layers(item, function, _below(path, item)) if is_layer(item) else map_inside(item, function, path)
            for item in value
        ]
        if all(new is old for (new, _), old in zip(items, value, strict=True)):
            return value, []
        return [new for new, _ in items], [place for _, places in items for place in places]
    if not isinstance(value, dict):
        return value, []
    found: Json = {}
    changed: list[str] = []
    for key, item in value.items():
        if str(key).endswith(_NOT_LAYERS):
            found[key] = item
            continue
        is_inner = is_layer(item)
        found[key], places = (
            map_layers(item, function, _below(path, item)) if is_inner else map_inside(item, function, path)
        )
        changed += places
    return (found, changed) if any(found[key] is not value[key] for key in value) else (value, [])


def is_layer(data: object) -> bool:
    """Whether something in a configuration has the form of a serialised layer; the list is that of old Sequentials."""
    return (
        isinstance(data, dict)
        and isinstance(data.get("class_name"), str)
        and isinstance(data.get("config"), dict | list)
    )


def inner_layers(data: Json) -> Iterator[Json]:
    """Every serialised layer inside a serialised model or layer, at any depth, where `map_layers` looks for them."""
    yield from _layers_in(data.get("config"))


def _layers_in(value: Any) -> Iterator[Json]:
    items: Sequence[Any] = value if isinstance(value, list) else ()
    if isinstance(value, dict):
        items = [item for key, item in value.items() if not str(key).endswith(_NOT_LAYERS)]
    for item in items:
        if is_layer(item):
            yield item
            yield from _layers_in(item["config"])
        elif isinstance(item, _CONTAINERS):
            yield from _layers_in(item)


def name_of(data: Json) -> str:
    """The name of a serialised layer."""
    config = data.get("config")
    own = config.get("name") if isinstance(config, Mapping) else None
    return str(data.get("name") or own or data.get("class_name") or "")


def _below(path: str, data: Json) -> str:
    return f"{path}/{name_of(data)}" if path else name_of(data)


def with_config(data: Json, drop: Sequence[str] = (), **changes: Any) -> Json:
    """The same serialised layer with other arguments; the object itself where that changes nothing."""
    config = data["config"]
    changed = {**{key: value for key, value in config.items() if key not in drop}, **changes}
    return data if changed == config else {**data, "config": changed}
