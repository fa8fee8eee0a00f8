"""Puts an architecture and a file of weights together, and accounts for every layer and every tensor.

What the file holds for no layer, and what a layer needs that the file does not hold, is an error unless the recipe
names it: a model that is loaded by half looks like one that is loaded.
"""

from __future__ import annotations

from dataclasses import field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from modelrecipe import catalog, propagate
from modelrecipe.checkpoint import Checkpoint, Origin
from modelrecipe.edit.sizing import with_sizes
from modelrecipe.engine.account import Account
from modelrecipe.engine.reading import NeedsKerasError
from modelrecipe.errors import FileError, LanguageError, did_you_mean
from modelrecipe.formats.mending import mend_document
from modelrecipe.formats.weights.fitting import fit_layer
from modelrecipe.formats.weights.matching import Found, leaves_of, match_names
from modelrecipe.formats.weights.matching_order import match_counted, match_order
from modelrecipe.formats.weights.renaming import Renaming
from modelrecipe.formats.weights.repairs import modern
from modelrecipe.frozen import frozen
from modelrecipe.graph import update_layers, walk
from modelrecipe.weights import Tensor, Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from modelrecipe.assembly import Assembly
    from modelrecipe.formats.architecture_files import Architecture
    from modelrecipe.formats.weights.files import WeightFile
    from modelrecipe.graph import Layer

Places = dict[str, tuple[Tensor, ...] | None]


@frozen
class Base:
    """An architecture with what is known of its variables beside the catalog.

    Args:
        architecture: the model, and what wrote it.
        templates: variables under the keys of layers, of a model that was at hand.
    """

    architecture: Architecture
    templates: Mapping[str, tuple[Tensor, ...]] = field(default_factory=dict)

    @property
    def model(self) -> Layer:
        """The outermost model."""
        return self.architecture.model


def places_of(model: Layer, templates: Mapping[str, tuple[Tensor, ...]]) -> Places:
    """The variables of every layer, without numbers; None where the class is not known."""
    known: dict[str, tuple[Tensor, ...]] = {}
    unknown: dict[str, tuple[Tensor, ...] | None] = {}
    for item in leaves_of(model):
        key = item.layer.key
        variables = catalog.variables(item.layer.class_name, item.layer.config)
        if variables is None:
            own = templates.get(key)
            unknown[key] = None if own is None else tuple(replace(tensor, source=None, edits=()) for tensor in own)
        else:
            known[key] = tuple(
                Tensor(name=one.name, slot=one.slot, shape=None, dtype=None, is_trainable=one.trainable)
                for one in variables
            )
    sized = with_sizes(Checkpoint(model=model, weights=Weights(known))).weights
    return {**unknown, **{key: _like(sized.of(key), templates.get(key, ())) for key in known}}


