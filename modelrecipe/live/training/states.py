"""The state of a training on disk: everything that decides how it goes on, so that it goes on to the same bits.

A state is a NumPy archive whose members carry checksums; it appears whole or not at all. Nothing in it is executed.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from modelrecipe.errors import TrainingError
from modelrecipe.files import atomic_output
from modelrecipe.live.session import import_keras

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from modelrecipe.live.training.watching import Watch

VERSION = 2
_SUFFIX = ".state"
_FACTS = "facts"
_OPERATION = "operation"
_DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
_OTHER = {"recipe": "another recipe", "data": "other data", "model": "another model"}


@dataclass
class State:
    """A training at some time.

    Args:
        time: batches that were seen.
        total: batches of the whole training.
        identity: names of what the training consists of to their digests; another training's state is refused.
        is_over: whether it ended there, early perhaps.
        history: values of each epoch.
        watches: what the watched values were.
        callbacks: plain attributes of Keras' callbacks, in order.
        arrays: numbers by name: of the model, the optimizer, the metrics, masks, means, the best epoch's weights.
    """

    time: int
    total: int
    identity: Mapping[str, str]
    is_over: bool = False
    history: Sequence[Mapping[str, float]] = ()
    watches: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    callbacks: Sequence[Mapping[str, Any]] = ()
    arrays: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)


def write_state(folder: Path, state: State) -> Path:
    """Save a state.

    Args:
        folder: where states stand; made if need be.
        state: what is saved.

    Raises:
        FileError: it cannot be written.
    """
    path = folder / f"batch-{state.time:09d}{_SUFFIX}"
    facts = {
        "version": VERSION,
        "time": state.time,
        "total": state.total,
        "identity": dict(state.identity),
        "is_over": state.is_over,
        "history": list(state.history),
        "watches": dict(state.watches),
        "callbacks": list(state.callbacks),
        "types": {name: values.dtype.name for name, values in state.arrays.items()},
    }
    plain = {name: _plain(values) for name, values in state.arrays.items()}
    plain[_FACTS] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    with atomic_output(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **plain)  # type: ignore[arg-type]  # the names are no parameters of savez
    return path


def _plain(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Types that NumPy's files lack, as bfloat16, as their bytes."""
    return values if values.dtype.isbuiltin == 1 else np.ascontiguousarray(values).reshape(-1).view(np.uint8)


def states(folder: Path) -> list[Path]:
    """The states in a folder, the oldest first."""
    return sorted(folder.glob(f"batch-*{_SUFFIX}"))


def newest_state(
    folder: Path, identity: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[Path | None, State | None, list[str]]:
    """The newest state that can be read.

    Args:
        folder: where states stand.
        identity: of the training that is to go on.
        shapes: those of bfloat16 and the like, by name, which are stored as bytes.

    Returns:
        The state and its file, None where there is none; and what is wrong with newer ones, in words.

    Raises:
        TrainingError: the state belongs to another training.
    """
    damaged: list[str] = []
    for path in reversed(states(folder)):
        try:
            state = _read(path, shapes)
        except _DAMAGE as error:
            damaged.append(f"'{path.name}' is damaged ({str(error).splitlines()[0] if str(error) else 'cut short'})")
            continue
        if state.identity != identity:
            others = [_OTHER.get(name, name) for name in identity if state.identity.get(name) != identity[name]]
            raise TrainingError(
                f"'{path}' belongs to a training with {' and '.join(others)}",
                hint="change that back, or run without --resume to begin anew",
            )
        return path, state, damaged
    return None, None, damaged


def interrupted_at(folder: Path) -> int | None:
    """After how many batches the training ended that left its states here; None where none did, or it came to its end.

    What cannot be read is nothing that a training could go on from.
    """
    for path in reversed(states(folder)):
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                facts = json.loads(archive[_FACTS].tobytes())
        except _DAMAGE:
            continue
        if facts["version"] == VERSION:
            return None if facts["is_over"] or facts["time"] == facts["total"] else facts["time"]
    return None


def _read(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> State:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    facts = json.loads(arrays.pop(_FACTS).tobytes())
    if facts["version"] != VERSION:
        raise ValueError(f"it is of version {facts['version']}")
    whole = {name: _whole(values, facts["types"][name], shapes.get(name)) for name, values in arrays.items()}
    return State(
        time=facts["time"],
        total=facts["total"],
        identity=facts["identity"],
        is_over=facts["is_over"],
        history=facts["history"],
        watches=facts["watches"],
        callbacks=facts["callbacks"],
        arrays=whole,
    )


def _whole(values: NDArray[np.generic], kind: str, shape: tuple[int, ...] | None) -> NDArray[np.generic]:
    if values.dtype.name == kind:
        return values
    import ml_dtypes

    typed = values.view(getattr(ml_dtypes, kind))
    return typed if shape is None else typed.reshape(shape)


def arrays_of(groups: Mapping[str, Iterable[Any]]) -> dict[str, NDArray[np.generic]]:
    """The numbers of live variables, as `group/0`, `group/1`, ..."""
    ops = import_keras().ops
    return {
        f"{group}/{number}": np.array(ops.convert_to_numpy(variable))
        for group, variables in groups.items()
        for number, variable in enumerate(variables)
    }


def give(groups: Mapping[str, Iterable[Any]], arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Give live variables their numbers back.

    Raises:
        TrainingError: the state has other variables.
    """
    for group, variables in groups.items():
        found = list(variables)
        stored = sum(name.startswith(f"{group}/") for name in arrays)
        if stored != len(found):
            raise TrainingError(f"the state holds {stored} variables of the {group}, which has {len(found)}")
        for number, variable in enumerate(found):
            variable.assign(arrays[f"{group}/{number}"])


def plain_attributes(callback: Any) -> dict[str, Any]:
    """What of a callback's state can be told in JSON: counters, best values, flags, and how it compares."""
    found = {
        name: float(value) if isinstance(value, np.floating) else value
        for name, value in vars(callback).items()
        if isinstance(value, bool | int | float | str | np.floating) or value is None
    }
    ops = vars(import_keras().ops)
    compared = {name: getattr(value, "__name__", None) for name, value in vars(callback).items() if callable(value)}
    return found | {name: {_OPERATION: op} for name, op in compared.items() if ops.get(op) is vars(callback)[name]}


def set_attributes(callback: Any, attributes: Mapping[str, Any]) -> None:
    """Give a callback what `plain_attributes` and `arrays_in` told of it."""
    ops = import_keras().ops
    for name, value in attributes.items():
        vars(callback)[name] = getattr(ops, value[_OPERATION]) if isinstance(value, dict) else value


def arrays_in(callback: Any) -> dict[str, NDArray[np.generic]]:
    """What of a callback's state are lists of arrays, as the best weights: `best_weights/0`, ..."""
    return {
        f"{name}/{number}": np.asarray(item)
        for name, value in vars(callback).items()
        if isinstance(value, list) and value and all(isinstance(item, np.ndarray) for item in value)
        for number, item in enumerate(value)
    }


def given_back(arrays: Mapping[str, NDArray[np.generic]], head: str) -> dict[str, list[NDArray[np.generic]]]:
    """The lists of `arrays_in`, from names that begin with `head`."""
    found: dict[str, list[NDArray[np.generic]]] = {}
    for name, values in arrays.items():
        if name.startswith(head):
            found.setdefault(name.removeprefix(head).rpartition("/")[0], []).append(values)
    return found


def watched(watches: Mapping[str, Watch]) -> dict[str, dict[str, Any]]:
    """The watched values as plain data."""
    return {name: asdict(watch) for name, watch in watches.items()}
