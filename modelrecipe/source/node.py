"""A value in a YAML text: the plain data, where it stands, and what is inside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelrecipe.source.lines import Lines


@frozen
class Node:
    """A value in the text.

    Args:
        value: the plain data.
        start: offset of its first character.
        stop: offset behind its last; of a block collection, behind what stands on its first line.
        children: the values of a mapping or list by key or index. An alias shares those of what it names.
        keys: the keys of a mapping, as nodes.
        size: how many values it holds, itself included; long texts count one more for every 100 characters.
        height: how many levels of collections it has.
    """

    value: Any
    start: int
    stop: int
    children: Mapping[str | int, Node] = field(default_factory=dict, repr=False)
    keys: Mapping[str | int, Node] = field(default_factory=dict, repr=False)
    size: int = 1
    height: int = 0


@dataclass(kw_only=True)
class Collection:
    """A mapping or list whose end was not met yet; `close` makes it a node."""

    start: int
    anchor: str | None
    is_mapping: bool
    is_flow: bool
    children: dict[str | int, Node] = field(default_factory=dict)
    keys: dict[str | int, Node] = field(default_factory=dict)
    key: Node | None = None  # the key whose value comes next

    def close(self, flow_stop: int, lines: Lines) -> Node:
        """The finished node; `flow_stop` is the offset behind the closing bracket, which block style has not."""
        values = self.children.values()
        items = [child.value for child in values]
        return Node(
            value=dict(zip(self.children, items, strict=True)) if self.is_mapping else items,
            start=self.start,
            stop=flow_stop if self.is_flow else self._first_line_stop(lines),
            children=self.children,
            keys=self.keys,
            size=1 + sum(child.size for child in values) + sum(key.size for key in self.keys.values()),
            height=1 + max((child.height for child in values), default=0),
        )

    def _first_line_stop(self, lines: Lines) -> int:
        """Behind the first key or dash, or behind the first value where it stands on the same line."""
        key, child = next(iter(self.keys.values()), None), next(iter(self.children.values()), None)
        stop = key.stop if key else self.start + 1
        return child.stop if child and lines.number(child.start) == lines.number(self.start) else stop
