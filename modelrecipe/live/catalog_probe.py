"""What Keras saves of a layer, and on which constructor arguments that depends: found by making, saving and reading.

Every variable gets a number of its own, the layer is saved as Keras saves any layer, and the numbers in the file tell
which variable went where. Then every argument that could matter is turned, alone and together with the others that
did matter. Knows Keras; only the catalog writer needs it.
"""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import keras
import numpy as np
import tensorflow as tf

from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from modelrecipe.live.catalog_arguments import Facts
    from modelrecipe.live.catalog_samples import Sample

_NO_SWITCH = (
    "name dtype trainable autocast seed lora_rank lora_alpha quantization_config backward_layer vocabulary_size"
)
_TOGETHER: Mapping[str, Mapping[str, Any]] = {
    "mean": {"variance": 2.0},
    "variance": {"mean": 1.0},
    "tf_idf": {"idf_weights": [0.5, 0.25]},
    "sparse": {"output_mode": "count"},
    "pad_to_max_tokens": {"max_tokens": 5},
}
_GIVEN: Mapping[str, tuple[Any, ...]] = {"mean": (1.0,), "variance": (2.0,), "bias_axes": ("c",)}

REFUSALS = (
    ArithmeticError,
    AttributeError,
    IndexError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    tf.errors.OpError,
)


@frozen
class Saved:
    """One variable in a weight file.

    Args:
        group: the group below the layer's own.
        key: the key in it.
        name: of the variable, after the names of the inner layers that hold it.
        is_trainable: whether it is trained.
        number: of the variable among the layer's own, from 1 on; 0 for what is no variable.
    """

    group: str
    key: str
    name: str
    is_trainable: bool
    number: int = field(default=0, compare=False)

    @property
    def identity(self) -> tuple[str, str, bool]:
        """What it is, wherever it stands among the others."""
        return (self.group, self.name, self.is_trainable)


Observed = list[tuple[dict[str, Any], list[Saved]]]
Rule = dict[str, dict[str, list[Any]]]


class _Holder(keras.Model):
    """The smallest thing that Keras saves with a layer in it, whatever the layer takes and gives.

    Keras visits attributes by alphabet and saves each object once, so the attribute must come before `layers`.
    """

    def __init__(self, held: Any) -> None:
        super().__init__(name="holder")
        self.held = held
        self.built = True


def make(layer_class: type[Any], sample: Sample, changed: Mapping[str, Any] | None = None) -> Any:
    """A built instance, with `changed` over the sample's arguments; inner layers are numbered from the start."""
    keras.utils.clear_session(free_memory=False)
    layer = layer_class(**{**sample.arguments(), **(changed or {})})
    if sample.inputs:
        layer(*(_symbolic(shape, sample.dtype) for shape in sample.inputs))
    return layer


def _symbolic(shape: Any, dtype: str) -> Any:
    if isinstance(shape, list):
        return [_symbolic(item, dtype) for item in shape]
    return keras.KerasTensor(shape, dtype=dtype)


def refusal(layer_class: type[Any], sample: Sample, changed: Mapping[str, Any]) -> str | None:
    """What Keras says against the arguments; None when it takes them."""
    try:
        make(layer_class, sample, changed)
    except REFUSALS as error:
        return str(error).split("\n\nArguments received", maxsplit=1)[0]
    return None


def saved_variables(layer: Any) -> list[Saved]:
    """What Keras writes of a built layer into a weight file, in the order in which it writes it."""
    for number, variable in enumerate(layer.variables, start=1):
        variable.assign(np.full(variable.shape, number).astype(variable.dtype))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "holder.weights.h5"
        _Holder(layer).save_weights(path)
        with h5py.File(path, "r") as file:
            return list(_read(file["held"], layer.variables, "", ""))


def _read(group: Any, variables: list[Any], path: str, prefix: str) -> Iterator[Saved]:
    own = group.get("vars", {})
    for key in sorted(own, key=lambda text: (len(text), text)):
        number = float(np.asarray(own[key]).reshape(-1)[0])
        is_known = key.isdigit() and number.is_integer() and 1 <= number <= len(variables)
        variable = variables[int(number) - 1] if is_known else None
        name, is_trainable = (variable.name, variable.trainable) if variable is not None else (key, False)
        label = prefix + name
        yield Saved(group=path, key=key, name=label, is_trainable=is_trainable, number=int(number) if is_known else 0)
    for child in sorted((name for name in group if name != "vars"), key=_keras_order):
        inner = group[child]
        label = inner["vars"].attrs.get("name") if "vars" in inner else None
        yield from _read(inner, variables, f"{path}{child}/", f"{prefix}{label}/" if label else prefix)


def _keras_order(attribute: str) -> str:
    """Keras visits attributes by name, private ones last (`_name_key` in `keras/src/saving/saving_lib.py`)."""
    return f"~{attribute}" if attribute.startswith("_") else attribute


