"""`replace`: put other layers in the place of layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from dataclasses import replace as altered
from typing import Annotated, ClassVar, Literal

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit.replacement import Replacement, replace_layers
from modelrecipe.edit.succession import Succession, Wanted, succeed
from modelrecipe.edit.surgery import (
    check_all_copies,
    edit_graphs,
    keys_inside,
    named,
    new_key,
    outermost,
    refuse_opaque,
    taken_keys,
)
from modelrecipe.errors import EditError, RecipeError
from modelrecipe.fields import Doc, Rule
from modelrecipe.graph import Layer, Located
from modelrecipe.layer_spec import Inherit, LayerSpec
from modelrecipe.selector import Selector
from modelrecipe.step import STRUCTURE, Bench, Change, Step, Touch
from modelrecipe.weights import Weights


@dataclass(frozen=True, kw_only=True)
class Replace(Step):
    """Put a layer, or a chain of layers, in the place of each selected layer.

    The new layer takes the old one's inputs and gives its outputs, at every call of a shared layer, so sharing is kept.
    The name stays unless the spec names another (in a chain, the last layer keeps it), and so does the dtype policy.
    Where the old weights would fit the new layer, `weights` must say whether they are kept or begin anew. All other
    layers, with their weights, names and flags, are unchanged.

    Example:
        - replace: {layers: {type: MaxPooling2D, expect: 5}, with: AveragePooling2D, inherit: config}
    """

    word: ClassVar[str] = "replace"
    touches: ClassVar[Touch] = STRUCTURE

    layers: Annotated[Selector, Doc("which layers")]
    with_: Annotated[LayerSpec | tuple[LayerSpec, ...], Doc("the new layer; a list is a chain")]
    inherit: Annotated[Inherit | None, Doc("arguments to take over from the old layer: all that fit, or a list")] = None
    weights: Annotated[Literal["keep", "fresh"] | None, Doc("take over the old weights, or begin anew")] = None
    calls: Annotated[
        Literal["all"] | tuple[Annotated[int, Rule({"minimum": 0})], ...],
        Doc("of a shared layer: all calls, or their numbers from 0"),
    ] = "all"

    def problems(self) -> Iterator[RecipeError]:
        """Required arguments that are neither written nor inherited."""
        for number, spec in enumerate(self._specs()):
            for error in spec.missing() if self.inherit is None else ():
                error.at = ("with", *((number,) if isinstance(self.with_, tuple) else ()), *error.at)
                yield error

    def _specs(self) -> tuple[LayerSpec, ...]:
        return self.with_ if isinstance(self.with_, tuple) else (self.with_,)

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """Make the chains, decide about their weights, rewire."""
        refuse_opaque(checkpoint, self.word)
        chosen = outermost(bench.select(checkpoint, self.layers))
        check_all_copies(checkpoint, chosen)
        successions: dict[str, Succession] = {}
        made: dict[str, Succession] = {}
        taken = taken_keys(checkpoint)
        staying = {located.layer.key for located in chosen if self._stays(located.layer)}
        for located in chosen:
            key = located.layer.key
            made[key] = made.get(key) or self._succession(checkpoint, located, taken, stays=key in staying)
            successions[located.path] = made[key]
        replacements = {path: Replacement(chain=item.chain, calls=self._calls()) for path, item in successions.items()}
        try:
            edited = edit_graphs(checkpoint, replacements, replace_layers)
        except EditError as error:
            error.at = error.at or ("with",)
            raise
        leaving = [located.layer for located in chosen if located.layer.key not in staying]
        weights = edited.weights.without({key for layer in leaving for key in keys_inside(layer)})
        new = {key: tuple(tensors) for item in successions.values() for key, tensors in item.tensors.items()}
        for located in chosen:
            for change in _changes(located, successions[located.path]):
                bench.record(change)
        return altered(edited, weights=Weights({**weights, **new}))

    def _calls(self) -> tuple[int, ...] | None:
        return None if self.calls == "all" else tuple(self.calls)

    def _stays(self, layer: Layer) -> bool:
        """Whether the old layer is still called somewhere."""
        return self.calls != "all" and not set(range(len(layer.calls))) <= set(self.calls)

    def _succession(self, checkpoint: Checkpoint, located: Located, taken: set[str], *, stays: bool) -> Succession:
        """The new layers for one old layer, with the weights that they begin with."""
        specs = self._specs()
        chain: list[Layer] = []
        for number, spec in enumerate(specs):
            name = self._name(spec, located.layer, is_last=number == len(specs) - 1)
            old = located.layer if len(specs) == 1 or spec.inherit is not None else _dtype_only(located.layer)
            suffix = "" if len(specs) == 1 else f":{number}"
            key = new_key(taken, f"{located.layer.key}{suffix}")
            try:
                chain.append(spec.make(name=name, key=key, old=old, inherit=self.inherit))
            except EditError as error:
                error.at = ("with", *((number,) if len(specs) > 1 else ()), *error.at)
                raise
        wanted: list[Wanted] = [spec.weights or self.weights for spec in specs]
        if self.weights == "keep" and len(specs) > 1:
            raise EditError(
                "a chain has several layers that could keep the weights",
                hint="write weights: keep in one layer of the chain, and fresh here",
                at=("weights",),
            )
        if stays and "keep" in wanted:
            raise EditError(
                f"'{located.path}' stays for its other calls, so the new layer cannot have its weights",
                hint="write weights: fresh, or calls: all",
                at=("calls",),
            )
        return succeed(checkpoint, located, chain, wanted)

    def _name(self, spec: LayerSpec, old: Layer, *, is_last: bool) -> str:
        stays = is_last and self.calls == "all"
        return named(spec, old.name) if spec.name or not stays else old.name


def _dtype_only(layer: Layer) -> Layer:
    return altered(layer, config={key: value for key, value in layer.config.items() if key == "dtype"})


def _changes(located: Located, item: Succession) -> Sequence[Change]:
    old = located.layer
    new = " → ".join(layer.kind_name for layer in item.chain)
    kept = f", {', '.join(item.kept)} kept" if item.kept else ", weights fresh" if item.is_fresh else ""
    kept += f", {', '.join(item.dropped)} dropped" if item.dropped else ""
    what = f"{old.kind_name} → {new}{kept}"
    return [Change(kind="-/+", layer=located.path, key=old.key, what=what)]
