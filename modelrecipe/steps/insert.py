"""`insert`: put new layers behind or in front of layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as altered
from typing import Annotated, ClassVar, Literal

from modelrecipe import catalog
from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit.rewire import Insertion, Tap, insert_after, insert_before, taps_of
from modelrecipe.edit.succession import fresh_tensors
from modelrecipe.edit.surgery import check_all_copies, edit_graphs, graph_of, named, new_key, refuse_opaque, taken_keys
from modelrecipe.errors import EditError, LanguageError, RecipeError
from modelrecipe.fields import Doc
from modelrecipe.frozen import frozen
from modelrecipe.graph import Layer, Located
from modelrecipe.layer_spec import LayerSpec
from modelrecipe.selector import Selector
from modelrecipe.step import STRUCTURE, Bench, Change, Step, Touch
from modelrecipe.weights import Weights


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
        if self.after is None and self.before is None:
            yield LanguageError("needs 'after' or 'before'", hint="say where the new layer stands")
        elif self.after is not None and self.before is not None:
            yield LanguageError("has both 'after' and 'before'", hint="keep one")
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
        taken = taken_keys(checkpoint)
        places = _places(checkpoint, chosen, side)
        chosen = _without_idle(chosen, places, bench)
        shared: dict[tuple[str, str, int], Sequence[Layer]] = {}
        insertions: dict[str, Insertion] = {}
        for located in chosen:
            calls = self._resolve_calls(located, places[located.layer.key])
            # Copies of one model around it are the same place; copies of the layer alone share where `once` says so.
            place = "" if calls == "once" else located.parents[-1].key
            note = made.setdefault(located.path, [])
            maker = _Maker(specs=self._specs(), taken=taken, located=located, place=place, made=note, shared=shared)
            insertions[located.path] = Insertion(make=maker, calls=calls)
        try:
            edited = edit_graphs(checkpoint, insertions, insert_after if side == "after" else insert_before)
        except EditError as error:
            error.at = error.at or (side,)
            raise
        new = {layer.key: fresh_tensors(layer) for layers in made.values() for layer in layers}
        for path, layers in made.items():
            for layer in layers:
                where = "behind" if side == "after" else "in front of"
                what = f"{layer.kind_name} {where} '{path.rpartition('/')[2]}'"
                prefix = path.rpartition("/")[0]
                new_path = f"{prefix}/{layer.name}" if prefix else layer.name
                bench.record(Change(kind="+", layer=new_path, key=layer.key, what=what))
        return altered(edited, weights=Weights({**edited.weights, **new}))

    def _resolve_calls(self, located: Located, places: int) -> Literal["each", "once"]:
        if self.calls is not None:
            return self.calls
        entries = [catalog.find(spec.class_) for spec in self._specs()]
        if places > 1 and not all(entry is not None and entry.is_stateless for entry in entries):
            raise EditError(
                f"'{located.path}' gives {places} tensors, and the new layer has weights",
                hint="write calls: each (a layer for every call) or calls: once (one layer for all)",
                at=("calls",),
            )
        return "once"


def _without_idle(chosen: Sequence[Located], places: Mapping[str, int], bench: Bench) -> Sequence[Located]:
    """A selection without layers whose output nothing takes, unless it names nothing else."""
    busy = [located for located in chosen if places[located.layer.key]]
    if not busy:
        return chosen
    for located in chosen:
        if not places[located.layer.key]:
            bench.note(f"nothing takes the output of '{located.path}', so nothing is put behind it")
    return busy


@frozen(kw_only=False)
class _Maker:
    """Makes the chain for one place, or takes the one that another graph shares, and notes it."""

    specs: Sequence[LayerSpec]
    taken: set[str]
    located: Located
    place: str
    made: list[Layer]
    shared: dict[tuple[str, str, int], Sequence[Layer]]

    def __call__(self, number: int) -> Sequence[Layer]:
        identity = (self.located.layer.key, self.place, number)
        if identity not in self.shared:
            self.shared[identity] = self._make(number)
        self.made.extend(self.shared[identity])
        return self.shared[identity]

    def _make(self, number: int) -> Sequence[Layer]:
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
            key = new_key(self.taken, f"{old.key}:{name}")
            chain.append(spec.make(name=name, key=key, old=dtype))
        return chain


def _places(checkpoint: Checkpoint, chosen: Sequence[Located], side: str) -> Mapping[str, int]:
    """How many tensors each selected layer gives (or takes), in all graphs that hold it; by its key."""
    taps: dict[int, Mapping[str, Sequence[Tap]]] = {}
    found: dict[str, dict[str, int]] = {}
    for located in chosen:
        graph = graph_of(checkpoint, located)
        if id(graph) not in taps:
            taps[id(graph)] = taps_of(graph)
        layer = located.layer
        count = len(taps[id(graph)].get(layer.name, ())) if side == "after" else len(layer.calls)
        found.setdefault(layer.key, {})[located.parents[-1].key] = count
    return {key: sum(counts.values()) for key, counts in found.items()}
