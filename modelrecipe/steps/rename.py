"""`rename`: give layers other names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Annotated, ClassVar

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit.rewire import rename_layers
from modelrecipe.edit.surgery import map_graphs, refuse_opaque
from modelrecipe.errors import EditError, LanguageError
from modelrecipe.fields import Doc
from modelrecipe.graph import Located
from modelrecipe.selector import Selector
from modelrecipe.step import NAMES, Bench, Change, Step, Touch

_LONGEST = 200
_ANOTHER = "write another name; it may hold {name} and {index}"
_ANOTHER_IN_MAP = "map one of them to another name"


@dataclass(frozen=True, kw_only=True)
class Rename(Step):
    """Give the selected layers other names.

    Calls and outputs follow; weights, flags and numbers are unchanged. `to` may hold `{name}`, `{index}` (from 0,
    among the selected) and, when the selector has a `regex`, its groups as `{1}` or by name. `map` names each layer
    and its new name. Keys of a dictionary of inputs or outputs belong to the model's caller and stay.

    Example:
        - rename: {layers: {type: Dense}, to: "dense_{index}"}
    """

    word: ClassVar[str] = "rename"
    touches: ClassVar[Touch] = NAMES

    layers: Annotated[Selector | None, Doc("which layers, together with `to`")] = None
    to: Annotated[str | None, Doc("the new name; may hold {name}, {index} and groups of the regex")] = None
    map: Annotated[Mapping[str, str] | None, Doc("old name or path to new name")] = None

    def problems(self) -> Iterator[LanguageError]:
        """Either `layers` with `to`, or `map`."""
        if self.map is None and (self.layers is None or self.to is None):
            yield LanguageError("needs 'layers' and 'to', or 'map'", hint="say which layers get which names")
        elif self.map is not None and (self.layers is not None or self.to is not None):
            other = "layers" if self.layers is not None else "to"
            yield LanguageError(f"has both 'map' and '{other}'", hint="keep 'map', or 'layers' with 'to'")

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """Rename in every graph at once, so that names may be exchanged."""
        refuse_opaque(checkpoint, self.word)
        names: dict[str, str] = {}
        for located, new in self._pairs(checkpoint, bench):
            if located.layer.name != new:
                names[located.path] = new
                what = f"named '{new}'"
                bench.record(Change(kind="~", layer=located.path, key=located.layer.key, what=what))
        try:
            return map_graphs(checkpoint, names, rename_layers)
        except EditError as error:
            error.at = error.at or (("to",) if self.map is None else ("map",))
            error.hint = error.hint or (_ANOTHER if self.map is None else _ANOTHER_IN_MAP)
            raise

    def _pairs(self, checkpoint: Checkpoint, bench: Bench) -> Iterator[tuple[Located, str]]:
        if self.map is not None:
            for old, new in self.map.items():
                for located in bench.select(checkpoint, Selector(name=old, expect=1), "map"):
                    yield located, new
        elif self.layers is not None and self.to is not None:
            for index, located in enumerate(bench.select(checkpoint, self.layers)):
                yield located, self._name(located, index)

    def _name(self, located: Located, index: int) -> str:
        found = re.fullmatch(self.layers.regex, located.path) if self.layers and self.layers.regex else None
        groups = ("", *(found.groups("") if found else ()))
        named = found.groupdict("") if found else {}
        numbered = {str(number): group for number, group in enumerate(groups)}
        name = _filled(str(self.to), {"name": located.layer.name, "index": str(index), **numbered, **named})
        if len(name) > _LONGEST:
            raise EditError(
                f"the new name of '{located.path}' has {len(name)} characters, but at most {_LONGEST} are allowed",
                hint="write a shorter one",
                at=("to",),
            )
        return name


def _filled(text: str, values: Mapping[str, str]) -> str:
    """The text with its fields filled in: plain names alone, so that no template reaches into Python objects.

    Raises:
        EditError: a field is not there, or asks for more than its value; braces do not match.
    """
    hint = "it may hold {name}, {index}, and the groups of the selector's regex"
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise EditError(f"'{text}' names something that is not there: {error}", hint=hint, at=("to",)) from error
    filled = ""
    for literal, name, form, conversion in parts:
        filled += literal
        if name is None:
            continue
        if form or conversion or not re.fullmatch(r"\w+", name):
            asked = name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
            raise EditError(f"'{text}' asks for more than a plain field: '{{{asked}}}'", hint=hint, at=("to",))
        if name not in values:
            raise EditError(f"'{text}' names something that is not there: '{name}'", hint=hint, at=("to",))
        filled += values[name]
    return filled
