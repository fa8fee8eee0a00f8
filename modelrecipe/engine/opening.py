"""Where the checkpoints of a recipe come from: model files, architectures that Keras builds, what was put aside."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from modelrecipe import propagate
from modelrecipe.edit.substitution import substitute
from modelrecipe.engine.reading import input_name, read_document, refuse_unbuilt, remarks
from modelrecipe.errors import LanguageError, RecipeError, did_you_mean
from modelrecipe.formats.same_layout import extents_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelrecipe.applications import Application
    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.engine.bench import WorkBench
    from modelrecipe.layer_spec import LayerSpec


def open_file(
    bench: WorkBench, path: str, format: str | None, *, mends: bool, replace: Mapping[str, LayerSpec]
) -> Checkpoint:
    """Read a model file, which is noted as an input; see `Bench.open`.

    Raises:
        LanguageError: an earlier step writes that file; a plan could not know what it will hold.
        FileError: the file cannot be read, or is no model.
    """
    if bench.own_output(path) is not None:
        raise LanguageError(
            f"'{path}' is written by an earlier step, so this recipe cannot load it",
            hint="load it in a recipe of its own",
            at=("path",),
        )
    bench.progress(f"reading {path}")
    opened = bench.inputs[bench.name_of(path)] = substitute(read_once(bench, path, format, mends=mends), replace)
    for remark in remarks(opened):
        bench.note(remark)
    return opened


def read_once(bench: WorkBench, path: str, format: str | None, *, mends: bool = True) -> Checkpoint:
    """The document in a file; its headers are read once, however many steps name it.

    Raises:
        FileError: the file cannot be read, or is no model.
    """
    key = (bench.folder / path, mends)
    if key not in bench.opened:
        bench.opened[key] = read_document(bench.folder / path, format, mends=mends)
    return bench.opened[key]


def construct(bench: WorkBench, application: Application) -> Checkpoint:
    """Let Keras build an architecture, which is noted as an input; see `Bench.construct`.

    Raises:
        NeedsKerasError: Keras may not be started.
    """
    if bench.is_dry and not bench.exact:
        refuse_unbuilt(application)
    bench.progress(f"building {application.name}")
    opened = propagate.annotate(bench.workshop.construct(application))
    bench.inputs[input_name(application, bench.inputs)] = opened
    return opened


def keep(bench: WorkBench, name: str, checkpoint: Checkpoint) -> None:
    """Put a checkpoint aside under a name; see `Bench.keep`.

    Raises:
        LanguageError: the name is taken.
    """
    if name in bench.kept:
        raise LanguageError(f"there is a model named '{name}' already", at=("as",))
    bench.kept[name] = checkpoint


def further(bench: WorkBench, name: str, at: tuple[str | int, ...]) -> Checkpoint:
    """The checkpoint that was put aside under a name, else the model file at that path, which is noted as an input.

    Its numbers do not pass by as those of the current model do, so their checksum is compared first.

    Raises:
        LanguageError: it is neither a name nor a path.
        FileError: the file cannot be read, or is damaged.
    """
    found = bench.kept.get(name)
    if found is None:
        is_word = PurePath(name).name == name and not PurePath(name).suffix and not (bench.folder / name).exists()
        if is_word:
            put_aside = f"put one aside with '- load: {{path: ..., as: {name}}}', or write a path"
            raise LanguageError(
                f"there is no model named '{name}'", hint=did_you_mean(name, bench.kept) or put_aside, at=at
            )
    try:
        found = bench.open(name, aside=True) if found is None else found
        if not bench.is_dry:
            _verify(bench, found)
    except RecipeError as error:
        error.at = at
        raise
    return found


def _verify(bench: WorkBench, checkpoint: Checkpoint) -> None:
    """Compare the checksums of the files that the numbers lie in, once for each.

    Raises:
        FileError: a file is damaged.
    """
    from modelrecipe.formats.passing import verify  # plans, which read no numbers, do without

    for extent in extents_of(checkpoint) - bench.verified:
        verify(extent)
        bench.verified.add(extent)
