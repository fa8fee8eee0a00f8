"""One layer whose `hard_sigmoid` is that of Keras 1 or 2: what its configuration and its weights become.

Weights take the factor of `gate_scaling` where they can. Where they cannot, as on the cell state of an LSTM, or where
it is not certain whose they are, the activation becomes a small model of a Rescaling and today's function, which Keras
takes in the place of any activation. Looks into wrappers, lists of cells and models in wrappers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelrecipe import catalog
from modelrecipe.formats.repair import Json, is_layer, name_of
from modelrecipe.formats.repairs.gate_scaling import ABSORBING, FACTOR, Blocks, scaled

if TYPE_CHECKING:
    from modelrecipe.weights import Tensor

NAME = "hard_sigmoid"
_ACTIVATIONS = ("activation", "recurrent_activation")
_HOLDERS = ("layer", "backward_layer", "cell", "cells", "layers")
_MODELS = ("Functional", "Model", "Sequential")
_OWN_RULES = ("regularizer", "constraint")


def is_hard_sigmoid(value: object) -> bool:
    """Whether an activation in a configuration is the function, in any of the forms in which Keras has written it."""
    if isinstance(value, Mapping):
        inner = value.get("config")
        if value.get("class_name") == "Activation" and isinstance(inner, Mapping):
            return is_hard_sigmoid(inner.get("activation"))
        return value.get("class_name") in ("function", NAME) and inner in (NAME, None, {})
    return value == NAME


def is_custom(data: Mapping[str, Any]) -> bool:
    """Whether a serialised layer is of a class that is not Keras' own; old files name no module."""
    registered, module = data.get("registered_name"), data.get("module")
    is_foreign = isinstance(module, str) and module.partition(".")[0] not in ("keras", "tf_keras")
    is_registered = isinstance(registered, str) and ">" in registered
    return is_foreign or is_registered or data["class_name"] not in (*catalog.layer_names(), *_MODELS)


@dataclass(kw_only=True)
class Outcome:
    """What becomes of a layer.

    Args:
        data: the serialised layer; the object that was given where nothing changes.
        blocks: under the slot of each tensor that takes the factor, for which parts.
        remarks: what a reader should know.
    """

    data: Json
    blocks: dict[str, Blocks] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def mend_layer(data: Json, tensors: Sequence[Tensor] | None, path: str, times: int = 1) -> Outcome:
    """A serialised layer and all that its configuration holds, with the old meaning in Keras 3.

    Args:
        data: the layer.
        tensors: its own; None where nobody can tell which they are.
        path: where it stands, for remarks.
        times: how many copies of it there are.
    """
    outcome = Outcome(data=data)
    if is_custom(data):
        if any(is_hard_sigmoid(data["config"].get(key)) for key in _ACTIVATIONS):
            outcome.remarks.append(f"'{path}' names hard_sigmoid, and its own code decides what that is in Keras 3")
        tensors = None
    else:
        for key in _ACTIVATIONS:
            if is_hard_sigmoid(outcome.data["config"].get(key)):
                _mend_activation(outcome, key, tensors, path, times)
    _mend_inside(outcome, tensors, path, times)
    return outcome


def _mend_activation(outcome: Outcome, key: str, tensors: Sequence[Tensor] | None, path: str, times: int) -> None:
    class_name, config = outcome.data["class_name"], outcome.data["config"]
    absorbing = ABSORBING.get(class_name, {}).get(key)
    blocks = scaled(absorbing, config, tensors, times) if absorbing and tensors else {}
    if not blocks:
        outcome.data = _with(outcome.data, key, _old_function(config.get("dtype")))
        outcome.remarks.append(
            f"the {key} of '{path}' becomes a Sequential of a Rescaling by {FACTOR} and hard_sigmoid, as no weights "
            "can take the factor"
        )
        return
    for slot, parts in blocks.items():
        before = outcome.blocks.get(slot, (False,) * len(parts))
        outcome.blocks[slot] = tuple(one or other for one, other in zip(before, parts, strict=True))
    if config[key] != NAME:
        outcome.data = _with(outcome.data, key, NAME)
    rules = [name for name in config if name.endswith(_OWN_RULES) and config[name] and "activity" not in name]
    if rules:
        outcome.remarks.append(
            f"'{path}' has {' and '.join(sorted(rules))}: in training, they see the weights of its hard_sigmoid times "
            f"{FACTOR}"
        )


