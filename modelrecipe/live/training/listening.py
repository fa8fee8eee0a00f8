"""Keras' callbacks beside a loop that is not Keras': how they begin, and how they go on where they were."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelrecipe.files import atomic_output
from modelrecipe.live.session import import_keras
from modelrecipe.live.training.states import set_attributes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelrecipe.training.moments import Course


def begun(
    callbacks: Sequence[Any], resumed: Sequence[Mapping[str, Any]], *, model: Any, course: Course, epochs: int
) -> Any:
    """The callbacks as one list, which know that the training begins or goes on.

    Args:
        callbacks: Keras' own.
        resumed: their attributes as they were when the training was stopped; empty for one that begins.
        model: what is trained.
        course: how long the training is.
        epochs: how many have ended.
    """
    keras = import_keras()
    lengths = {"epochs": -(-course.total // course.length), "steps": course.length, "verbose": 0}
    listeners = keras.callbacks.CallbackList(list(callbacks), model=model, **lengths)
    tables = [item for item in callbacks if resumed and isinstance(item, keras.callbacks.CSVLogger) and not item.append]
    for table in tables:
        _cut(Path(table.filename), epochs)
        table.append = True
    listeners.on_train_begin()
    for callback, attributes in zip(callbacks, resumed, strict=False):
        if not isinstance(callback, keras.callbacks.CSVLogger):  # its attributes are about its file as it was found
            set_attributes(callback, attributes)  # only now: callbacks forget what was before when a training begins
    return listeners


def _cut(table: Path, epochs: int) -> None:
    """Leave the lines of the first epochs alone in a table that `CSVLogger` wrote; later ones are written again."""
    lines = table.read_bytes().splitlines(keepends=True) if table.exists() else []
    if lines:
        with atomic_output(table) as temporary:
            temporary.write_bytes(b"".join(lines[: 1 + epochs]))
