"""Opens a training: the live model compiled as the recipe says, the loop around it, what is watched and written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from modelrecipe.errors import LanguageError
from modelrecipe.live.construct import foreign_code, reason
from modelrecipe.live.private import deterministic
from modelrecipe.live.session import seeded
from modelrecipe.live.training.compiling import compile_model, make_callbacks
from modelrecipe.live.training.logs import LogFiles
from modelrecipe.live.training.loop import Run
from modelrecipe.live.training.penalties import pull_back
from modelrecipe.live.training.precision import regularize_in_float32, with_policy
from modelrecipe.live.training.replicas import is_shared, share_model
from modelrecipe.live.training.session import BEST, STOP, Session
from modelrecipe.live.training.settings import awake, put_to_sleep
from modelrecipe.live.training.step_function import untold_tracing
from modelrecipe.live.training.strategies import strategy_of
from modelrecipe.live.training.subject import Subject
from modelrecipe.live.training.watching import Watch
from modelrecipe.live.training.weighting import WeightedFeed
from modelrecipe.live.training.workers import silent
from modelrecipe.step import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.data.feed import Feeds
    from modelrecipe.edit.values import Place
    from modelrecipe.engine.training import Prospect
    from modelrecipe.live.workshop import Workshop
    from modelrecipe.steps.train import Train
    from modelrecipe.training.moments import Course


def open_session(
    workshop: Workshop,
    document: Checkpoint,
    step: Train,
    prospect: Prospect,
    feeds: Feeds,
    course: Course,
    *,
    seed: int,
    place: Callable[[str], Path],
    joined: Any = None,
    writes: bool = True,
) -> Session:
    """A training that is ready to begin.

    Args:
        workshop: builds the model.
        document: the model.
        step: what the recipe says.
        prospect: what was found out before.
        feeds: the data.
        course: how long it is.
        seed: of everything random.
        place: where a file goes that the recipe names.
        joined: the strategy for several machines.
        writes: whether files are written; of several machines one does.

    Raises:
        RecipeError: Keras refuses what the recipe says, or a value that is to be watched does not exist.
    """
    strategy = strategy_of(step, feeds.train, joined)
    tf.random.set_seed(seed % 2**31)
    with untold_tracing(), deterministic(step.deterministic), seeded(seed % 2**32), strategy.scope():
        subject = _compiled(workshop, document, step, prospect, course)
        _make_metrics(subject.model, feeds, strategy)
    callbacks = make_callbacks(step, place)
    session = Session(
        step=step,
        subject=subject,
        run=_run(step, subject, feeds, course, callbacks if writes else silent(callbacks)),
        watches=_watches(step),
        logs=LogFiles.opened(step.logs if writes else None, place),
        writes=writes,
    )
    _refuse_unknown(session.watches, session.run)
    if is_shared(strategy):
        session.remarks.append(f"{strategy.num_replicas_in_sync} devices, each with its part of every batch")
    return session


def _live(workshop: Workshop, document: Checkpoint, step: Train) -> Subject:
    meant = with_policy(document, step.precision)
    if not any(inner.step.touches & SETTINGS for entry in step.during for inner in entry.do):
        return Subject(workshop.lend(meant), document)
    built = workshop.lend(awake(meant))
    put_to_sleep(built.layers, meant)
    return Subject(built, document)


def _compiled(workshop: Workshop, document: Checkpoint, step: Train, prospect: Prospect, course: Course) -> Subject:
    """The live model with its optimizer, which has a state for all that is ever trained, its loss and its metrics."""
    subject = _live(workshop, document, step)
    model = subject.model
    regularize_in_float32(model)
    learns = [variable for key, names in prospect.learns.items() for variable in subject.learning(key, names)]
    if step.only:
        learning = {id(variable) for variable in learns}
        subject.hold_back([variable for variable in model.weights if id(variable) not in learning])

    def variables(places: Iterable[Place]) -> list[Any]:
        chosen = [subject.variable(place.key, name) for place in places for name in place.names]
        return [variable for variable in chosen if variable is not None]

    pairs = zip(step.penalties, prospect.pulled, strict=True)
    pull_back(model, [(penalty, variables(places)) for penalty, places in pairs])
    groups = [(group, variables(places)) for group, places in zip(step.rates, prospect.groups, strict=True)]
    compile_model(subject, step, groups, course.total, learns=learns)
    return subject


def _run(step: Train, subject: Subject, feeds: Feeds, course: Course, callbacks: Sequence[Any]) -> Run:
    """The loop."""
    return Run(
        model=subject.model,
        feed=WeightedFeed(feed=feeds.train, class_weight=step.class_weight) if step.class_weight else feeds.train,
        validation=feeds.validation,
        course=course,
        callbacks=callbacks,
        block=step.steps_per_execution,
        jit=step.jit,
        is_deterministic=step.deterministic,
    )


def _watches(step: Train) -> dict[str, Watch]:
    found: dict[str, Watch] = {}
    if step.stop_early is not None:
        stop = step.stop_early
        found[STOP] = Watch(monitor=stop.monitor, mode=stop.mode, min_delta=stop.min_delta)
    if step.restore_best is not None:
        found[BEST] = Watch(monitor=step.restore_best)
    return found


def _refuse_unknown(watches: Mapping[str, Watch], run: Run) -> None:
    """Refuse to watch what the training does not give, before it begins.

    Raises:
        LanguageError: a value that is watched does not exist.
    """
    known = list(run.model.get_metrics_result())
    if run.validation is not None:
        known += [f"val_{name}" for name in known]
    for key, watch in watches.items():
        watch.refuse_unknown(known, ("stop_early", "monitor") if key == STOP else (key,))


def _make_metrics(model: Any, feeds: Feeds, strategy: Any) -> None:
    """Let the model make the variables of its metrics, which Keras does at the first batch.

    Raises:
        LanguageError: loss and metrics do not take what the model gives.
    """
    weights = {id(variable) for variable in model.weights}
    random = [(variable, variable.numpy()) for variable in model.variables if id(variable) not in weights]
    with foreign_code(lambda error: LanguageError(f"Keras cannot compute loss and metrics: {reason(error)}")):
        batch = next(iter(feeds.train.dataset(0)))
        if is_shared(strategy):
            share_model(model, batch)
            return
        model.test_on_batch(*batch)
    model.reset_metrics()
    for variable, before in random:  # recurrent layers draw even then
        variable.assign(before)
