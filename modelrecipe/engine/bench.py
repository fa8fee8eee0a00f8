"""The bench: what steps may use of the world, for a plan and for a run.

Opens files, builds when a build is needed and at most once for each structure, writes, and keeps the record. A plan
uses the same bench with `is_dry`: nothing is written, no number is read, and Keras is built only when asked (`exact`).
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelrecipe import formats, propagate
from modelrecipe.edit import fit
from modelrecipe.engine.claim import refuse_place
from modelrecipe.engine.digest import ContentDigest, TensorDigests, content_digest
from modelrecipe.engine.old_format import refuse_old_format
from modelrecipe.engine.output import Written, estimated_memory, estimated_size, format_of
from modelrecipe.engine.proof import prove
from modelrecipe.engine.training_config import UNCOMPILED, with_training_config
from modelrecipe.errors import FileError, LanguageError, LockError, RecipeError
from modelrecipe.files import atomic_output
from modelrecipe.formats.same_layout import has_other_flags
from modelrecipe.outcome import Output, Proof
from modelrecipe.recipe.imports import unknown_classes
from modelrecipe.recipe.variables import relative_path
from modelrecipe.selector import Selector, select

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from modelrecipe.applications import Application
    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.graph import Located
    from modelrecipe.live.workshop import Workshop
    from modelrecipe.step import Change
    from modelrecipe.weights import Tensor


class NeedsKerasError(RecipeError):
    """A plan met what only Keras can tell, and was not asked to start it."""


@dataclass
class Record:
    """What one step matched, did and found, and whether it began with another model."""

    matched: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_beginning: bool = False


@dataclass
class WorkBench:
    """Implements `Bench`.

    Args:
        folder: what paths of the running step are relative to; the runner sets it. At first that of the recipe.
        seed: of everything random.
        out: folder that outputs go to instead; None for the recipe's own paths.
        force: whether outputs that exist are replaced.
        is_dry: a plan: nothing is written.
        exact: a plan that may start Keras.
        given: a model that stands in for what the recipe loads.
        progress: told in words what takes time.
        is_safe: whether Python code in a configuration is refused.
        opened: files that were read already; a run takes over those of its trial.
        imports: modules that the recipe names, which may register any class.
        expected: digests that outputs must have, from their locks, by the outputs' names.
    """

    folder: Path
    seed: int = 0
    out: Path | None = None
    force: bool = False
    is_dry: bool = False
    exact: bool = False
    given: Checkpoint | None = None
    progress: Callable[[str], None] = lambda text: None
    is_safe: bool = True
    opened: dict[Path, Checkpoint] = field(default_factory=dict)
    imports: Sequence[str] = ()
    expected: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    record_of_step: Record = field(default_factory=Record)
    all_changes: list[Change] = field(default_factory=list)
    source: Checkpoint | None = None
    inputs: dict[str, Checkpoint] = field(default_factory=dict)
    claimed: list[Path] = field(default_factory=list)
    kept: dict[str, Checkpoint] = field(default_factory=dict)
    written: list[Written] = field(default_factory=list)
    digests: TensorDigests = field(default_factory=TensorDigests)
    problems: list[RecipeError] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)
    _workshop: Workshop | None = None

    def __post_init__(self) -> None:
        self.root = self.folder

    def __enter__(self) -> WorkBench:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # What steps see

    def select(self, checkpoint: Checkpoint, selector: Selector, key: str = "layers") -> Sequence[Located]:
        """See `Bench.select`; an error points below `key`."""
        try:
            found = select(checkpoint, selector)
        except RecipeError as error:
            error.at = (key, *error.at)
            raise
        self.record_of_step.matched += [item.path for item in found if item.path not in self.record_of_step.matched]
        return found

    def record(self, change: Change) -> None:
        """See `Bench.record`."""
        self.record_of_step.changes.append(change)
        self.all_changes.append(change)

    def note(self, text: str) -> None:
        """See `Bench.note`."""
        self.record_of_step.notes.append(text)

    def open(self, path: str, format: str | None = None, *, aside: bool = False) -> Checkpoint:
        """See `Bench.open`.

        Raises:
            LanguageError: an earlier step writes that file; a plan could not know what it will hold.
        """
        if self.given is not None and not aside:
            return self._begin(self.given)
        if self._own_output(path) is not None:
            raise LanguageError(
                f"'{path}' is written by an earlier step, so this recipe cannot load it",
                hint="load it in a recipe of its own",
                at=("path",),
            )
        self.progress(f"reading {path}")
        opened = self.inputs[self._name(path)] = self._read(path, format)
        return opened if aside else self._begin(opened)

    def _read(self, path: str, format: str | None) -> Checkpoint:
        file = self.folder / path
        if file not in self.opened:
            try:
                self.opened[file] = propagate.annotate(formats.read_checkpoint(file, format))
            except FileError as error:
                error.at = error.at or ("path",)
                raise
        return self.opened[file]

    def _name(self, path: str) -> str:
        """A file relative to the recipe: a path of an included recipe is relative to another folder."""
        return Path(os.path.relpath(self.folder / path, self.root)).as_posix()

    def _own_output(self, path: str) -> Written | None:
        """The output of an earlier step that a path names, wherever it was written to."""
        name, file = self._name(path), (self.folder / path).resolve()
        return next((item for item in self.written if item.name == name or item.target.resolve() == file), None)

    def _begin(self, opened: Checkpoint) -> Checkpoint:
        """What was done to the model before does not excuse anything in this one."""
        self.source = opened
        self.all_changes = []
        self.record_of_step.is_beginning = True
        return opened

    def construct(self, application: Application, *, aside: bool = False) -> Checkpoint:
        """See `Bench.construct`."""
        if self.given is not None and not aside:
            return self._begin(self.given)
        if self.is_dry and not self.exact:
            raise NeedsKerasError(
                f"{application.name} is built by Keras, so the plan ends here", hint="--exact lets the plan build it"
            )
        self.progress(f"building {application.name}")
        opened = propagate.annotate(self.workshop.construct(application))
        name = f"keras.applications.{application.name}"
        self.inputs[f"{name} {len(self.inputs) + 1}" if name in self.inputs else name] = opened
        return opened if aside else self._begin(opened)

    def keep(self, name: str, checkpoint: Checkpoint) -> None:
        """See `Bench.keep`.

        Raises:
            LanguageError: the name is taken.
        """
        if name in self.kept:
            raise LanguageError(f"there is a model named '{name}' already", at=("as",))
        self.kept[name] = checkpoint

    def measure(self, checkpoint: Checkpoint) -> Checkpoint:
        """See `Bench.measure`."""
        self.check_fit(checkpoint)
        if checkpoint.is_opaque or (self.is_dry and not self.exact):
            return checkpoint
        if not checkpoint.is_restructured and propagate.is_complete(checkpoint):
            return checkpoint
        measured = self.workshop.measure(checkpoint)
        self.check_fit(measured)
        return measured

    def check_fit(self, checkpoint: Checkpoint) -> None:
        """Refuse a graph in which an edit has broken an untouched layer.

        Raises:
            BuildError: names both layers and shapes.
        """
        if checkpoint.is_restructured:
            for misfit in fit.misfits(checkpoint):
                raise misfit

    def numbers(self, tensor: Tensor) -> NDArray[np.generic] | None:
        """See `Bench.numbers`."""
        return None if self.is_dry or tensor.source is None else tensor.read()

    def compare(self, checkpoint: Checkpoint, path: str, batch: int) -> float | None:
        """See `Bench.compare`."""
        own = self._own_output(path)
        if own is None:
            self.inputs[self._name(path)] = self._read(path, None)
        if self.is_dry:
            return None
        other = self._read(path, None) if own is None else propagate.annotate(formats.read_checkpoint(own.target))
        self.progress(f"comparing outputs with {path}")
        return self.workshop.compare(self.measure(checkpoint), other, batch)

    def write(self, checkpoint: Checkpoint, path: str, format: str | None, *, force: bool) -> Checkpoint:
        """See `Bench.write`."""
        if self.given is not None:
            return checkpoint
        kind, target = self.claim(path, format, force=force)
        if kind == "h5" and not formats.can_rewrite(checkpoint, kind):
            refuse_old_format(checkpoint)
        measured = self._carry_training(self.measure(checkpoint))
        how = "streamed" if formats.can_rewrite(measured, kind) else "built"
        if how == "built" and self.is_dry:
            self.problems += () if self.imports else unknown_classes(checkpoint)
        output, name = Output(path=str(path), file=self._shown(target), format=kind, how=how), self._name(path)
        if self.is_dry:
            origin = measured.origin.path if how == "streamed" and measured.origin is not None else None
            size = origin.stat().st_size if origin is not None else estimated_size(measured)
            memory = estimated_memory(measured, how)
            output = replace(output, size=size, memory=memory, exists=target.exists())
            self.written.append(Written(output=output, target=target, name=name))
            return measured
        self.progress(f"writing {path}")
        proof, content = self._write(measured, target, output, path, may_replace=force or self.force)
        if kind != "weights_h5":
            self._note_optimizer(measured)
        output = replace(output, size=target.stat().st_size, proof=proof)
        self.written.append(Written(output=output, target=target, name=name, content=content))
        return measured

    def _carry_training(self, checkpoint: Checkpoint) -> Checkpoint:
        """The training configuration follows renamed outputs."""
        if self.source is None:
            return checkpoint
        carried, note = with_training_config(self.source, checkpoint)
        if note is not None:
            self.note(note)
        return carried

    def _check_expected(self, path: str, found: ContentDigest) -> None:
        name = self._name(path)
        if name not in self.expected:
            return
        for part in ("architecture", "weights"):
            if self.expected[name].get(part) != getattr(found, part):
                raise LockError(
                    f"the {part} of '{path}' came out otherwise than the lock says",
                    hint="recipe, inputs and versions are the same; was the lock edited?",
                )

    # What the runner sees

    def target(self, path: str) -> Path:
        """Where an output goes."""
        return self.out / Path(path).name if self.out is not None else self.folder / path

    def claim(self, path: str, format: str | None, *, force: bool) -> tuple[str, Path]:
        """Refuse early what could not be written in the end; a plan only notes that a file stands there.

        Returns:
            The output's format, and where it goes.

        Raises:
            FileError: the ending names no format, or nothing may be written there.
        """
        kind, target = format or format_of(path), self.target(path)
        refuse_place(target, path, claimed=self.claimed, inputs=self.inputs.values())
        self.claimed.append(target.resolve())
        if target.exists() and not (force or self.force):
            exists = FileError(f"'{path}' exists", hint="pass --force, or write force: true", at=("path",))
            if not self.is_dry:
                raise exists
            self.problems.append(exists)
        return kind, target

    @property
    def workshop(self) -> Workshop:
        """The live floor, which imports Keras when it is first asked for."""
        if self._workshop is None:
            from modelrecipe.live.session import import_keras
            from modelrecipe.live.workshop import Workshop

            self.progress("starting Keras")
            import_keras()
            scratch = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="modelrecipe-")))
            self._workshop = Workshop(scratch=scratch, seed=self.seed, progress=self.progress, is_safe=self.is_safe)
        return self._workshop

    def _shown(self, target: Path) -> str:
        """A file as seen from the working directory, where that is shorter than its whole path."""
        return min(str(target.resolve()), relative_path(target, Path()), key=len)

    def _note_optimizer(self, checkpoint: Checkpoint) -> None:
        """Say what becomes of a compiled source's optimizer, whose state belongs to the variables that trained."""
        if self.source is None or self.source.origin is None or not self.source.origin.has_optimizer_state:
            return
        if any(note.startswith(UNCOMPILED) for note in self.record_of_step.notes):
            return
        if checkpoint.is_restructured:
            self.note("compiled anew with a fresh optimizer: the old state belongs to other variables")
        elif has_other_flags(self.source.model, checkpoint.model):
            self.note("the optimizer's state is dropped, as other variables train now; Keras warns when it loads that")

    def _write(
        self, checkpoint: Checkpoint, target: Path, output: Output, path: str, *, may_replace: bool
    ) -> tuple[Proof | None, ContentDigest]:
        """Write, read back, prove; only then does the file take its name."""
        kind, how = output.format, output.how
        with atomic_output(target, may_replace=may_replace) as temporary:
            if how == "streamed":
                formats.rewrite(checkpoint, temporary, kind)
            else:
                note = self.workshop.save(checkpoint, temporary, kind)
                if note is not None:
                    self.note(note)
            self.progress("comparing what was written with the source")
            if kind == "weights_h5":
                read_back = replace(checkpoint, weights=formats.read_weights(temporary, checkpoint.model))
            else:
                read_back = formats.read_checkpoint(temporary, kind)
            proof = prove(self.source, checkpoint, read_back, self.all_changes, self.digests) if self.source else None
            content = content_digest(read_back, self.digests)
            self._check_expected(path, content)
        return proof, content
