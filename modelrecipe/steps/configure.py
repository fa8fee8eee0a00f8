"""`configure`: set arguments of layers that change no variable, no shape and no wiring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from modelrecipe import catalog, measures
from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit.held import Holder, holders
from modelrecipe.edit.settings import Wishes, change_settings
from modelrecipe.edit.surgery import leaves_of, refuse_opaque
from modelrecipe.errors import EditError, UnknownKeyError
from modelrecipe.fields import Doc
from modelrecipe.graph import Located
from modelrecipe.layer_spec import serialised
from modelrecipe.selector import Selector
from modelrecipe.step import SETTINGS, Bench, Step, Touch

_FORMERLY = {"negative_slope": "alpha"}
"""Arguments that a file of Keras 2 may name otherwise; Keras believes the old name before the new one."""


@dataclass(frozen=True, kw_only=True)
class Configure(Step):
    """Set arguments of the selected layers that change no variable, no shape and no wiring, such as a dropout rate.

    Which arguments these are was learnt from Keras, class by class: rates, noise, momentum and epsilon, slopes,
    regularizers, constraints, initializers, interpolations, activations that keep the shape. All others are refused,
    and so is a value that Keras would refuse. What a wrapper wraps is meant where the wrapper itself has no such
    argument; in a Bidirectional, both directions. Of a selected model, the layers that have the settings are meant.
    No number changes, and no other argument.

    Example:
        - configure: {layers: {type: Dropout}, config: {rate: 0.3}}
    """

    word: ClassVar[str] = "configure"
    touches: ClassVar[Touch] = SETTINGS

    layers: Annotated[Selector, Doc("which layers")]
    config: Annotated[Mapping[str, Any], Doc("arguments with their new values")]

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """Find whose argument each is, refuse what is no setting, change the configuration."""
        refuse_opaque(checkpoint, self.word)
        selected = bench.select(checkpoint, self.layers)
        named = {located.path for located in selected}
        chosen = leaves_of(selected)
        meant = {path: item for path, item in chosen.items() if path in named or self._fits(item)}
        if not meant:
            keys = measures.quoted(list(self.config))
            raise EditError(
                f"no layer inside {measures.quoted(sorted(named))} has the setting {keys}",
                hint="select the layers that have it",
                at=("layers",),
            )
        return change_settings(checkpoint, bench, {path: self._wishes(item) for path, item in meant.items()})

    def _fits(self, located: Located) -> bool:
        """Whether a layer of a selected model has all the settings; its other layers are not meant."""
        owned = [(holder, key) for key in self.config for holder in _owners(located, key)]
        return all(key in catalog.settings(holder.class_name or "") for holder, key in owned)

    def _wishes(self, located: Located) -> Wishes:
        layer = located.layer
        if catalog.find(layer.kind_name) is None or layer.is_operation:
            raise EditError(
                f"'{located.path}' is a {layer.kind_name}, of whose arguments nothing is known",
                hint="select layers of Keras' own classes",
                at=("layers",),
            )
        given: dict[tuple[str | int, ...], tuple[Holder, dict[str, Any]]] = {}
        for key, value in self.config.items():
            for holder in _owners(located, key):
                given.setdefault(holder.place, (holder, {}))[1][key] = value
        for holder, own in given.values():
            for problem in catalog.setting_problems(str(holder.class_name), own):
                kind = UnknownKeyError if problem.message.startswith("unknown argument") else EditError
                raise kind(problem.message, hint=problem.hint, at=("config", *problem.at))
        return [(holder, _spelt(holder, own)) for holder, own in given.values()]


def _owners(located: Located, key: str) -> list[Holder]:
    """The layer itself if it has the argument, else those inside it that have; the layer, where none has."""
    own, *inner = holders(located.layer)
    if _takes(own, key):
        return [own]
    return [holder for holder in inner if _takes(holder, key)] or [own]


def _takes(holder: Holder, key: str) -> bool:
    entry = catalog.find(holder.class_name) if holder.class_name is not None else None
    return entry is not None and entry.argument(key) is not None


def _spelt(holder: Holder, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as Keras writes them, under the names that the file has for them."""
    old = {key: _FORMERLY[key] for key in given if _FORMERLY.get(key) in holder.config}
    return {old.get(key, key): serialised(value) for key, value in given.items()}