def learn_variables(layer_class: type[Any], sample: Sample, arguments: list[Facts]) -> list[dict[str, Any]]:
    """Every variable that some instance of the class saves, with the arguments' values under which it does.

    Raises:
        ValueError: Keras refused a value, so that its effect is unknown; or the rule is one the catalog cannot say.
    """
    start = {**{a["name"]: a.get("default") for a in arguments}, **sample.arguments()}
    base = saved_variables(make(layer_class, sample))
    switches: dict[str, list[Any]] = {}
    for argument in arguments:
        name = argument["name"]
        values = [value for value in _values(argument) if value != start[name]]
        found = [_present(layer_class, sample, {name: value}, start) for value in values]
        unknown = [v for v, present in zip(values, found, strict=True) if present is None]
        if unknown:
            raise ValueError(f"what '{name}' = {unknown} does to {layer_class.__name__} is not known: Keras refuses it")
        if any(present not in (None, base) for present in found):
            switches[name] = [start[name], *values]
    observed: Observed = []
    for combination in itertools.product(*switches.values()):
        chosen = dict(zip(switches, combination, strict=True))
        changed = {name: value for name, value in chosen.items() if value != start[name]}
        present = _present(layer_class, sample, changed, start)
        if present is not None:
            observed.append((chosen, present))
    return [_conditions(identity, observed, switches) for identity in _merged_order([saved for _, saved in observed])]


def _values(argument: Facts) -> list[Any]:
    """Other values that are worth trying for an argument; none where it cannot matter."""
    if argument["name"] in _NO_SWITCH.split():
        return []
    kinds = argument.get("kind", [])
    values: list[Any] = list(_GIVEN.get(argument["name"], ()))
    if "boolean" in kinds:
        values += [True, False]
    if isinstance(argument.get("choices"), list):
        values += argument["choices"]
    return values + ([None] if "null" in kinds and values else [])


def _present(
    layer_class: type[Any], sample: Sample, changed: Mapping[str, Any], known: Iterable[str]
) -> list[Saved] | None:
    """What is saved under these arguments, with those Keras wants beside them; None when Keras refuses all the same."""
    for arguments in (changed, {**_company(changed, known), **changed}):
        if refusal(layer_class, sample, arguments) is None:
            return saved_variables(make(layer_class, sample, arguments))
    return None


def _company(changed: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    given = [pair for pair in changed.items() if pair[1] is not None]
    keys = [key for pair in given for key in pair if isinstance(key, str)]
    beside = {other: given for key in keys for other, given in _TOGETHER.get(key, {}).items()}
    return {other: given for other, given in beside.items() if other in known}


def _merged_order(observed: list[list[Saved]]) -> list[Saved]:
    """Every variable once, the longest observation setting the order and the others filling in."""
    merged: list[Saved] = []
    for saved in sorted(observed, key=len, reverse=True):
        place = 0
        for item in saved:
            known = [other.identity for other in merged]
            if item.identity in known:
                place = known.index(item.identity) + 1
            else:
                merged.insert(place, item)
                place += 1
    return merged


def _conditions(wanted: Saved, observed: Observed, switches: Mapping[str, list[Any]]) -> dict[str, Any]:
    """The catalog's description of one variable."""
    present = [any(saved.identity == wanted.identity for saved in found) for _, found in observed]
    for learn in (_when_all, _when_any):
        rule = learn([chosen for chosen, _ in observed], present, switches)
        if rule is not None:
            facts: dict[str, Any] = {"name": wanted.name, "group": wanted.group, "trainable": wanted.is_trainable}
            facts |= {"key": wanted.key} if not wanted.key.isdigit() else {}
            return {k: v for k, v in {**facts, **rule}.items() if v not in ("", {})}
    raise ValueError(f"variable '{wanted.name}' depends on its arguments in a way that the catalog cannot say")


def _when_all(chosen: list[dict[str, Any]], present: list[bool], switches: Mapping[str, list[Any]]) -> Rule | None:
    """`when` and `unless`: every argument has an allowed value, and none a forbidden one."""
    when: dict[str, list[Any]] = {}
    unless: dict[str, list[Any]] = {}
    for name, values in switches.items():
        good = [value for value in values if any(p and c[name] == value for p, c in zip(present, chosen, strict=True))]
        bad = [value for value in values if value not in good]
        if bad:
            (unless if None in bad else when)[name] = bad if None in bad else good
    told = [all(c[k] in v for k, v in when.items()) and not any(c[k] in v for k, v in unless.items()) for c in chosen]
    return {"when": when, "unless": unless} if told == present else None


def _when_any(chosen: list[dict[str, Any]], present: list[bool], switches: Mapping[str, list[Any]]) -> Rule | None:
    """`any`: one argument with such a value is enough."""
    enough: dict[str, list[Any]] = {}
    for name, values in switches.items():
        good = [value for value in values if all(p for p, c in zip(present, chosen, strict=True) if c[name] == value)]
        if good:
            enough[name] = good
    told = [any(c[k] in v for k, v in enough.items()) for c in chosen]
    return {"any": enough} if told == present else None
