"""`insert`: put new layers behind or in front of layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from dataclasses import replace as altered
from typing import Annotated, ClassVar, Literal

from modelrecipe import catalog
from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit.rewire import Insertion, insert_after, insert_before, taps_of
from modelrecipe.edit.succession import fresh_tensors
from modelrecipe.edit.surgery import check_all_copies, edit_graphs, graph_of, named, new_key, refuse_opaque
from modelrecipe.errors import EditError, LanguageError, RecipeError
from modelrecipe.fields import Doc
from modelrecipe.graph import Layer, Located
from modelrecipe.layer_spec import LayerSpec
from modelrecipe.selector import Selector
from modelrecipe.step import STRUCTURE, Bench, Change, Step, Touch


@dataclass(frozen=True, kw_only=True)
class Insert(Step):
    """Put a new layer, or a chain of layers, behind or in front of each selected layer.

    Everything that took the selected layer's output takes the new layer's instead; the model's outputs too. Where a
    layer is called several times, `calls` says whether each call gets a new layer of its own or all share one; for
    layers without weights this makes no difference to the outputs and `once` is taken. All existing layers, with their
    weights, names and flags, are unchanged. Names default to `<neighbour>_<class>`.

    Example:
        - insert: {after: {type: Conv2D}, layer: {class: SpatialDropout2D, config: {rate: 0.1}}}
    """

    word: ClassVar[str] = "insert"
    touches: ClassVar[Touch] = STRUCTURE

    after: Annotated[Selector | None, Doc("behind which layers; inputs may be named")] = None
    before: Annotated[Selector | None, Doc("in front of which layers, each with one input")] = None
    layer: Annotated[LayerSpec | tuple[LayerSpec, ...], Doc("the new layer; a list is a chain")]
    calls: Annotated[
        Literal["each", "once"] | None, Doc("of a shared layer: a new layer for each call, or one for all")
    ] = None

    def problems(self) -> Iterator[RecipeError]:
        """One of `after` and `before`; missing arguments; weights that nothing could keep."""
        if (self.after is None) == (self.before is None):
            yield LanguageError("insert needs one of 'after' and 'before'")
        for number, spec in enumerate(self._specs()):
            at = ("layer", *((number,) if isinstance(self.layer, tuple) else ()))
            if spec.inherit is not None or spec.weights == "keep":
                key = "inherit" if spec.inherit is not None else "weights"
                yield LanguageError("an inserted layer has no predecessor to take from", at=(*at, key))
            for error in spec.missing():
                error.at = (*at, *error.at)
                yield error

    def _specs(self) -> tuple[LayerSpec, ...]:
        return self.layer if isinstance(self.layer, tuple) else (self.layer,)

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """Make the chains, one for every place that needs its own, and rewire."""
        refuse_opaque(checkpoint, self.word)
        side = "after" if self.after is not None else "before"
        selector = self.after or self.before
        chosen = bench.select(checkpoint, selector, side) if selector is not None else ()
        check_all_copies(checkpoint, chosen, side)
        made: dict[str, list[Layer]] = {}
        insertions = {
            located.path: Insertion(
                make=self._maker(checkpoint, located, made.setdefault(located.path, [])),
                calls=self._resolve_calls(checkpoint, located, side),
            )
            for located in chosen
        }
        try:
            edited = edit_graphs(checkpoint, insertions, insert_after if side == "after" else insert_before)
        except EditError as error:
            error.at = error.at or (side,)
            raise
        weights = edited.weights
        for path, layers in made.items():
            for layer in layers:
                weights = weights.having(layer.key, fresh_tensors(layer))
                where = "behind" if side == "after" else "in front of"
                what = f"{layer.kind_name} {where} '{path.rpartition('/')[2]}'"
                prefix = path.rpartition("/")[0]
                new_path = f"{prefix}/{layer.name}" if prefix else layer.name
                bench.record(Change(kind="+", layer=new_path, key=layer.key, what=what))
        return altered(edited, weights=weights)

    def _maker(self, checkpoint: Checkpoint, located: Located, made: list[Layer]) -> _Maker:
        return _Maker(specs=self._specs(), checkpoint=checkpoint, located=located, made=made)

    def _resolve_calls(self, checkpoint: Checkpoint, located: Located, side: str) -> Literal["each", "once"]:
        if self.calls is not None:
            return self.calls
        graph = graph_of(checkpoint, located)
        places = len(taps_of(graph).get(located.layer.name, ())) if side == "after" else len(located.layer.calls)
        entries = [catalog.find(spec.class_) for spec in self._specs()]
        if places > 1 and not all(entry is not None and entry.is_stateless for entry in entries):
            raise EditError(
                f"'{located.path}' gives {places} tensors, and the new layer has weights",
                hint="write calls: each (a layer for every call) or calls: once (one layer for all)",
                at=("calls",),
            )
        return "once"


@dataclass(frozen=True)
class _Maker:
    """Makes the chain for one place and notes what it made."""

    specs: Sequence[LayerSpec]
    checkpoint: Checkpoint
    located: Located
    made: list[Layer]

    def __call__(self, number: int) -> Sequence[Layer]:
        old = self.located.layer
        suffix = f"_{number}" if number else ""
        dtype = altered(
            old, config={key: value for key, value in old.config.items() if key == "dtype" and not old.is_input}
        )
        chain: list[Layer] = []
        for position, spec in enumerate(self.specs):
            name = named(spec, old.name) + suffix
            taken = {layer.name for layer in (*self.made, *chain)}
            name = name if name not in taken else f"{name}_{position}"
            key = new_key(self.checkpoint, f"{old.key}:{name}")
            chain.append(spec.make(name=name, key=key, old=dtype))
        self.made.extend(chain)
        return chain
