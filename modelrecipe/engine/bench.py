"""The bench: what steps may use of the world, for a plan and for a run.

Opens files, builds when a build is needed and at most once for each structure, writes, and keeps the record. A plan
uses the same bench with `is_dry`: nothing is written, no number is read, and Keras is built only when asked (`exact`).
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from modelrecipe import formats, propagate
from modelrecipe.edit.fit import refuse_misfits
from modelrecipe.edit.substitution import substitute
from modelrecipe.engine.claim import refuse_place
from modelrecipe.engine.digest import TensorDigests
from modelrecipe.engine.memory import memory_problem, tensor_size
from modelrecipe.engine.old_format import refuse_old_format
from modelrecipe.engine.output import Written, format_of, planned, shown_path
from modelrecipe.engine.reading import input_name, read_document, refuse_unbuilt, remarks
from modelrecipe.engine.record import Record
from modelrecipe.engine.training_config import optimizer_note, with_training_config
from modelrecipe.engine.watching import watched
from modelrecipe.engine.writing import Demands, write_proved
from modelrecipe.errors import FileError, LanguageError, MemoryLimitError, RecipeError
from modelrecipe.obstacles import obstacles
from modelrecipe.outcome import Output
from modelrecipe.selector import Selector, select

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from modelrecipe.applications import Application
    from modelrecipe.assembly import Assembly
    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.formats.passing import Passed
    from modelrecipe.graph import Located
    from modelrecipe.layer_spec import LayerSpec
    from modelrecipe.live.workshop import Workshop
    from modelrecipe.step import Change
    from modelrecipe.weights import Tensor


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
        passing: told again and again how far a long write is; for a display that replaces what it showed.
        memory: bytes that a run may use at its peak; a plan that says more is refused.
        is_safe: whether Python code in a configuration is refused.
        executes_graphs: whether a SavedModel that the recipe takes in as one opaque layer may be built.
        opened: files that were read already, with repairs or without; a run takes over those of its trial.
        imports: modules that the recipe names, which may register any class.
        expected: digests that outputs must have, from their locks, by the outputs' names.
        nesting: recipes whose architecture this bench is for.
    """

    folder: Path
    seed: int = 0
    out: Path | None = None
    force: bool = False
    is_dry: bool = False
    exact: bool = False
    given: Checkpoint | None = None
    progress: Callable[[str], None] = lambda text: None
    passing: Callable[[str], None] | None = None
    memory: int | None = None
    is_safe: bool = True
    executes_graphs: bool = False
    opened: dict[tuple[Path, bool], Checkpoint] = field(default_factory=dict)
    imports: Sequence[str] = ()
    expected: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    nesting: tuple[Path, ...] = ()

    record_of_step: Record = field(default_factory=Record)
    all_changes: list[Change] = field(default_factory=list)
    source: Checkpoint | None = None
    inputs: dict[str, Checkpoint] = field(default_factory=dict)
    claimed: list[Path] = field(default_factory=list)
    kept: dict[str, Checkpoint] = field(default_factory=dict)
    written: list[Written] = field(default_factory=list)
    digests: TensorDigests = field(default_factory=TensorDigests)
    problems: list[RecipeError] = field(default_factory=list)
    largest_read: int = 0
    _stack: ExitStack = field(default_factory=ExitStack)
    _workshop: Workshop | None = None

    def __post_init__(self) -> None:
        self.root = self.folder

    def __enter__(self) -> WorkBench:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # What steps see

    def select(
        self, checkpoint: Checkpoint, selector: Selector, key: str = "layers", *, may_be_empty: bool = False
    ) -> Sequence[Located]:
        """See `Bench.select`; an error points below `key`."""
        try:
            found = select(checkpoint, selector, may_be_empty=may_be_empty)
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

    def open(
        self,
        path: str,
        format: str | None = None,
        *,
        aside: bool = False,
        mends: bool = True,
        replace: Mapping[str, LayerSpec] | None = None,
    ) -> Checkpoint:
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
        opened = self.inputs[self.name_of(path)] = substitute(self._read(path, format, mends=mends), replace or {})
        for remark in remarks(opened):
            self.note(remark)
        return opened if aside else self._begin(opened)

    def _read(self, path: str, format: str | None, *, mends: bool = True) -> Checkpoint:
        key = (self.folder / path, mends)
        if key not in self.opened:
            self.opened[key] = read_document(self.folder / path, format, mends=mends)
        return self.opened[key]

    def name_of(self, path: str) -> str:
        """A file relative to the recipe: a path of an included recipe is relative to another folder."""
        return Path(os.path.relpath(self.folder / path, self.root)).as_posix()

    def _own_output(self, path: str) -> Written | None:
        """The output of an earlier step that a path names, wherever it was written to."""
        name, file = self.name_of(path), (self.folder / path).resolve()
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
            refuse_unbuilt(application)
        self.progress(f"building {application.name}")
        opened = propagate.annotate(self.workshop.construct(application))
        self.inputs[input_name(application, self.inputs)] = opened
        return opened if aside else self._begin(opened)

    def assemble(self, assembly: Assembly, *, aside: bool = False) -> Checkpoint:
        """See `Bench.assemble`."""
        if self.given is not None and not aside:
            return self._begin(self.given)
        from modelrecipe.engine.begin_with import begin_with  # many rooms, for few recipes

        opened = begin_with(self, assembly)
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
        refuse_misfits(checkpoint)
        if checkpoint.is_opaque or (self.is_dry and not self.exact):
            return checkpoint
        if not checkpoint.is_restructured and propagate.is_complete(checkpoint):
            return checkpoint
        measured = self.workshop.measure(checkpoint)
        refuse_misfits(measured)
        return measured

    def numbers(self, tensor: Tensor) -> NDArray[np.generic] | None:
        """See `Bench.numbers`."""
        self.largest_read = max(self.largest_read, tensor_size(tensor) or 0)
        return None if self.is_dry or tensor.source is None else tensor.read()

    def compare(self, checkpoint: Checkpoint, path: str, batch: int) -> float | None:
        """See `Bench.compare`."""
        own = self._own_output(path)
        if own is None:
            self.inputs[self.name_of(path)] = self._read(path, None)
        if self.is_dry:
            return None
        other = self._read(path, None) if own is None else read_document(own.target, None)
        self.progress(f"comparing outputs with {path}")
        return self.workshop.compare(self.measure(checkpoint), other, batch)

    def write(self, checkpoint: Checkpoint, path: str, format: str | None, *, force: bool) -> Checkpoint:
        """See `Bench.write`."""
        if self.given is not None:
            return checkpoint
        kind, target = self.claim(path, format, force=force)
        if kind == "h5" and not formats.can_rewrite(checkpoint, kind):
            refuse_old_format(checkpoint)
        measured, note = with_training_config(self.source, self.measure(checkpoint))
        self._note_any(note)
        how = "streamed" if formats.can_rewrite(measured, kind) else "built"
        if how == "built" and self.is_dry:
            self.problems += () if self.imports else obstacles(checkpoint, executes_graphs=self.executes_graphs)
        output, name = Output(path=str(path), file=shown_path(target), format=kind, how=how), self.name_of(path)
        if self.is_dry:
            output = planned(output, measured, target, self.largest_read)
            self._refuse_memory(output)
            self.written.append(Written(output=output, target=target, name=name))
            return measured
        self.progress(f"writing {path}")
        demands = Demands(
            source=self.source, changes=self.all_changes, locked=self.expected.get(name), digests=self.digests
        )
        write = partial(self._put, measured, output)
        proof, content = write_proved(measured, target, output, write, demands, may_replace=force or self.force)
        if kind != "weights_h5":
            self._note_any(optimizer_note(self.source, measured, self.record_of_step.notes))
        output = replace(output, size=target.stat().st_size, proof=proof)
        self.written.append(Written(output=output, target=target, name=name, content=content))
        return measured

    def _put(self, checkpoint: Checkpoint, output: Output, temporary: Path) -> Sequence[Passed]:
        passed: Sequence[Passed] = ()
        expected = planned(output, checkpoint, temporary).size if self.passing is not None else None
        with watched(temporary, f"writing {output.path}", expected, self.passing):
            if output.how == "streamed":
                passed = formats.rewrite(checkpoint, temporary, output.format)
            else:
                passed, note = self.workshop.save(checkpoint, temporary, output.format)
                self._note_any(note)
        self.progress("comparing what was written with the source")
        return passed

    def _refuse_memory(self, output: Output) -> None:
        """Note the first output that needs too much memory; one is enough to see by."""
        problem = memory_problem(output, self.memory)
        if problem is not None and not any(isinstance(item, MemoryLimitError) for item in self.problems):
            self.problems.append(problem)

    def _note_any(self, text: str | None) -> None:
        if text is not None:
            self.note(text)

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
            self._workshop = Workshop(
                scratch=scratch,
                seed=self.seed,
                progress=self.progress,
                is_safe=self.is_safe,
                executes_graphs=self.executes_graphs,
            )
        return self._workshop
