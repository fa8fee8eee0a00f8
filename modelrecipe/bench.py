"""The bench: what steps may use of the world, for a plan and for a run.

Opens files, builds when a build is needed and at most once for each structure, writes, and keeps the record. A plan
uses the same bench with `is_dry`: nothing is written, no number is read, and Keras is built only when asked (`exact`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelrecipe import fit, formats, propagate
from modelrecipe.applications import Application
from modelrecipe.checkpoint import Checkpoint
from modelrecipe.digest import ContentDigest, TensorDigests, content_digest
from modelrecipe.errors import BuildError, FileError, LanguageError, LockError, RecipeError
from modelrecipe.files import atomic_output
from modelrecipe.graph import Located
from modelrecipe.old_format import refuse_old_format
from modelrecipe.outcome import Output, Proof
from modelrecipe.proof import prove
from modelrecipe.selector import Selector, select
from modelrecipe.step import Change
from modelrecipe.weights import Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from modelrecipe.live.workshop import Workshop
    from modelrecipe.recipe import Recipe

_ENDINGS = {".weights.h5": "weights_h5", ".keras": "keras", ".h5": "h5", ".hdf5": "h5"}


class NeedsKeras(RecipeError):
    """A plan met what only Keras can tell, and was not asked to start it."""


@dataclass
class Record:
    """What one step matched, did and found."""

    matched: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Written:
    """An output with what later rooms need to know about it; the content's digest is None in a plan."""

    output: Output
    target: Path
    content: ContentDigest | None = None