def _with(data: Json, key: str, value: Any) -> Json:
    return {**data, "config": {**data["config"], key: value}}


def _old_function(dtype: Any) -> Json:
    """The old function as Keras 3 deserialises an activation: layers that are called one after the other."""
    own = {"dtype": dtype} if isinstance(dtype, str | dict) else {}
    layers: list[Json] = [
        {"class_name": "Rescaling", "config": {"name": "times", **own, "scale": FACTOR, "offset": 0.0}},
        {"class_name": "Activation", "config": {"name": "today", **own, "activation": NAME}},
    ]
    return {
        "module": "keras",
        "class_name": "Sequential",
        "registered_name": None,
        "config": {
            "name": "old_hard_sigmoid",
            **own,
            "layers": [{"module": "keras.layers", "registered_name": None, **layer} for layer in layers],
        },
    }


def _mend_inside(outcome: Outcome, tensors: Sequence[Tensor] | None, path: str, times: int) -> None:
    """The same for the layers that its configuration holds."""
    config = outcome.data["config"]
    held = {key: config[key] for key in _HOLDERS if key in config}
    inner = [(key, item) for key, value in held.items() for item in _listed(value)]
    is_pair = outcome.data["class_name"] == "Bidirectional"
    copies = times * 2 if is_pair and len(inner) == 1 else times
    changes: dict[int, Json] = {}
    shares = _shares(inner, tensors, is_pair=is_pair)
    for (_, item), own in zip(inner, shares, strict=True):
        found = mend_layer(item, own, f"{path}/{name_of(item)}", copies)
        changes[id(item)] = found.data
        outcome.blocks.update(found.blocks)
        outcome.remarks += found.remarks
    mended = {key: _swapped(value, changes) for key, value in held.items()}
    changed = {key: value for key, value in mended.items() if value is not held[key]}
    if changed:
        outcome.data = {**outcome.data, "config": {**config, **changed}}


def _listed(value: Any) -> list[Json]:
    items = value if isinstance(value, list | tuple) else [value]
    return [item for item in items if is_layer(item) and isinstance(item["config"], dict)]


def _swapped(value: Any, changes: Mapping[int, Json]) -> Any:
    """What a key of a configuration holds, with the changed layers; the object itself where none changed."""
    if not isinstance(value, list | tuple):
        return changes.get(id(value), value)
    items = [changes.get(id(item), item) for item in value]
    return items if any(new is not old for new, old in zip(items, value, strict=True)) else value


def _shares(
    inner: Sequence[tuple[str, Json]], tensors: Sequence[Tensor] | None, *, is_pair: bool
) -> list[Sequence[Tensor] | None]:
    """Which of the tensors each inner layer has; None for all where the names do not tell."""
    if len(inner) == 1:
        return [tensors]
    found: list[Sequence[Tensor] | None] = []
    for key, item in inner:
        name = name_of(item)
        prefix = ("backward_" if key == "backward_layer" else "forward_") if is_pair else ""
        names = {name, prefix + name.removeprefix(prefix)}
        found.append([tensor for tensor in tensors or () if names & set(_components(tensor))])
    slots = [tensor.slot for share in found for tensor in share or ()]
    is_certain = len(slots) == len(set(slots)) == len(tensors or ())
    return found if is_certain else [None] * len(inner)


def _components(tensor: Tensor) -> list[str]:
    """The scopes in which a tensor stands, of its name and of where the file keeps it."""
    return [*tensor.name.split("/")[:-1], *tensor.slot.split("/")[:-1]]
