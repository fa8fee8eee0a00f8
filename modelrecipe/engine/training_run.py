"""Carries a training out: the live model, steps between its batches, its state on disk, and back to the document."""

from __future__ import annotations

import time as clock
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelrecipe import measures
from modelrecipe.engine.feeds import in_words, open_feeds
from modelrecipe.engine.inner_bench import InnerBench
from modelrecipe.engine.interruption import Interruption
from modelrecipe.engine.late_labels import labels_told
from modelrecipe.engine.measures_fit import refuse_opened
from modelrecipe.engine.training import apply_inner, course_of, look_ahead
from modelrecipe.engine.training_config import uncompiled
from modelrecipe.engine.training_fit import refuse_misplaced
from modelrecipe.engine.training_states import identity_of, refuse_states, states_folder
from modelrecipe.errors import InterruptedTrainingError, RecipeError, TrainingError
from modelrecipe.report.training import shown
from modelrecipe.training.moments import Course, Period, Timing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.engine.bench import WorkBench
    from modelrecipe.live.training.loop import Run
    from modelrecipe.live.training.session import Session
    from modelrecipe.steps.train import Train
    from modelrecipe.training.during import During


def train(bench: WorkBench, checkpoint: Checkpoint, step: Train) -> Checkpoint:
    """The model after a training; see `Bench.train`.

    Raises:
        RecipeError: something would stop it, or stops it.
        InterruptedTrainingError: the user stopped it.
    """
    refuse_states(bench, step)
    prospect = look_ahead(bench, checkpoint, step)
    if bench.is_dry:
        return prospect.after
    workshop = bench.workshop  # TensorFlow comes in here, quietly
    from modelrecipe.live.training.opening import open_session

    measured = bench.measure(checkpoint)
    bench.progress("opening the data")
    feeds = open_feeds(bench, step.data, batch_size=step.batch_size, drop_remainder=step.drop_remainder)
    if prospect.summary.tensors is None:  # only now it is known what they are
        bench.note(f"on {in_words(feeds.train.examples, None)}")
        refuse_opened(measured, feeds.summary, step.loss, step.metrics)
    course = prospect.course or course_of(step, feeds.train.examples)
    if course is None or course.length == 0:
        raise TrainingError("the data give no batch", at=("data",))
    refuse_misplaced(step, course)  # again, for data of which only TensorFlow could tell how many they are
    bench.progress("building the model for training")
    seed = bench.seed_for("training")
    with labels_told(measured, feeds.summary):
        session = open_session(
            workshop, measured, step, prospect, feeds, course, seed=seed, place=bench.target, **_of_devices(bench)
        )
    acts = Acts(bench=bench, step=step, session=session, course=course)
    acts.identity = identity_of(bench, measured, step, prospect)
    session.workers.refuse_strangers(acts.identity.values())
    acts.resume()
    begun, first = clock.perf_counter(), session.run.time
    with acts.interruption.noticed(), labels_told(measured, feeds.summary):
        session.run.go(acts)
    if acts.is_stopped() and not session.run.is_at_end:
        acts.keep(session.run, is_due=True)
        session.workers.part()
        raise InterruptedTrainingError(_interrupted(acts, session.run))
    acts.conclude(session.run, session.run.time - first, clock.perf_counter() - begun)
    return uncompiled(session.subject.trained(measured))


def _of_devices(bench: WorkBench) -> dict[str, Any]:
    return {"joined": bench.devices.strategy, "writes": not bench.devices.is_follower}


def _interrupted(acts: Acts, run: Run) -> str:
    kept = "its state is kept: go on with --resume" if acts.folder is not None else "no state was kept (checkpoints)"
    return f"interrupted after batch {run.time} of {acts.course.total}; {kept}"