def _like(tensors: tuple[Tensor, ...], templates: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    by_slot = {template.slot: template for template in templates}
    return tuple(
        replace(tensor, shape=by_slot[tensor.slot].shape, dtype=by_slot[tensor.slot].dtype)
        if tensor.shape is None and tensor.slot in by_slot
        else tensor
        for tensor in tensors
    )


def all_fresh(base: Base, origin: Origin | None) -> Checkpoint:
    """The architecture with weights that Keras initialises."""
    return _with_fresh(base.model, places_of(base.model, base.templates), {}, origin)


def assemble(
    base: Base,
    file: WeightFile,
    assembly: Assembly,
    fresh: Collection[str],
    measure: Callable[[Checkpoint], Checkpoint] | None,
) -> tuple[Checkpoint, Account]:
    """The architecture with the file's numbers, and an account of what went where.

    Args:
        base: the architecture.
        file: the weights.
        assembly: what the recipe says of both.
        fresh: keys of the layers that get nothing.
        measure: asks Keras for the sizes of new layers; None where it may not be started.

    Raises:
        FileError: something is left, missing or of another shape that the recipe does not name.
        NeedsKerasError: order can only tell with sizes that Keras alone knows.
    """
    ignored = _ignored(file, assembly.ignore)
    renaming = Renaming(names=assembly.map, separator=file.separator)
    how = assembly.match or file.match
    file, applied = modern(base.architecture, file) if assembly.mends else (file, ())
    if how == "by_order":
        places = _measured(base, places_of(base.model, base.templates), fresh, measure)
        found = match_order(base.model, file, places, ignored=ignored, fresh=fresh)
    else:
        found = match_names(base.model, file, how, renaming, ignored=ignored)
        found = _or_counted(base.model, file, found, is_plain=not (assembly.map or ignored or fresh))
    _refuse_idle(renaming, file, base.model)
    taken = {key: tensors for key, tensors in found.tensors.items() if key not in fresh}
    origin = Origin(path=file.path, format="weights", writer=f"Keras {file.keras}" if file.keras else None)
    document = Checkpoint(model=base.model, weights=Weights(taken), origin=origin)
    writer = file.writer if file.writer.version else base.architecture.writer
    applied = base.architecture.applied + applied
    mended = mend_document(document, writer, applied) if assembly.mends else document
    account = Account(file=file, how=how, note=found.note, ignored=tuple(ignored))
    filled = _fill(mended, places_of(mended.model, base.templates), found, fresh, account)
    account.close(found, fresh)
    account.refuse_gaps()
    return filled, account


def _ignored(file: WeightFile, patterns: tuple[str, ...]) -> dict[str, None]:
    """The entries that a recipe leaves in the file, in order."""
    found: dict[str, None] = {}
    for number, pattern in enumerate(patterns):
        names = [
            entry.path
            for entry in file.entries
            if fnmatchcase(entry.path, pattern) or entry.path.startswith(f"{pattern}{file.separator}")
        ]
        if not names:
            hint = did_you_mean(pattern, [entry.path for entry in file.entries])
            raise LanguageError(f"'{file.path}' holds nothing named '{pattern}'", hint=hint, at=("ignore", number))
        found |= dict.fromkeys(names)
    return found


def _or_counted(model: Layer, file: WeightFile, found: Found, *, is_plain: bool) -> Found:
    """What Keras itself would read: its groups by class and order, where names are not the model's and all fits."""
    if file.root is None or not is_plain or len(found.entries) == len(file.entries):
        return found
    try:
        counted = match_counted(model, file)
    except FileError:
        return found
    is_whole = len(counted.entries) == len(file.entries) > len(found.entries)
    return replace(counted, note="the file names layers otherwise") if is_whole else found


def _refuse_idle(renaming: Renaming, file: WeightFile, model: Layer) -> None:
    """A name that is renamed stands in the file, and what it is renamed to in the model."""
    paths = [item.path for item in walk(model)]
    for key in renaming.unused():
        known = [entry.path.rpartition(renaming.separator)[0] for entry in file.entries]
        raise LanguageError(
            f"no name in '{file.path}' begins with '{key}'", hint=did_you_mean(key, known), at=("map", key)
        )
    for key, value in renaming.names.items():
        if "*" not in value and not any(f"{value}/".startswith(f"{path}/") for path in paths):
            hint = did_you_mean(value, paths)
            raise LanguageError(f"the architecture has no layer '{value}'", hint=hint, at=("map", key))


def _measured(
    base: Base, places: Places, fresh: Collection[str], measure: Callable[[Checkpoint], Checkpoint] | None
) -> Places:
    """The variables with all shapes, which Keras is asked for where they do not follow."""
    waiting = [
        key
        for key, own in places.items()
        if key not in fresh and (own is None or any(tensor.shape is None for tensor in own))
    ]
    if not waiting:
        return places
    if measure is None:
        raise NeedsKerasError(
            f"the sizes of '{waiting[0]}' are known to Keras alone, so the plan ends here",
            hint="--exact lets the plan build the architecture",
        )
    weights = measure(_with_fresh(base.model, places, {}, None)).weights
    return {key: weights.of(key) or weights.of(f"+{key}") for key in places}


def _with_fresh(
    model: Layer, places: Places, filled: Mapping[str, tuple[Tensor, ...]], origin: Origin | None
) -> Checkpoint:
    """A document in which layers of unknown classes that get nothing count as new, so that Keras initialises them."""
    unknown = {item.path for item in leaves_of(model) if places.get(item.layer.key) is None}
    unknown -= {item.path for item in leaves_of(model) if item.layer.key in filled}
    renewed = update_layers(
        model, {path: lambda layer: replace(layer, key=f"+{layer.key.removeprefix('+')}") for path in unknown}
    )
    known = {key: tensors for key, tensors in places.items() if tensors}
    weights = Weights({key: tensors for key, tensors in {**known, **filled}.items() if tensors})
    return propagate.annotate(with_sizes(Checkpoint(model=renewed, weights=weights, origin=origin)))


def _fill(document: Checkpoint, places: Places, found: Found, fresh: Collection[str], account: Account) -> Checkpoint:
    filled: dict[str, tuple[Tensor, ...]] = {}
    for item in leaves_of(document.model):
        key, own = item.layer.key, places.get(item.layer.key)
        given = document.weights.of(key)
        if key in fresh:
            account.fresh(item, own or ())
        elif own is None:
            # Only Keras knows the class: it looks at names and shapes when the numbers are filled in.
            filled[key] = given
            account.unchecked(item, given)
        else:
            fit = fit_layer(own, given, is_ordered=bool(account.file.recorded))
            filled[key] = fit.tensors
            account.take(item, fit, found)
    return _with_fresh(document.model, places, filled, document.origin)
