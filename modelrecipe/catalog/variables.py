"""Which variables a layer has, and where a Keras 3 weight file keeps them, told from class and configuration alone.

Knows what the catalog learnt about each class and how wrappers hold inner layers; knows no files and no shapes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from modelrecipe.catalog.entry import find, raw_facts
from modelrecipe.frozen import frozen

_FLOAT_POLICIES = ("DTypePolicy", "FloatDTypePolicy", "Policy")
_MAX_DEPTH = 32


@frozen
class Variable:
    """One variable of a layer.

    Args:
        slot: its path inside the layer's group of `model.weights.h5`: `vars/0`, `query_dense/vars/0`.
        name: its own name after the names of the inner layers that hold it: `kernel`, `query/kernel`.
        trainable: whether gradient descent changes it while the layer is not frozen.
    """

    slot: str
    name: str
    trainable: bool


Variables = tuple[Variable, ...]


def variables(class_name: str, config: Mapping[str, Any]) -> Variables | None:
    """The variables of a layer, in the order in which Keras 3 saves them.

    Random state is not among them: Keras does not save it. Vocabularies are assets, not variables.

    Args:
        class_name: of a layer or an operation, `Dense`, `Add` or `ops.Add`.
        config: as Keras serialises it; what it lacks has its default.

    Returns:
        None for a class or an inner layer that the catalog does not know, for quantized layers, and wherever else it
        is not certain.
    """
    return _variables(class_name, config, 0)


def _variables(class_name: str, config: Mapping[str, Any], depth: int) -> Variables | None:
    name = class_name if raw_facts(class_name) is not None else f"ops.{class_name}"
    facts = raw_facts(name)
    if facts is None or facts.get("opaque") or _is_quantized(config) or depth > _MAX_DEPTH:
        return None
    if facts.get("container"):
        return _CONTAINERS[class_name](config, depth)
    if not facts.get("variables"):
        return ()
    given = {**_defaults(name), **config}
    present = [fact for fact in facts["variables"] if _is_present(fact, given)]
    counts: dict[str, int] = {}
    found: list[Variable] = []
    for fact in present:
        group = fact.get("group", "")
        number = counts[group] = counts.get(group, -1) + 1
        slot = f"{group}vars/{fact.get('key', number)}"
        found.append(Variable(slot=slot, name=fact["name"], trainable=fact.get("trainable", False)))
    return tuple(found)


@functools.cache
def _defaults(name: str) -> Mapping[str, Any]:
    entry = find(name)
    return {} if entry is None else {argument.name: argument.default for argument in entry.arguments}


def _is_present(fact: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether the rule that was learnt for a variable holds under these arguments."""
    enough = fact.get("any")
    if enough is not None:
        return any(_is_in(given.get(key), values) for key, values in enough.items())
    return all(_is_in(given.get(key), values) for key, values in fact.get("when", {}).items()) and not any(
        _is_in(given.get(key), values) for key, values in fact.get("unless", {}).items()
    )


def _is_in(value: Any, values: Sequence[Any]) -> bool:
    return any(value is known or (type(value) is type(known) and value == known) for known in values)


def _is_quantized(config: Mapping[str, Any]) -> bool:
    """Whether the layer keeps scales and packed numbers, which depend on more than its configuration."""
    policy = config.get("dtype")
    if isinstance(policy, Mapping):
        name = policy.get("class_name") or policy.get("class")
        return name not in _FLOAT_POLICIES
    return config.get("quantization_config") is not None or (isinstance(policy, str) and "_from_" in policy)


def _inner(value: Any, group: str, depth: int, name: Callable[[str], str] = str) -> Variables | None:
    """The variables of a serialised layer that another one holds under the attribute `group`."""
    if not isinstance(value, Mapping):
        return None
    class_name, config = class_of(value), value.get("config") or {}
    if class_name is None or not isinstance(config, Mapping):
        return None
    found = _variables(class_name, config, depth + 1)
    label = name(str(config.get("name") or snake_case(class_name)))
    return None if found is None else _below(found, group, label)


def _below(found: Variables, group: str, label: str) -> Variables:
    return tuple(replace(item, slot=f"{group}/{item.slot}", name=f"{label}/{item.name}") for item in found)


def class_of(value: Mapping[str, Any]) -> str | None:
    """The built-in class of a serialised object or of the shorthand `{class, config}`; None for a registered one."""
    class_name = value.get("class_name") or value.get("class")
    registered = value.get("registered_name")
    is_custom = isinstance(registered, str) and ">" in registered
    return class_name if isinstance(class_name, str) and not is_custom else None


def snake_case(name: str) -> str:
    """A class name as Keras makes group and layer names of it: `LSTMCell` is `lstm_cell`."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _time_distributed(config: Mapping[str, Any], depth: int) -> Variables | None:
    return _inner(config.get("layer"), "layer", depth)


def _bidirectional(config: Mapping[str, Any], depth: int) -> Variables | None:
    """Keras makes both directions anew from `layer`, and names them after it; `backward_layer` is taken as it is."""
    layer, given = config.get("layer"), config.get("backward_layer")
    forward = _inner(layer, "forward_layer", depth, lambda name: f"forward_{name.removeprefix('forward_')}")
    if given is None:
        backward = _inner(layer, "backward_layer", depth, lambda name: f"backward_{name.removeprefix('backward_')}")
    else:
        backward = _inner(given, "backward_layer", depth)
    return None if forward is None or backward is None else (*backward, *forward)


def _spectral_normalization(config: Mapping[str, Any], depth: int) -> Variables | None:
    """Keras saves the inner kernel twice: as the wrapper's own, and where it belongs."""
    inner = _inner(config.get("layer"), "layer", depth)
    own = next((item for item in inner or () if re.fullmatch(r"layer/vars/0", item.slot)), None)
    name = own.name.rpartition("/")[2] if own else ""
    if inner is None or name not in ("kernel", "embeddings"):
        return None
    return (
        Variable(slot="vars/0", name=name, trainable=True),
        Variable(slot="vars/1", name="vector_u", trainable=False),
        *inner,
    )


def _rnn(config: Mapping[str, Any], depth: int) -> Variables | None:
    cell = config.get("cell")
    if isinstance(cell, list | tuple):
        found = _listed(cell, "cells", depth)
        return None if found is None else _below(found, "cell", "stacked_rnn_cells")
    return _inner(cell, "cell", depth)


def _listed(items: Any, group: str, depth: int) -> Variables | None:
    """Layers in a list: Keras names their groups by class, and numbers those of one class from 1 on."""
    if not isinstance(items, list | tuple):
        return None
    used: dict[str, int] = {}
    found: list[Variable] = []
    for item in items:
        class_name = class_of(item) if isinstance(item, Mapping) else None
        if class_name is None:
            return None
        key = snake_case((raw_facts(class_name) or {}).get("python", class_name))
        used[key] = used.get(key, -1) + 1
        inner = _inner(item, f"{group}/{key}_{used[key]}" if used[key] else f"{group}/{key}", depth)
        if inner is None:
            return None
        found.extend(inner)
    return tuple(found)


_CONTAINERS: Mapping[str, Callable[[Mapping[str, Any], int], Variables | None]] = {
    "Bidirectional": _bidirectional,
    "Pipeline": lambda config, depth: _listed(config.get("layers"), "layers", depth),
    "RNN": _rnn,
    "SpectralNormalization": _spectral_normalization,
    "StackedRNNCells": lambda config, depth: _listed(config.get("cells"), "cells", depth),
    "TimeDistributed": _time_distributed,
}
