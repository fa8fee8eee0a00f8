"""Functions of TensorFlow that stand in functional models of tf.keras between the layers, as operations of Keras.

tf.keras wraps each in a layer: `TFOpLambda` and `SlicingOpLambda` since TensorFlow 2.4, `TensorFlowOpLayer` before.
What `tf_operation_table` does not know stays as it is, and is refused by its name when Keras has to build it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelrecipe.formats.repair import Json, Repair, Writer, name_of
from modelrecipe.formats.repairs.tf_operation_nodes import Function, function_of_node
from modelrecipe.formats.repairs.tf_operation_table import STACK_OF_ONE, Translation, translation
from modelrecipe.old_calls import CONSTANT, is_entry, iter_entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FUNCTIONS = ("TFOpLambda", "SlicingOpLambda")


def _mend(data: Json, writer: Writer) -> Json:
    del writer
    function = _function(data)
    found = _counterpart(function) if function is not None else None
    made = _made(found, function.arguments) if function is not None and found is not None else None
    if function is None or found is None or made is None:
        return data
    config, further = made
    name = name_of(data)
    return {
        "module": found.module,
        "class_name": found.operation,
        "config": {**config, "name": name},
        "registered_name": None if found.module == "keras.layers" else found.operation,
        "name": name,
        "inbound_nodes": [_node(function.first, further)],
    }


def _function(data: Json) -> Function | None:
    """The function that a layer wraps and what it is called with."""
    nodes, config = data.get("inbound_nodes"), data["config"]
    if not isinstance(nodes, list) or len(nodes) != 1 or not isinstance(config, dict):
        return None
    if data["class_name"] == "TensorFlowOpLayer":
        return function_of_node(config, nodes[0])
    if data["class_name"] not in _FUNCTIONS or not isinstance(config.get("function"), str):
        return None
    given = [entry[3] for entry in iter_entries(nodes[0]) if len(entry) > 3]
    return Function(symbol=config["function"], first=nodes[0], arguments=dict(given[-1]) if given else {})


def _counterpart(function: Function) -> Translation | None:
    """The translation of a function; a list of one, which old calls have no form for, is stacked by a new axis."""
    is_one = isinstance(function.first, list) and len(function.first) == 1
    return STACK_OF_ONE if is_one and function.symbol == "stack" else translation(function.symbol)


def _made(found: Translation, arguments: Mapping[str, Any]) -> tuple[Json, Json] | None:
    """What the operation is made with, and what its call takes after the first argument; None where that is not all."""
    config, further = dict(found.defaults), {}
    for key, value in arguments.items():
        if key in found.call and value is not None:
            further[found.call[key]] = _key(value) if key == "slice_spec" else _constant(found.call[key], value)
        elif key in found.config and value is not None:
            config[found.config[key]] = value
        elif key != "name" and value not in (None, False) and value not in found.neutral.get(key, ()):
            return None
    if "x2" in found.call.values() and "x2" not in further:
        return None  # tf.keras loses the second operand of `==` and `!=` when it writes
    if str(config.get("mode", "constant")).lower() != "constant" or not further.get("constant_values", 1):
        further.pop("constant_values", None)
    is_fixed = not any(_holds_tensor(value) for value in config.values())
    fitted = (found.fit(config) if found.fit else config) if is_fixed else None
    return None if fitted is None or not _is_known(further.get("key")) else (fitted, further)


def _key(spec: Any) -> list[Any]:
    """The key of a slicing as Keras 3 writes it."""
    return [_slice(item) for item in (spec if isinstance(spec, list) and not _holds_tensor(spec) else [spec])]


def _constant(argument: str, value: Any) -> Any:
    """An array in the form in which Keras 3 writes it; a bare list is no tensor to its operations."""
    if argument not in ("x1", "x2") or not isinstance(value, list) or _holds_tensor(value):
        return value
    flat = list(_flat(value))
    kinds = {bool: "bool", int: "int32", float: "float32"}
    dtype = next(
        (name for kind, name in reversed(kinds.items()) if any(type(item) is kind for item in flat)), "float32"
    )
    return {"class_name": "__numpy__", "config": {"value": value, "dtype": dtype}}


def _flat(value: Any) -> Iterator[Any]:
    for item in value if isinstance(value, list) else ():
        yield from _flat(item) if isinstance(item, list) else (item,)


def _slice(item: Any) -> Any:
    if isinstance(item, dict) and "start" in item:
        return {"class_name": "__slice__", "config": {end: item.get(end) for end in ("start", "stop", "step")}}
    if isinstance(item, dict) and item.get("class_name") == "__ellipsis__":
        return {"class_name": "__ellipsis__", "config": {}}
    return item


def _is_known(key: Any) -> bool:
    """Whether all parts of a slicing are fixed; those that tensors choose have no counterpart."""
    return key is None or not any(_holds_tensor(item) for item in key)


def _holds_tensor(value: Any) -> bool:
    """Whether an argument is `[layer, call, index]`, or holds such a tensor."""
    if isinstance(value, dict):
        return any(_holds_tensor(item) for item in value.values())
    if not isinstance(value, list):
        return False
    is_tensor = len(value) == 3 and isinstance(value[0], str) and all(isinstance(item, int) for item in value[1:])
    return is_tensor or any(_holds_tensor(item) for item in value)


def _node(first: Any, further: Json) -> Any:
    """The call with other further arguments; a single tensor stands in a list of its own."""
    node = _with(first, further)
    return [node] if is_entry(node) else node


def _with(first: Any, further: Json) -> Any:
    if is_entry(first):
        constant = [_constant("x1", first[2])] if first[0] == CONSTANT else [first[2]]
        return [*first[:2], *constant, further]
    return [_with(item, further) for item in first]


REPAIR = Repair(
    name="tf-operations",
    cause="a function of TensorFlow stands between the layers (`TFOpLambda`, `SlicingOpLambda`, `TensorFlowOpLayer`)",
    versions="tf.keras 1.14 to 2.15",
    cure="the operation of Keras that computes the same; a function without one is refused by its name",
    layer=_mend,
)
