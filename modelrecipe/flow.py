"""Which layers a layer's output reaches, across nested models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe.frozen import frozen
from modelrecipe.identity import cached_by_identity
from modelrecipe.references import iter_refs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from modelrecipe.graph import Graph, Layer

_EXIT = "\0exit"


@frozen(kw_only=False)
class Flow:
    """Data flow between layer paths.

    A nested model has an entry, its path, and an exit, so that no cycle arises. Layers are what flows are told of, not
    calls: what reaches one call of a shared layer reaches all that takes an output of any of its calls.
    """

    forward: Mapping[str, frozenset[str]]
    backward: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, model: Layer) -> Flow:
        """The flow of a model; empty where its graph is not known."""
        return _flow(model)

    def downstream(self, path: str) -> frozenset[str]:
        """Paths that the output of `path` reaches, without itself."""
        start = path + _EXIT if path + _EXIT in self.forward or path + _EXIT in self.backward else path
        return _without_exits(_reach(self.forward, start))

    def upstream(self, path: str) -> frozenset[str]:
        """Paths whose output reaches `path`, without itself."""
        return _without_exits(_reach(self.backward, path))


@cached_by_identity(maxsize=4)
def _flow(model: Layer) -> Flow:
    edges: set[tuple[str, str]] = set()
    if model.graph is not None:
        _add_edges(model.graph, "", edges)
    return Flow(_index(edges), _index((target, source) for source, target in edges))


def _add_edges(graph: Graph, prefix: str, edges: set[tuple[str, str]]) -> None:
    exits = {layer.name: prefix + layer.name + (_EXIT if layer.graph else "") for layer in graph.layers}
    for layer in graph.layers:
        path = prefix + layer.name
        for call in layer.calls:
            edges.update((exits[ref.layer], path) for ref in call.refs())
        if layer.graph is not None:
            inside = f"{path}/"
            edges.update((path, inside + ref.layer) for ref in iter_refs(layer.graph.inputs))
            for ref in iter_refs(layer.graph.outputs):
                nested = layer.graph.layer(ref.layer).graph is not None
                edges.add((inside + ref.layer + (_EXIT if nested else ""), path + _EXIT))
            _add_edges(layer.graph, inside, edges)


def _index(edges: Iterable[tuple[str, str]]) -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for source, target in edges:
        found.setdefault(source, set()).add(target)
    return {source: frozenset(targets) for source, targets in found.items()}


def _reach(edges: Mapping[str, frozenset[str]], start: str) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        for target in edges.get(waiting.pop(), ()):
            if target not in reached:
                reached.add(target)
                waiting.append(target)
    return reached


def _without_exits(paths: set[str]) -> frozenset[str]:
    return frozenset(path for path in paths if not path.endswith(_EXIT)) | frozenset(
        path.removesuffix(_EXIT) for path in paths if path.endswith(_EXIT)
    )
