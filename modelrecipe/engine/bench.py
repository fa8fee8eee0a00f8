"""The bench: what steps may use of the world, for a plan and for a run.

Opens files, builds when a build is needed and at most once for each structure, writes, and keeps the record. A plan
uses the same bench with `is_dry`: nothing is written, no number is read, and Keras is built only when asked (`exact`).
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from modelrecipe import propagate
from modelrecipe.edit.fit import refuse_misfits
from modelrecipe.engine.claim import claim
from modelrecipe.engine.digest import TensorDigests
from modelrecipe.engine.memory import tensor_size
from modelrecipe.engine.opening import construct, further, keep, open_file
from modelrecipe.engine.options import Options
from modelrecipe.engine.record import Record
from modelrecipe.engine.write_out import write_out
from modelrecipe.errors import EditError, RecipeError
from modelrecipe.report.training import shown
from modelrecipe.selector import Selector, select

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from modelrecipe.applications import Application
    from modelrecipe.assembly import Assembly
    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.engine.output import Written
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
class WorkBench(Options):
    """Implements `Bench`; what it gathers serves the steps, the proof, the report and the lock.

    Args:
        step_number: of the running step, from 1.
        record_of_step: what the running step did so far.
        all_changes: those of all steps since the model was loaded.
        source: the model that the current one came from, as it was loaded.
        inputs: what was read, by name.
        claimed: resolved places of the outputs so far.
        kept: what was put aside, by name.
        written: outputs so far; in a plan, those that there would be.
        digests: of the tensors that passed by.
        problems: what would stop a run, apart from the recipe itself.
        largest_read: bytes of the largest tensor that a step read as a whole.
        verified: parts of files whose checksums were compared.
    """

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

    @classmethod
    def of(cls, options: Options, **others: Any) -> WorkBench:
        """A bench with these options, some of them replaced; what was read already is shared."""
        return cls(**{**vars(options), **others})

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
        """See `Bench.open`."""
        return self._loaded(lambda: open_file(self, path, format, mends=mends, replace=replace or {}), aside=aside)

    def construct(self, application: Application, *, aside: bool = False) -> Checkpoint:
        """See `Bench.construct`."""
        return self._loaded(lambda: construct(self, application), aside=aside)

    def assemble(self, assembly: Assembly, *, aside: bool = False) -> Checkpoint:
        """See `Bench.assemble`."""
        from modelrecipe.engine.begin_with import begin_with  # imports much that few recipes need

        return self._loaded(lambda: begin_with(self, assembly), aside=aside)

    def _loaded(self, load: Callable[[], Checkpoint], *, aside: bool) -> Checkpoint:
        """What later steps go on with, unless it is put aside: a model that was given stands in for it."""
        opened = self.given if self.given is not None and not aside else load()
        if not aside:
            # What was done to the model before does not excuse anything in this one.
            self.source, self.all_changes = opened, []
            self.record_of_step.is_beginning = True
        return opened

    def keep(self, name: str, checkpoint: Checkpoint) -> None:
        """See `Bench.keep`."""
        keep(self, name, checkpoint)

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
        """See `Bench.average`; refused here, where nothing is trained."""
        raise _no_training()

    def decay_weights(self, rate: float) -> None:
        """See `Bench.decay_weights`; refused here, where nothing is trained."""
        raise _no_training()

    def train(self, checkpoint: Checkpoint, training: Train) -> Checkpoint:
        """See `Bench.train`."""
        from modelrecipe.engine.training_run import train  # imports much that few recipes need

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
        from modelrecipe.engine.measuring import compare

        return compare(self, checkpoint, path, batch)

    def write(
        self, checkpoint: Checkpoint, path: str, format: str | None, *, force: bool, shard_size: int | None = None
    ) -> Checkpoint:
        """See `Bench.write`."""
        if self.devices.is_follower:
            self.note("the first worker writes it")
        if self.given is not None or self.devices.is_follower:
            return checkpoint
        return write_out(self, checkpoint, path, format, force=force, shard_size=shard_size)

    # What the runner and the rooms of the engine see

    def name_of(self, path: str) -> str:
        """A file relative to the recipe: a path of an included recipe is relative to another folder."""
        return Path(os.path.relpath(self.folder / path, self.root)).as_posix()

    def own_output(self, path: str) -> Written | None:
        """The output of an earlier step that a path names, wherever it was written to."""
        name, file = self.name_of(path), (self.folder / path).resolve()
        return next((item for item in self.written if item.name == name or item.target.resolve() == file), None)

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
        """Refuse early what could not be written in the end; gives the output's format, and where it goes."""
        return claim(self, path, format, force=force)

    @property
    def workshop(self) -> Workshop:
        """The live floor, which imports Keras when it is first asked for."""
        if self._workshop is None:
            import tempfile

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
    return EditError("this step belongs inside a training", hint="write it under 'during' of a 'train' step")
