"""Where the parts of an assembly come from: reads the architecture and the weights, and notes both as inputs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe.applications import Application
from modelrecipe.checkpoint import Checkpoint, Origin
from modelrecipe.edit.substitution import substitute
from modelrecipe.engine.assembling import Base, all_fresh, assemble
from modelrecipe.engine.execution import Execution
from modelrecipe.engine.reading import NeedsKerasError, input_name, read_document, refuse_unbuilt, remarks
from modelrecipe.errors import EditError, FileError, LanguageError
from modelrecipe.formats.architecture_files import Architecture, is_recipe, read_architecture
from modelrecipe.formats.keras_zip.weights_writing import kept_format
from modelrecipe.formats.repair import Writer
from modelrecipe.formats.weights.files import WeightFile, read_weight_file
from modelrecipe.graph import Layer, walk
from modelrecipe.keras_config import read_model, write_model
from modelrecipe.recipe import load_recipe
from modelrecipe.weights import Tensor, Weights

if TYPE_CHECKING:
    from pathlib import Path

    from modelrecipe.assembly import Assembly
    from modelrecipe.engine.bench import WorkBench

_LOOKUPS = ("IntegerLookup", "StringLookup", "TextVectorization")
_OF_KERAS_3 = Writer(version=(3,))


def begin_with(bench: WorkBench, assembly: Assembly) -> Checkpoint:
    """The model that an assembly describes; what it took is noted.

    Raises:
        FileError: a file cannot be read, or the weights do not fit the architecture.
        NeedsKerasError: only Keras can tell, and may not be started.
    """
    base = _substituted(_base(bench, assembly), assembly)
    _refuse_vocabularies(base.model)
    if assembly.weights is None:
        fresh = all_fresh(base, _origin(bench, assembly, base))
        bench.note("fresh weights: no file is named")
        return fresh
    bench.progress(f"reading {assembly.weights}")
    fresh = _fresh_keys(bench, base, assembly)
    measure = None if bench.is_dry and not bench.exact else lambda document: bench.workshop.measure(document)
    try:
        file = read_weight_file(bench.folder / assembly.weights)
        _note_input(bench, assembly.weights, file)
        opened, account = assemble(base, file, assembly, fresh, measure)
        opened = _kept(opened, file)
    except FileError as error:
        error.at = error.at or ("weights",)
        raise
    for note in (*account.notes(), *remarks(opened)):
        bench.note(note)
    return opened


def _kept(opened: Checkpoint, file: WeightFile) -> Checkpoint:
    """The document, with an origin that says so where the file holds just what Keras would write for it."""
    if opened.origin is None or file.kind not in ("keras_groups", "keras_shards"):
        return opened
    kept = kept_format(opened, file.path)
    return opened if kept is None else replace(opened, origin=replace(opened.origin, format=kept))


def _base(bench: WorkBench, assembly: Assembly) -> Base:
    source = assembly.architecture
    if isinstance(source, Application):
        return _of_application(bench, source)
    path = bench.folder / source
    bench.progress(f"reading {source}")
    try:
        if is_recipe(path):
            return _of_recipe(bench, path)
        if path.is_dir():
            return _of_model(read_document(path, None, mends=assembly.mends), _OF_KERAS_3)
        found = read_architecture(path, mends=assembly.mends)
    except FileError as error:
        error.at = ("architecture",)
        raise
    origin = Origin(path=path, format="architecture", writer=f"Keras {found.keras}" if found.keras else None)
    bench.inputs[bench.name_of(source)] = Checkpoint(model=found.model, weights=Weights(), origin=origin)
    return Base(architecture=found)


def _refuse_vocabularies(model: Layer) -> None:
    """A vocabulary that was learnt stands in files beside the weights, which whole model files alone have."""
    for item in walk(model):
        if item.layer.class_name in _LOOKUPS and item.layer.config.get("vocabulary") is None:
            raise EditError(
                f"'{item.path}' ({item.layer.class_name}) has a vocabulary, which no file of weights holds",
                hint="load the whole model file, or write the vocabulary into the architecture",
                at=("architecture",),
            )


def _of_application(bench: WorkBench, application: Application) -> Base:
    if bench.is_dry and not bench.exact:
        refuse_unbuilt(application)
    bench.progress(f"building {application.name}")
    built = bench.workshop.construct(application)
    bench.inputs[input_name(application, bench.inputs)] = replace(built, weights=Weights())
    return _of_model(built, _OF_KERAS_3)


def _of_recipe(bench: WorkBench, path: Path) -> Base:
    """What the steps of another recipe make, `save` left out."""
    if path.resolve() in bench.nesting:
        raise LanguageError(f"'{path}' names itself as its architecture", at=("architecture",))
    recipe = load_recipe(path)
    unknown = [name for name in recipe.imports if name not in bench.imports]
    if unknown:
        raise LanguageError(
            f"'{path}' imports '{unknown[0]}', which this recipe does not",
            hint="name it under imports here too",
            at=("architecture",),
        )
    steps = tuple(item for item in recipe.steps if item.word != "save")
    inner = type(bench)(
        folder=recipe.folder,
        seed=recipe.seed,
        is_dry=bench.is_dry,
        exact=bench.exact,
        progress=bench.progress,
        opened=bench.opened,
        imports=bench.imports,
        inputs=bench.inputs,
        nesting=(*bench.nesting, path.resolve()),
    )
    inner.root = bench.root
    with inner:
        execution = Execution(replace(recipe, steps=steps), inner)
        execution.run()
        unknown_step = next((item for item in execution.outcomes if item.is_unknown), None)
        if unknown_step is not None or execution.checkpoint is None:
            note = unknown_step.notes[0] if unknown_step is not None and unknown_step.notes else "it loads no model"
            raise NeedsKerasError(f"'{path.name}' is not known: {note.partition('; ')[0]}", hint="--exact builds it")
        return _of_model(inner.measure(execution.checkpoint), _OF_KERAS_3)


def _of_model(checkpoint: Checkpoint, writer: Writer) -> Base:
    """The architecture of a model that is at hand, as if it came from a file."""
    if checkpoint.is_opaque:
        raise EditError("the architecture lists no layers: it is a subclassed model", at=("architecture",))
    model = read_model(write_model(checkpoint.model))
    keys = {item.path: item.layer.key for item in walk(checkpoint.model)}
    templates = {item.layer.key: checkpoint.weights.of(keys[item.path]) for item in walk(model)}
    return Base(architecture=Architecture(model=model, writer=writer), templates=templates)


def _substituted(base: Base, assembly: Assembly) -> Base:
    if not assembly.replace:
        return base
    edited = substitute(Checkpoint(model=base.model, weights=Weights()), assembly.replace)
    return replace(base, architecture=replace(base.architecture, model=edited.model, config=None))


def _fresh_keys(bench: WorkBench, base: Base, assembly: Assembly) -> set[str]:
    """The keys of the layers that a recipe names as fresh, and of all inside them."""
    if assembly.fresh is None:
        return set()
    whole = all_fresh(base, None)
    chosen = bench.select(whole, assembly.fresh, "fresh")
    inside = [inner.layer for item in chosen for inner in walk(item.layer)]
    return {layer.key.removeprefix("+") for layer in (*(item.layer for item in chosen), *inside)}


def _origin(bench: WorkBench, assembly: Assembly, base: Base) -> Origin | None:
    if not isinstance(assembly.architecture, str):
        return None
    keras = base.architecture.keras
    return Origin(
        path=bench.folder / assembly.architecture,
        format="architecture",
        writer=f"Keras {keras}" if keras else None,
        repairs=base.architecture.applied,
    )


def _note_input(bench: WorkBench, name: str, file: WeightFile) -> None:
    """Every file that the weights consist of, with the tensors in it."""
    for path in file.files:
        tensors = tuple(
            Tensor(name=entry.path, slot=entry.path, shape=entry.shape, dtype=entry.dtype, source=entry.source)
            for entry in file.entries
            if _file_of(entry.source, file) == path
        )
        called = bench.name_of(name) if path == file.files[0] else bench.name_of(str(path.absolute()))
        bench.inputs[f"{called} (weights)" if called in bench.inputs else called] = Checkpoint(
            model=Layer(name="", class_name=""),
            weights=Weights({"": tensors} if tensors else {}),
            origin=Origin(path=path, format="weights", writer=f"Keras {file.keras}" if file.keras else None),
        )


def _file_of(source: object, whole: WeightFile) -> Path:
    """Which of several files holds a tensor; the first one, where it is put together from more than one."""
    found = getattr(getattr(source, "extent", None), "file", None)
    return found if found in whole.files else whole.files[0]
