"""The bench: what steps may use of the world, for a plan and for a run.

Opens files, builds when a build is needed and at most once for each structure, writes, and keeps the record. A plan
uses the same bench with `is_dry`: nothing is written, no number is read, and Keras is built only when asked (`exact`).
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from modelrecipe import propagate
from modelrecipe.edit.fit import refuse_misfits
from modelrecipe.edit.substitution import substitute
from modelrecipe.engine.claim import refuse_place
from modelrecipe.engine.devices import Devices
from modelrecipe.engine.digest import TensorDigests
from modelrecipe.engine.further import further
from modelrecipe.engine.memory import tensor_size
from modelrecipe.engine.output import Written, format_of
from modelrecipe.engine.reading import input_name, read_document, refuse_unbuilt, remarks
from modelrecipe.engine.record import Record
from modelrecipe.engine.write_out import write_out
from modelrecipe.errors import EditError, FileError, LanguageError, RecipeError
from modelrecipe.report.training import shown
from modelrecipe.selector import Selector, select

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from modelrecipe.applications import Application
    from modelrecipe.assembly import Assembly
    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.data import DataSummary
    from modelrecipe.formats.extent import Extent
    from modelrecipe.graph import Located
    from modelrecipe.layer_spec import LayerSpec
    from modelrecipe.live.workshop import Workshop
    from modelrecipe.step import Change
    from modelrecipe.steps.bn_reestimate import BnReestimate
    from modelrecipe.steps.predict import Predict
    from modelrecipe.steps.train import Train
    from modelrecipe.training.examples import Evaluation
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
        name: of the recipe; folders that it fills for itself are called after it.
        resumes: whether trainings go on from the states that an earlier run kept.
        events: told of what happens in a training, as name and facts.
        described: what was found out of data already; a run takes it over from its trial.
        compares_locks: whether a trial is to know what locks hold.
        devices: those that trainings share; of several machines one alone writes.
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
    name: str = "recipe"
    resumes: bool = False
    events: Callable[[str, Mapping[str, Any]], None] = lambda event, facts: None
    described: dict[tuple[Path, str], DataSummary] = field(default_factory=dict)
    compares_locks: bool = False
    devices: Devices = field(default_factory=Devices)

    step_number: int = 0
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
    verified: set[Extent] = field(default_factory=set)
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
        if self.own_output(path) is not None:
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

    def own_output(self, path: str) -> Written | None:
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

    def further(self, name: str, *at: str | int) -> Checkpoint:
        """See `Bench.further`."""
        return further(self, name, at)

    def measure(self, checkpoint: Checkpoint) -> Checkpoint:
        """See `Bench.measure`."""
        refuse_misfits(checkpoint)
        if checkpoint.is_opaque or (self.is_dry and not self.exact):
            return checkpoint
        is_known = propagate.is_complete(checkpoint) and checkpoint.weights.are_stored
        if not checkpoint.is_restructured and is_known:
            return checkpoint
        measured = self.workshop.measure(checkpoint)
        refuse_misfits(measured)
        return measured

    def numbers(self, tensor: Tensor) -> NDArray[np.generic] | None:
        """See `Bench.numbers`."""
        self.largest_read = max(self.largest_read, tensor_size(tensor) or 0)
        return None if self.is_dry or tensor.source is None else tensor.read()

    def seed_for(self, *parts: str) -> int:
        """See `Bench.seed_for`."""
        words = json.dumps([self.seed, self.step_number, *parts])
        return int.from_bytes(blake3(words.encode()).digest()[:8])

    def hold_zeros(self, key: str, name: str) -> None:
        """See `Bench.hold_zeros`; outside of training nothing moves them."""

    def average(self, key: str, name: str, decay: float | None) -> None:
        """See `Bench.average`.

        Raises:
            EditError: there is no training here.
        """
        raise _no_training()

    def decay_weights(self, rate: float) -> None:
        """See `Bench.decay_weights`.

        Raises:
            EditError: there is no training here.
        """
        raise _no_training()

    def train(self, checkpoint: Checkpoint, training: Train) -> Checkpoint:
        """See `Bench.train`."""
        from modelrecipe.engine.training_run import train  # many rooms, for few recipes

        return train(self, checkpoint, training)

    def evaluator(
        self, checkpoint: Checkpoint, wanted: Evaluation, *at: str | int
    ) -> Callable[[Checkpoint], Mapping[str, float]] | None:
        """See `Bench.evaluator`."""
        from modelrecipe.engine.measuring import evaluator

        return evaluator(self, checkpoint, wanted, at)

    def report(self, values: Mapping[str, float]) -> None:
        """See `Bench.report`."""
        self.record_of_step.values.update(values)
        self.note(shown(values))

    def predict(self, checkpoint: Checkpoint, prediction: Predict) -> None:
        """See `Bench.predict`."""
        if self.devices.is_follower:
            return
        from modelrecipe.engine.measuring import predict

        predict(self, checkpoint, prediction)

    def reestimate(self, checkpoint: Checkpoint, step: BnReestimate, paths: Mapping[str, str]) -> Checkpoint:
        """See `Bench.reestimate`."""
        from modelrecipe.engine.reestimating import reestimate

        return reestimate(self, checkpoint, step, paths)

    def compare(self, checkpoint: Checkpoint, path: str, batch: int) -> float | None:
        """See `Bench.compare`."""
        own = self.own_output(path)
        if own is None:
            self.inputs[self.name_of(path)] = self._read(path, None)
        if self.is_dry:
            return None
        other = self._read(path, None) if own is None else read_document(own.target, None)
        self.progress(f"comparing outputs with {path}")
        return self.workshop.compare(self.measure(checkpoint), other, batch)

    def write(
        self, checkpoint: Checkpoint, path: str, format: str | None, *, force: bool, shard_size: int | None = None
    ) -> Checkpoint:
        """See `Bench.write`."""
        if self.devices.is_follower:
            self.note("the first worker writes it")
        if self.given is not None or self.devices.is_follower:
            return checkpoint
        return write_out(self, checkpoint, path, format, force=force, shard_size=shard_size)

    # What the runner sees

    def data_digests(self) -> dict[str, str]:
        """Name of each file or folder of data to the digest of its content.

        Raises:
            FileError: one cannot be read.
        """
        return {name: digest for summary in self.described.values() for name, digest in summary.digests().items()}

    def target(self, path: str) -> Path:
        """Where an output goes."""
        return self.out / Path(path).name if self.out is not None else self.folder / path

    def target_folder(self, name: str) -> Path:
        """Where a folder goes that the run fills for itself."""
        return (self.out or self.root) / name

    def claim(self, path: str, format: str | None, *, force: bool) -> tuple[str, Path]:
        """Refuse early what could not be written in the end; a plan only notes that a file stands there.

        Returns:
            The output's format, and where it goes.

        Raises:
            FileError: the ending names no format, or nothing may be written there.
        """
        kind, target = format or format_of(path), self.target(path)
        refuse_place(target, path, kind, claimed=self.claimed, inputs=self.inputs.values())
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


def _no_training() -> EditError:
    return EditError("this step belongs into a training", hint="write it under 'during' of a 'train' step")
