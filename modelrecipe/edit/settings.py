"""Changes settings of layers: arguments that change neither variables, nor shapes, nor the graph.

Which arguments these are, the catalog knows. Here they are put into every place at which a layer stands, and every
change is told as `rate: 0.5 → 0.3`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from modelrecipe import catalog
from modelrecipe.edit.held import Holder, holders, with_arguments
from modelrecipe.graph import Layer, Located, update_layers
from modelrecipe.step import Bench, Change

if TYPE_CHECKING:
    from modelrecipe.checkpoint import Checkpoint

Wishes = Sequence[tuple[Holder, Mapping[str, Any]]]
"""New values of arguments of a layer, or of layers inside it."""


@dataclass
class _Edits:
    """What becomes of one layer, and what is said of it."""

    located: Located
    given: list[tuple[Holder, dict[str, Any]]] = field(default_factory=list)

    def wish(self, holder: Holder, given: Mapping[str, Any]) -> dict[str, Any]:
        """Note the arguments that become others."""
        own = {key: value for key, value in given.items() if not is_same(argument_of(holder, key), value)}
        if own:
            self.given.append((holder, own))
        return own

    def edited(self, layer: Layer) -> Layer:
        for holder, given in self.given:
            layer = with_arguments(layer, holder.place, given)
        return layer

    def change(self) -> Change:
        told = {
            holder.named(key): f"{shown(argument_of(holder, key))} → {shown(value)}"
            for holder, given in self.given
            for key, value in given.items()
        }
        what = ", ".join(f"{name}: {text}" for name, text in told.items())
        path, key = self.located.path, self.located.layer.key
        return Change(kind="~", layer=path, key=key, what=what, settings=tuple(told))


def change_settings(checkpoint: Checkpoint, bench: Bench, wishes: Mapping[str, Wishes]) -> Checkpoint:
    """Give layers other settings and record what changed; a value that is there already is no change.

    Args:
        checkpoint: the model.
        bench: takes the record.
        wishes: for the path of each layer, the new values. A layer that stands in several places changes in all.
    """
    edits: dict[str, _Edits] = {}
    shared: dict[object, dict[str, Any]] = {}
    for located in checkpoint.layers():
        key = located.layer.key
        if located.path not in wishes or key in edits:
            continue
        edits[key] = _Edits(located)
        for holder, given in wishes[located.path]:
            own = edits[key].wish(holder, given)
            if holder.shared is not None and own:
                shared[holder.shared] = own
    for located in checkpoint.layers() if shared else ():
        own = edits.setdefault(located.layer.key, _Edits(located))
        done = {holder.place for holder, _ in own.given}
        for holder in holders(located.layer):
            if holder.shared in shared and holder.place not in done:
                own.wish(holder, shared[holder.shared])
    changed: dict[str, Callable[[Layer], Layer]] = {}
    for edit in edits.values():
        if edit.given:
            bench.record(edit.change())
            changed[edit.located.path] = edit.edited
    return replace(checkpoint, model=update_layers(checkpoint.model, changed))


def argument_of(holder: Holder, key: str) -> Any:
    """An argument as it is: what the configuration says, else the default."""
    if key in holder.config:
        return holder.config[key]
    entry = catalog.find(holder.class_name) if holder.class_name is not None else None
    argument = entry.argument(key) if entry is not None else None
    return argument.default if argument is not None else None


def is_same(one: Any, other: Any) -> bool:
    """Whether two values of an argument mean the same, however much of an object is written out."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        keys = ("class_name", "config")
        return all(one.get(key) == other.get(key) for key in keys) if "class_name" in one else dict(one) == dict(other)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(is_same(a, b) for a, b in zip(one, other, strict=True))
    return one == other and isinstance(one, bool) is isinstance(other, bool)


def shown(value: Any) -> str:
    """A value in a few words: `0.3`, `none`, `L2(l2=0.01)`."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return _shown_object(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown, value))}]"
    return str(value)


def _shown_object(value: Mapping[str, Any]) -> str:
    """An object without its empty arguments; a tuple as its items, a function as its name."""
    if value.get("class_name") == "__tuple__":
        return shown(value.get("items", []))
    inner = value.get("config")
    if not isinstance(inner, Mapping):
        return str(inner)
    given = ", ".join(f"{key}={shown(item)}" for key, item in inner.items() if item is not None)
    return f"{value.get('class_name', 'object')}({given})"


def differing_settings(before: Layer, after: Layer) -> list[str]:
    """The arguments, named as a record names them, in which two states of one layer differ; flags and names aside."""
    if after.config is before.config and after.kind_name == before.kind_name:
        return []
    old = {holder.place: holder for holder in holders(before)}
    found: list[str] = []
    for holder in holders(after):
        other = old.get(holder.place)
        if other is None or other.class_name != holder.class_name:
            found.append(holder.named("class"))
            continue
        inside = {str(new.place[len(holder.place)]) for new in holders(after) if _is_below(new, holder)}
        keys = sorted({*holder.config, *other.config} - {"name", "trainable"} - inside)
        pairs = ((key, _flagless(other.config.get(key)), _flagless(holder.config.get(key))) for key in keys)
        found += [holder.named(key) for key, one, two in pairs if not is_same(one, two)]
    return found


def _flagless(value: Any) -> Any:
    """A value without the flags of layers that stand in it, as one that serves as an activation."""
    if isinstance(value, Mapping):
        return {key: _flagless(item) for key, item in value.items() if key != "trainable"}
    return [_flagless(item) for item in value] if isinstance(value, list | tuple) else value


def _is_below(inner: Holder, outer: Holder) -> bool:
    return len(inner.place) > len(outer.place) and inner.place[: len(outer.place)] == outer.place
