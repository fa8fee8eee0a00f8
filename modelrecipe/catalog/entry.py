"""The catalog's data as typed entries: one per public layer class and per bare operation.

Reads `data.json` on first use and makes an entry when it is asked for. Knows no configurations.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = ("integer", "number", "string", "boolean", "array", "object", "null")
"""Every JSON kind: what an argument of unknown type may be."""


@frozen
class Argument:
    """One constructor argument.

    Args:
        name: as Keras writes it.
        kind: the JSON kinds it may have; all of `KINDS` where nothing is known. A `number` may be an integer.
        default: as JSON has it; None also for a default that JSON cannot say, and for a required argument.
        required: whether the class cannot be made without it.
        doc: one line, or nothing.
        choices: the words that a text may be; empty where any may stand. Registered names (`package>name`) are
            always allowed beside them.
    """

    name: str
    kind: tuple[str, ...] = KINDS
    default: Any = None
    required: bool = False
    doc: str = ""
    choices: tuple[str, ...] = ()


@frozen
class Entry:
    """A layer class or a bare operation.

    Args:
        name: as a recipe names it: `Dense`, `ops.Add`; also a further name that Keras has for it (`Convolution2D`).
        class_name: as a model file names it: `Conv2D`, `Add`.
        module: where Keras finds it: `keras.layers`, `keras.src.ops.numpy`.
        is_operation: whether it is a bare operation, without weights or flags.
        arguments: of the constructor, those that every layer has included.
        call_arguments: names that `call` accepts.
        is_stateless: whether it keeps nothing in a model file, whatever its arguments: no variables, no assets, no
            inner layers of the user's. Random state is not kept in files, so `Dropout` is stateless.
        merges: whether its one positional argument is a list of tensors.
        broadcasts: whether it works number by number on several tensors, so that Keras stretches unequal shapes
            silently.
    """

    name: str
    class_name: str
    module: str
    is_operation: bool
    arguments: tuple[Argument, ...]
    call_arguments: tuple[str, ...]
    is_stateless: bool
    merges: bool
    broadcasts: bool

    def argument(self, name: str) -> Argument | None:
        """The argument of that name, or None."""
        return next((argument for argument in self.arguments if argument.name == name), None)


@functools.cache
def find(name: str) -> Entry | None:
    """The entry of a layer (`Dense`) or an operation (`ops.Add`); None where the catalog has none.

    Example:
        >>> find("Convolution2D").class_name
        'Conv2D'
    """
    facts = raw_facts(name)
    if facts is None:
        return None
    is_operation = name.startswith("ops.")
    return Entry(
        name=name,
        class_name=name.removeprefix("ops.") if is_operation else _data()["aliases"].get(name, name),
        module=f"keras.src.ops.{facts['module']}" if is_operation else "keras.layers",
        is_operation=is_operation,
        arguments=tuple(_argument(argument) for argument in facts["arguments"]),
        call_arguments=tuple(facts["call"]),
        is_stateless=not any(facts.get(key) for key in ("variables", "assets", "container", "opaque")),
        merges=facts.get("merges", False),
        broadcasts=facts.get("broadcasts", False),
    )


def raw_facts(name: str) -> Mapping[str, Any] | None:
    """What the data file says of a layer or an operation, for the rooms of the catalog."""
    data = _data()
    if name.startswith("ops."):
        return data["operations"].get(name.removeprefix("ops."))
    return data["layers"].get(data["aliases"].get(name, name))


def layer_names() -> tuple[str, ...]:
    """Every public layer class, further names of the same class included, by alphabet."""
    return tuple(sorted((*_data()["layers"], *_data()["aliases"])))


def operation_names() -> tuple[str, ...]:
    """Every bare operation, as `ops.Add`, by alphabet."""
    return tuple(sorted(f"ops.{name}" for name in _data()["operations"]))


def keras_version() -> str:
    """The Keras that the data were learnt from."""
    return _data()["keras"]


@functools.cache
def _data() -> dict[str, Any]:
    return json.loads(Path(__file__).with_name("data.json").read_text(encoding="utf-8"))


def _argument(facts: Mapping[str, Any] | str) -> Argument:
    """An argument; one that every layer has is written as its name alone."""
    known: Mapping[str, Any] = _data()["basic"][facts] if isinstance(facts, str) else facts
    choices = known.get("choices", ())
    return Argument(
        name=known["name"],
        kind=tuple(known.get("kind", KINDS)),
        default=known.get("default"),
        required=known.get("required", False),
        doc=known.get("doc", ""),
        choices=tuple(_data()["choices"][choices[1:]] if isinstance(choices, str) else choices),
    )