@dataclass
class WorkBench:
    """Implements `Bench`.

    Args:
        folder: what paths of the running step are relative to; the runner sets it.
        seed: of everything random.
        out: folder that outputs go to instead; None for the recipe's own paths.
        force: whether outputs that exist are replaced.
        is_dry: a plan: nothing is written.
        exact: a plan that may start Keras.
        given: a model that stands in for what the recipe loads.
        progress: told in words what takes time.
        is_safe: whether Python code in a configuration is refused.
        opened: files that were read already; a run takes over those of its trial.
        expected: digests that outputs must have, from their locks.
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
    expected: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    record_of_step: Record = field(default_factory=Record)
    all_changes: list[Change] = field(default_factory=list)
    source: Checkpoint | None = None
    inputs: dict[str, Checkpoint] = field(default_factory=dict)
    kept: dict[str, Checkpoint] = field(default_factory=dict)
    written: list[Written] = field(default_factory=list)
    digests: TensorDigests = field(default_factory=TensorDigests)
    problems: list[RecipeError] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)
    _workshop: Workshop | None = None

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

    def open(self, path: str, format: str | None = None) -> Checkpoint:
        """See `Bench.open`."""
        if self.given is not None:
            return self.given
        self.progress(f"reading {path}")
        opened = self._read(path, format)
        self.inputs[path] = opened
        return self._begin(opened)

    def _read(self, path: str, format: str | None) -> Checkpoint:
        file = self.folder / path
        if file not in self.opened:
            try:
                self.opened[file] = propagate.annotate(formats.read_checkpoint(file, format))
            except FileError as error:
                error.at = error.at or ("path",)
                raise
        return self.opened[file]

    def _begin(self, opened: Checkpoint) -> Checkpoint:
        if self.source is None:
            self.source = opened
        return opened

    def construct(self, application: Application) -> Checkpoint:
        """See `Bench.construct`."""
        if self.given is not None:
            return self.given
        if self.is_dry and not self.exact:
            raise NeedsKeras(
                f"{application.name} is built by Keras, so the plan ends here", hint="--exact lets the plan build it"
            )
        self.progress(f"building {application.name}")
        opened = propagate.annotate(self.workshop.construct(application))
        self.inputs[f"keras.applications.{application.name}"] = opened
        return self._begin(opened)

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
        other = self._read(path, None)
        self.inputs[path] = other
        if self.is_dry:
            return None
        self.progress(f"comparing outputs with {path}")
        return self.workshop.compare(self.measure(checkpoint), other, batch)

    def write(self, checkpoint: Checkpoint, path: str, format: str | None, *, force: bool) -> Checkpoint:
        """See `Bench.write`."""
        if self.given is not None:
            return checkpoint
        kind = format or format_of(path)
        target = self.target(path)
        self._claim(target, path, force=force)
        if kind == "h5" and not formats.can_rewrite(checkpoint, kind):
            refuse_old_format(checkpoint)
        measured = self.measure(checkpoint)
        how = "streamed" if formats.can_rewrite(measured, kind) else "built"
        if self.is_dry:
            size = _estimated_size(measured)
            output = Output(path=str(path), format=kind, how=how, size=size, exists=target.exists())
            self.written.append(Written(output=output, target=target))
            return measured
        self.progress(f"writing {path}")
        proof, content = self._write(measured, target, kind, how, path)
        output = Output(path=str(path), format=kind, how=how, size=target.stat().st_size, proof=proof)
        self.written.append(Written(output=output, target=target, content=content))
        return measured

    def _check_expected(self, path: str, found: ContentDigest) -> None:
        if path not in self.expected:
            return
        for part in ("architecture", "weights"):
            if self.expected[path].get(part) != getattr(found, part):
                raise LockError(
                    f"the {part} of '{path}' came out otherwise than the lock says",
                    hint="recipe, inputs and versions are the same; was the lock edited?",
                )

    # What the runner sees

    def require_permission(self, recipe: Recipe, *, allow_code: bool) -> None:
        """Refuse a recipe that names Python modules unless it may run code.

        Raises:
            LanguageError: it does, and may not.
        """
        if recipe.imports and not allow_code:
            names = ", ".join(f"'{name}'" for name in recipe.imports)
            raise LanguageError(
                f"the recipe runs Python code: it imports {names}", hint="pass --allow-code if you trust it", key="imports"
            )

    def import_code(self, recipe: Recipe, *, allow_code: bool) -> None:
        """Import the modules that the recipe names, where that is allowed."""
        self.require_permission(recipe, allow_code=allow_code)
        if recipe.imports:
            from modelrecipe.live.session import run_imports

            run_imports(recipe.imports, recipe.folder)

    def target(self, path: str) -> Path:
        """Where an output goes."""
        return self.out / Path(path).name if self.out is not None else self.folder / path

    @property
    def workshop(self) -> Workshop:
        """The live floor, which imports Keras when it is first asked for."""
        if self._workshop is None:
            from modelrecipe.live.workshop import Workshop

            self.progress("starting Keras")
            scratch = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="modelrecipe-")))
            self._workshop = Workshop(scratch=scratch, seed=self.seed, progress=self.progress, is_safe=self.is_safe)
        return self._workshop

    def _claim(self, target: Path, path: str, *, force: bool) -> None:
        """Refuse early what could not be written in the end."""
        problem: FileError | None = None
        if any(target.resolve() == other.target.resolve() for other in self.written):
            problem = FileError(f"two steps write '{path}'", hint="give each output a name of its own", at=("path",))
        elif self._is_input(target):
            problem = FileError(f"'{path}' is an input of the recipe, which is never changed", at=("path",))
        elif target.is_dir():
            problem = FileError(f"'{path}' is a directory", hint="add a file name", at=("path",))
        elif target.exists() and not (force or self.force):
            problem = FileError(f"'{path}' exists", hint="pass --force, or write force: true", at=("path",))
        if problem is not None and self.is_dry and target.is_file() and not self._is_input(target):
            self.problems.append(problem)
        elif problem is not None:
            raise problem

    def _is_input(self, target: Path) -> bool:
        origins = [item.origin.path.resolve() for item in self.inputs.values() if item.origin is not None]
        return target.resolve() in origins

    def _write(
        self, checkpoint: Checkpoint, target: Path, kind: str, how: str, path: str
    ) -> tuple[Proof | None, ContentDigest]:
        """Write, read back, prove; only then does the file take its name."""
        with atomic_output(target) as temporary:
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


def format_of(path: str) -> str:
    """The format that a file's ending says.

    Raises:
        FileError: the ending says none.
    """
    for ending, kind in _ENDINGS.items():
        if path.lower().endswith(ending):
            return kind
    raise FileError(
        f"the ending of '{path}' names no format",
        hint="end it in .keras, .h5 or .weights.h5, or write format",
        at=("path",),
    )


def _estimated_size(checkpoint: Checkpoint) -> int | None:
    """Bytes of all tensors; None when a new layer's size is not known yet."""
    tensors = [tensor for key in checkpoint.weights for tensor in checkpoint.weights.of(key)]
    if any(tensor.size is None for tensor in tensors):
        return None
    return sum((tensor.size or 0) * _width(tensor.dtype) for tensor in tensors)


def _width(dtype: str | None) -> int:
    digits = "".join(character for character in (dtype or "float32") if character.isdigit())
    return max(1, int(digits or 8) // 8)


def culprit_of(error: RecipeError, changes: Sequence[Sequence[Change]]) -> int | None:
    """The number of the step that made the layer at fault; the last structural one when that is not known."""
    if not isinstance(error, BuildError):
        return None
    for number in reversed(range(len(changes))):
        for change in changes[number]:
            if error.layer is not None and (change.key == error.layer or f"+{change.key}" == error.layer.partition(":")[0]):
                return number
    structural = [n for n, made in enumerate(changes) if any(change.kind != "~" for change in made)]
    return structural[-1] if structural else None
