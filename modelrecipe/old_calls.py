"""The calls of layers as Keras 1 and 2 wrote them: lists in the place of tensors, and constants among them.

The first argument of a call is a structure of entries `[layer, call, index, arguments]`, where `arguments` are all the
others and the same in every entry; among those a tensor is `[layer, call, index]`. A number in the place of a tensor is
`["_CONSTANT_VALUE", -1, number, arguments]`. Source: `engine/node.py` (`serialize`) and `engine/functional.py`
(`reconstruct_from_config`) of Keras 2.15. Knows no files and no Keras.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any

from modelrecipe.graph import Call, Graph
from modelrecipe.references import TensorRef, iter_refs

CONSTANT = "_CONSTANT_VALUE"


def is_entry(value: object) -> bool:
    """Whether something is the entry of one tensor or constant in the first argument of a call."""
    return isinstance(value, list) and len(value) in (3, 4) and isinstance(value[0], str)


def read_call(node: Any, names: Container[str]) -> Call:
    """One call.

    Args:
        node: as the file has it.
        names: of the layers whose tensors it may take.
    """
    given = [entry[3] for entry in iter_entries(node) if len(entry) > 3 and entry[3]]
    kwargs = {key: _revived(value, names) for key, value in (given[-1] if given else {}).items()}
    first = _first(node)
    if isinstance(first, list) and len(first) == 1:
        first = first[0]
    return Call(args=(first,), kwargs=kwargs, form="legacy")


def iter_entries(node: Any) -> Iterator[list[Any]]:
    """Every entry in the first argument of a call."""
    if is_entry(node):
        yield node
    elif isinstance(node, Mapping | list):
        for item in node.values() if isinstance(node, Mapping) else node:
            yield from iter_entries(item)


def _first(node: Any) -> Any:
    if is_entry(node):
        is_constant = node[0] == CONSTANT and node[1] == -1
        return node[2] if is_constant else TensorRef(layer=node[0], call=int(node[1]), index=int(node[2]))
    if isinstance(node, Mapping):
        return {key: _first(item) for key, item in node.items()}
    if not isinstance(node, list):
        raise TypeError(f"{node!r} is no reference to a tensor")
    return [_first(item) for item in node]


def _revived(value: Any, names: Container[str]) -> Any:
    """A further argument, with a `TensorRef` in the place of every tensor."""
    if is_tensor(value, names):
        return TensorRef(layer=value[0], call=value[1], index=value[2])
    if isinstance(value, Mapping):
        return {key: _revived(item, names) for key, item in value.items()}
    return [_revived(item, names) for item in value] if isinstance(value, list) else value


def is_tensor(value: Any, names: Container[str]) -> bool:
    """Whether a further argument, or a part of it, is a tensor."""
    return (
        isinstance(value, list)
        and len(value) == 3
        and isinstance(value[0], str)
        and all(isinstance(number, int) for number in value[1:])
        and value[0] in names
    )


def write_call(call: Call) -> Any:
    """The call as the file had it; the inverse of `read_call`."""
    kwargs = _written(dict(call.kwargs))
    first = _entries(call.args[0] if call.args else [], kwargs)
    return [first] if is_entry(first) else first


def _entries(value: Any, kwargs: Mapping[str, Any]) -> Any:
    if isinstance(value, TensorRef):
        return [value.layer, value.call, value.index, dict(kwargs)]
    if next(iter_refs(value), None) is None:
        return [CONSTANT, -1, value, dict(kwargs)]
    if isinstance(value, Mapping):
        return {key: _entries(item, kwargs) for key, item in value.items()}
    return [_entries(item, kwargs) for item in value]


def _written(value: Any) -> Any:
    if isinstance(value, TensorRef):
        return [value.layer, value.call, value.index]
    if isinstance(value, Mapping):
        return {key: _written(item) for key, item in value.items()}
    return [_written(item) for item in value] if isinstance(value, list | tuple) else value


def plain_ends(graph: Graph, ends: Any) -> Any:
    """The inputs or outputs of a graph as Keras 3 has to be given them.

    Keras 1 and 2 listed them even where there is only one, and took and gave the tensor itself. Keras 3 makes a model
    of lists from that, which warns at every call.
    """
    is_old = any(call.form == "legacy" for layer in graph.layers for call in layer.calls)
    return ends[0] if is_old and isinstance(ends, list | tuple) and len(ends) == 1 else ends
