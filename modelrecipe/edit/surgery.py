"""Carries an edit of one graph to every graph of a model that holds a selected layer.

Between `rewire`, which knows one graph, and the steps, which know words. Decides what concerns the whole model:
identity of new layers, layers that stand in two graphs, what an opaque model refuses.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from modelrecipe.catalog.variables import snake_case
from modelrecipe.edit.rewire import unreachable
from modelrecipe.errors import EditError
from modelrecipe.graph import Graph, Layer, Located, update_graph, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.layer_spec import LayerSpec

T = TypeVar("T")


def refuse_opaque(checkpoint: Checkpoint, word: str) -> None:
    """Refuse to change the wiring of a model whose file lists no layers.

    Raises:
        EditError: the model is subclassed.
    """
    if checkpoint.is_opaque:
        name = checkpoint.model.registered_name or checkpoint.model.class_name
        raise EditError(
            f"the model is a subclassed '{name}', whose file lists no layers, so '{word}' has nothing to hold on to",
            hint="rebuild it as a functional model; weights can be edited as it is (rescale)",
        )


def edit_graphs(
    checkpoint: Checkpoint, chosen: Mapping[str, T], edit: Callable[[Graph, Mapping[str, T]], Graph]
) -> Checkpoint:
    """Apply `edit` to every graph that holds a chosen layer.

    Args:
        checkpoint: the model.
        chosen: path of each chosen layer to whatever `edit` needs for it.
        edit: takes a graph and the chosen layers of that graph by name.
    """
    by_graph: dict[str, dict[str, T]] = {}
    for path, what in chosen.items():
        parent, _, name = path.rpartition("/")
        by_graph.setdefault(parent, {})[name] = what
    model = checkpoint.model
    # The deepest first: a model that is itself replaced is edited inside before it goes.
    for parent in sorted(by_graph, key=lambda path: -path.count("/") - bool(path)):
        model = update_graph(model, parent, lambda graph, parent=parent: edit(graph, by_graph[parent]))
    edited = replace(checkpoint, model=model, is_restructured=True)
    _check_identities(edited)
    return edited


def _check_identities(checkpoint: Checkpoint) -> None:
    """Refuse a graph in which two layers share one identity: Keras would build the first and take it for both.

    Raises:
        EditError: an edit gave two layers of one graph the same key.
    """
    owners: dict[tuple[str, str], str] = {}
    for located in walk(checkpoint.model):
        layer = located.layer
        other = owners.setdefault((located.path.rpartition("/")[0], layer.key), located.path)
        if layer.key and other != located.path:
            raise EditError(f"'{other}' and '{located.path}' would be one and the same layer", hint="edit one of them")


def check_all_copies(checkpoint: Checkpoint, chosen: Iterable[Located], key: str = "layers") -> None:
    """Refuse an edit that would tear apart a layer which stands in two graphs; `key` holds the selector.

    Raises:
        EditError: one place of a shared layer was selected and another was not.
    """
    paths = {located.path: located.layer.key for located in chosen}
    keys = set(paths.values())
    for located in checkpoint.layers():
        if located.layer.key in keys and located.path not in paths:
            here = next(path for path, key in paths.items() if key == located.layer.key)
            raise EditError(
                f"'{here}' and '{located.path}' are one shared layer, but only the first is selected",
                hint=f"select both, as {{any: ['{here}', '{located.path}']}}",
                at=(key,),
            )


def taken_keys(checkpoint: Checkpoint) -> set[str]:
    """The identities of all layers, and of all weights."""
    return {located.layer.key for located in checkpoint.layers()} | set(checkpoint.weights)


def new_key(taken: set[str], wanted: str) -> str:
    """An identity that is not taken yet; it is from now on."""
    key = f"+{wanted}"
    while key in taken:
        key += "'"
    taken.add(key)
    return key


def keys_inside(layer: Layer) -> list[str]:
    """The identities of a layer and of all layers inside it."""
    return [layer.key, *(located.layer.key for located in walk(layer))]


def drop_unreachable(checkpoint: Checkpoint) -> tuple[Checkpoint, list[str]]:
    """Take out layers that no output needs any more; gives back their paths too."""
    dropped: list[str] = []

    def prune(graph: Graph, prefix: str) -> Graph:
        gone = set(unreachable(graph))
        dropped.extend(prefix + name for name in gone)
        layers = [
            replace(layer, graph=prune(layer.graph, f"{prefix}{layer.name}/")) if layer.graph is not None else layer
            for layer in graph.layers
            if layer.name not in gone
        ]
        return replace(graph, layers=tuple(layers))

    if checkpoint.model.graph is None:
        return checkpoint, []
    model = replace(checkpoint.model, graph=prune(checkpoint.model.graph, ""))
    return replace(checkpoint, model=model), sorted(dropped)


def leaves_of(located: Sequence[Located]) -> dict[str, Located]:
    """The leaf layers that a selection means: of a model, all layers inside it."""
    found: dict[str, Located] = {}
    for item in located:
        if item.layer.graph is None:
            found[item.path] = item
            continue
        for inner in walk(item.layer):
            if inner.layer.graph is None:
                path = f"{item.path}/{inner.path}"
                found[path] = Located(path=path, layer=inner.layer, parents=(*item.parents, *inner.parents))
    return found


def map_graphs(
    checkpoint: Checkpoint, names: Mapping[str, str], edit: Callable[[Graph, Mapping[str, str]], Graph]
) -> Checkpoint:
    """Like `edit_graphs`, for an edit after which every layer is still what it was and no build is needed."""
    return replace(edit_graphs(checkpoint, names, edit), is_restructured=checkpoint.is_restructured)


def outermost(chosen: Sequence[Located]) -> list[Located]:
    """A selection without what stands inside another selected model."""
    paths = {located.path for located in chosen}

    def is_inside_another(path: str) -> bool:
        parts = path.split("/")
        return any("/".join(parts[:depth]) in paths for depth in range(1, len(parts)))

    return [located for located in chosen if not is_inside_another(located.path)]


def graph_of(checkpoint: Checkpoint, located: Located) -> Graph:
    """The graph that holds a layer."""
    graph = located.parents[-1].graph
    if graph is None:
        raise KeyError(located.path)
    return graph


def named(spec: LayerSpec, neighbour: str) -> str:
    """The name of a new layer: as the spec says, else the neighbour's with the class."""
    if spec.name is not None:
        return spec.name.replace("{name}", neighbour)
    return f"{neighbour}_{snake_case(spec.class_.rpartition('>')[2].rpartition('.')[2])}"