@dataclass
class Acts:
    """What happens in a training beside the training itself; see `live.training.loop.Acts`.

    Args:
        bench: of the training.
        step: the step.
        session: the live model with everything that is trained.
        course: how long it is.
        identity: of the training, for its states: names of its parts to their digests.
        edits: the times at which each entry of `during` was carried out, by its number.
        interruption: whether the user wants an end.
    """

    bench: WorkBench
    step: Train
    session: Session
    course: Course
    identity: Mapping[str, str] = field(default_factory=dict)
    edits: dict[int, list[int]] = field(default_factory=dict)
    interruption: Interruption = field(default_factory=Interruption)
    _kept: int = -1

    @property
    def folder(self) -> Path | None:
        """Where states are kept; None where the recipe wants none."""
        return states_folder(self.bench, self.step)

    # What the loop sees

    def next(self, time: int) -> int:
        """See `Acts.next`."""
        times = [entry.timing.after(time, self.course) for entry in self.step.during]
        times += [self._saving.after(time, self.course)] if self._saving is not None else []
        return min([found for found in times if found is not None], default=self.course.total)

    def after(self, time: int) -> bool:
        """See `Acts.after`."""
        return self._do(time, lambda entry: entry.timing.at is None or entry.timing.at.word in ("batch", "end"))

    def before_epoch(self, time: int) -> bool:
        """See `Acts.before_epoch`; what has no batch before it comes at the very start."""
        is_first = time == 0
        return self._do(
            time,
            lambda entry: entry.timing.at.word in ("epoch", "start") if entry.timing.at is not None else is_first,
        )

    def epoch_ended(self, epoch: int, logs: Mapping[str, float]) -> bool:
        """See `Acts.epoch_ended`."""
        return self.session.epoch_ended(epoch, logs)

    def keep(self, run: Run, *, is_due: bool = False) -> None:
        """See `Acts.keep`."""
        saving, folder = self.step.checkpoints, self.folder
        if saving is None or folder is None or run.time == self._kept:
            return
        if is_due or run.is_at_end or Timing(every=Period.read(saving.every)).is_at(run.time, self.course):
            if run.time % self.course.length:
                run.check_loss()
            from modelrecipe.live.training.keeping import keep

            path = keep(self.session, folder, self.identity, most=saving.keep)
            self._kept = run.time
            if path is not None:
                self.tell("state", batch=run.time, file=path.name)

    def tell(self, event: str, **facts: Any) -> None:
        """See `Acts.tell`."""
        epochs = -(-self.course.total // self.course.length)
        self.bench.events(
            event, {"step": self.bench.step_number, "epochs": epochs, "total": self.course.total, **facts}
        )

    def is_stopped(self) -> bool:
        """See `Acts.is_stopped`."""
        return self.session.workers.is_agreed(self.interruption.is_wanted)

    # What begins and ends it

    def resume(self) -> None:
        """Take up the newest state where the run is told to.

        Raises:
            TrainingError: it belongs to another training.
        """
        if not self.bench.resumes or self.folder is None:
            return
        from modelrecipe.live.training import states
        from modelrecipe.live.training.keeping import take_up

        self.session.workers.refuse_apart(states.states(self.folder))
        damaged = take_up(self.session, self.folder, self.identity)
        time = self.session.run.time
        notes = [f"{text}; an older state was taken" if time else text for text in damaged]
        notes.append(f"resumed after batch {time}" if time else "begun anew: there was no state to resume")
        for text in notes:
            self.bench.note(text)
        self.tell("resumed", batch=time, notes=notes)
        self._replay(time)

    def conclude(self, run: Run, batches: int, seconds: float) -> None:
        """Bring the model to how it is to end, and say how the training went: so many batches in so long a time."""
        self.session.conclude()
        rate = f", {batches / seconds:,.0f} batches/s" if batches and seconds > 0 else ""
        early = "" if run.time == self.course.total else f" of {self.course.total}"
        self.bench.note(f"trained {run.time}{early} batches{rate}; {shown(run.history[-1] if run.history else {})}")
        for text in (*self.session.remarks, _settled(self.bench.seed, self.step)):
            self.bench.note(text)
        for number, entry in enumerate(self.step.during):
            done = self.edits.get(number, [])
            words = ", ".join(inner.word for inner in entry.do)
            self.bench.note(f"{entry.timing}: {words}, done {measures.counted(len(done), 'time')}")

    def _replay(self, time: int) -> None:
        """Bring flags and settings to where they were; numbers come from the state."""
        for moment in sorted({found for entry in self.step.during for found in _times(entry, time, self.course)}):
            for number, entry in enumerate(self.step.during):
                if entry.timing.is_at(moment, self.course) and not (moment == time and _is_before(entry, time)):
                    self.edits.setdefault(number, []).append(moment)
                    bench = InnerBench(self.bench, time=moment, moment=str(entry.timing))
                    edited = apply_inner(bench, self.session.subject.document, entry, number, self.course)
                    self.session.subject.take_layers(edited)
                    self.session.decay_weights(bench.decay)

    @property
    def _saving(self) -> Timing | None:
        saving = self.step.checkpoints
        return Timing(every=Period.read(saving.every)) if saving is not None else None

    def _do(self, time: int, is_meant: Any) -> bool:
        is_restepped = False
        for number, entry in enumerate(self.step.during):
            if is_meant(entry) and entry.timing.is_at(time, self.course):
                is_restepped |= self._edit(entry, number, time)
        return is_restepped

    def _edit(self, entry: During, number: int, time: int) -> bool:
        bench = InnerBench(self.bench, time=time, moment=str(entry.timing))
        edited = apply_inner(bench, self.session.subject.document, entry, number, self.course)
        with _at_the_steps(entry, number):  # numbers are computed only now
            taken = self.session.subject.take(edited)
        has_new_mask = self.session.hold_zeros(bench.holds)
        self.session.take_means(bench.means)
        self.edits.setdefault(number, []).append(time)
        words = [inner.word for inner in entry.do]
        self.tell("edit", batch=time, when=str(entry.timing), steps=words, variables=taken.variables)
        has_new_decay = self.session.decay_weights(bench.decay)
        return taken.is_restepped or has_new_mask or has_new_decay


def _settled(seed: int, step: Train) -> str:
    """What decides that another run gives the same, in words."""
    operations = ", and operations are deterministic" if step.deterministic else ""
    return f"all that is random follows from the recipe's seed, {seed}{operations}"


@contextmanager
def _at_the_steps(entry: During, number: int) -> Iterator[None]:
    """Let errors point to the step of an entry, or to all of them where any may be meant."""
    try:
        yield
    except RecipeError as error:
        below = (0, entry.do[0].word, *error.at) if len(entry.do) == 1 else ()
        error.at = ("during", number, "do", *below)
        raise


def _is_before(entry: During, time: int) -> bool:
    """Whether an entry at this very time belongs to what comes after it, the next epoch."""
    at = entry.timing.at
    return time > 0 and at is not None and at.word == "epoch"


def _times(entry: During, last: int, course: Course) -> list[int]:
    found = [0] if entry.timing.is_at(0, course) else []
    time = entry.timing.after(0, course)
    while time is not None and time <= last:
        found.append(time)
        time = entry.timing.after(time, course)
    return found
