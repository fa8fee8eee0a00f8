"""Labels that are met too late: examples that come one after the other are not looked at before they are trained on.

Keras tells of a label that it has no output for without saying where it stands. Here it is told as `data.fit` tells of
labels that could be looked at before.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from modelrecipe.engine.totals import callers_ends
from modelrecipe.errors import DataError, RecipeError
from modelrecipe.measures import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.data import DataSummary, TensorSummary

_SAID = re.compile(r"[Rr]eceived a label value of (-?\d+) which is outside the valid range of \[0, (\d+)\)")


@contextmanager
def labels_told(checkpoint: Checkpoint, summary: DataSummary) -> Iterator[None]:
    """Say where a label stands that Keras meets in this block and has no output for.

    Args:
        checkpoint: the model.
        summary: of the data as they were opened.

    Raises:
        DataError: instead of the error that has Keras' sentence.
    """
    try:
        yield
    except RecipeError as error:
        said = _SAID.search(str(error))
        if said is None:
            raise
        raise _unfit(checkpoint, summary, int(said[1]), int(said[2])) from error


def _unfit(checkpoint: Checkpoint, summary: DataSummary, label: int, units: int) -> DataError:
    outputs = [end for end in callers_ends(checkpoint)[1] if end.shape is not None and end.shape[-1] == units]
    names = [end.name for end in outputs]
    targets = _targets(summary, names)
    holds = f"{targets[0].key} holds the label {label}" if len(targets) == 1 else f"the targets hold the label {label}"
    has = f"{quoted(names)} has {units} outputs" if len(names) == 1 else f"an output has {units} numbers"
    return DataError(
        f"{holds}, but {has}",
        hint=f"labels go from 0 to {units - 1}; 'classes' chooses and numbers them",
        at=("data", *(targets[0].at if len(targets) == 1 else ("y",))),
    )


def _targets(summary: DataSummary, outputs: list[str]) -> list[TensorSummary]:
    """The targets that may hold the label: the only ones, or those of these outputs."""
    found = [item for item in summary.tensors or () if item.role == "y"]
    return found if len(found) == 1 else [item for item in found if item.name in outputs]
