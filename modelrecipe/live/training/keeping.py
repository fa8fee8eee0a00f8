"""A training on disk: what of it is written into a state, and how it takes one up again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from modelrecipe.live.training import states
from modelrecipe.live.training.subject import Reader
from modelrecipe.live.training.watching import Watch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from modelrecipe.live.training.session import Session


def keep(session: Session, folder: Path, identity: Mapping[str, str], *, most: int) -> Path | None:
    """Save everything that decides how a training goes on.

    Args:
        session: the training.
        folder: where its states stand.
        identity: of the training.
        most: how many of its states stay. Those that an earlier run left there go, once the first new one is there.

    Raises:
        FileError: it cannot be written; the older ones stay.
        TrainingError: numbers of the model are none any more; that is nothing to go on from.
    """
    run = session.run
    run.refuse_unsound()
    arrays = states.arrays_of(_groups(session)) | session.best
    for (key, name), (_, mask) in run.held.items():
        arrays[f"held/{key}|{name}"] = Reader(mask)()
    for (key, name), (mean, count) in session.means.items():
        arrays[f"mean/{key}|{name}"], arrays[f"count/{key}|{name}"] = mean, np.asarray(count)
    for number, callback in enumerate(run.callbacks):
        arrays |= {f"callback/{number}/{name}": values for name, values in states.arrays_in(callback).items()}
    state = states.State(
        time=run.time,
        total=run.course.total,
        identity=identity,
        is_over=run.is_over,
        history=run.history,
        watches=states.watched(session.watches),
        callbacks=[states.plain_attributes(callback) for callback in run.callbacks],
        arrays=arrays,
    )
    if not session.writes:  # another machine does; the numbers of metrics come from all
        return None
    path = states.write_state(folder, state)
    session.kept = [*(item for item in session.kept if item != path), path][-most:]
    for other in states.states(folder):
        if other not in session.kept:
            other.unlink(missing_ok=True)
    return path


def take_up(session: Session, folder: Path, identity: Mapping[str, str]) -> list[str]:
    """Go on from the newest state that can be read; gives back what is wrong with newer ones, in words.

    Raises:
        TrainingError: it belongs to another training.
    """
    groups, run = _groups(session), session.run
    shapes = {
        f"{group}/{number}": tuple(variable.shape)
        for group, variables in groups.items()
        for number, variable in enumerate(variables)
    }
    shapes |= {name.replace("model/", "best/", 1): shape for name, shape in shapes.items()}
    path, state, damaged = states.newest_state(folder, identity, shapes)
    if path is None or state is None:
        return damaged
    states.give(groups, state.arrays)
    run.time, run.is_over, run.history = state.time, state.is_over, [dict(item) for item in state.history]
    for name, facts in state.watches.items():
        session.watches[name] = Watch(**facts)
    run.resumed = [
        {**plain, **states.given_back(state.arrays, f"callback/{number}/")}
        for number, plain in enumerate(state.callbacks)
    ]
    session.best = {name: values for name, values in state.arrays.items() if name.startswith("best/")}
    session.kept = [item for item in states.states(folder) if item <= path]
    _restore(session, state.arrays)
    return damaged


def _groups(session: Session) -> dict[str, list[Any]]:
    model = session.run.model
    return {
        "model": list(model.variables),
        "optimizer": list(model.optimizer.variables),
        "metrics": [variable for metric in model.metrics for variable in metric.variables],
    }


def _restore(session: Session, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    for stored, values in arrays.items():
        group, _, rest = stored.partition("/")
        key, _, name = rest.rpartition("|")
        if group == "held":
            session.hold_zeros([(key, name)])
            session.run.held[key, name][1].assign(values)
        elif group == "mean":
            session.means[key, name] = (values.astype(np.float64), int(arrays[f"count/{rest}"]))
