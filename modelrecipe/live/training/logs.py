"""Files that tell how a training went, for spreadsheets and for TensorBoard."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from modelrecipe.files import atomic_output

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from modelrecipe.training.settings import Logs

_VALIDATION = "val_"


@dataclass(kw_only=True)
class LogFiles:
    """Where values of the epochs go.

    Args:
        table: a CSV file; None for none.
        board: a folder for TensorBoard; None for none.
    """

    table: Path | None = None
    board: Path | None = None
    _writers: dict[str, Any] = field(default_factory=dict, init=False)

    @classmethod
    def opened(cls, logs: Logs | None, place: Callable[[str], Path]) -> LogFiles:
        """Those that a recipe names.

        Args:
            logs: what the recipe says.
            place: where a file goes that the recipe names.
        """
        names = (logs.csv, logs.tensorboard) if logs is not None else (None, None)
        table, board = (place(name) if name is not None else None for name in names)
        return cls(table=table, board=board)

    def write(self, history: Sequence[Mapping[str, float]]) -> None:
        """Tell the values of the last epoch.

        Args:
            history: the values of each epoch. The table is written whole again, so that a training which was resumed
                has each epoch once.

        Raises:
            FileError: a file cannot be written.
        """
        if self.table is not None:
            with atomic_output(self.table) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
                _write_table(file, history)
        if self.board is not None:
            self._show(self.board, len(history), history[-1])

    def _show(self, folder: Path, epoch: int, logs: Mapping[str, float]) -> None:
        """Scalars as TensorBoard expects them, which this needs no installed TensorBoard for."""
        parts = {
            "train": {name: value for name, value in logs.items() if not name.startswith(_VALIDATION)},
            "validation": {name[4:]: value for name, value in logs.items() if name.startswith(_VALIDATION)},
        }
        for part, values in parts.items():
            if not values:
                continue
            # One file for all epochs: TensorBoard takes no notice of one that comes later, but in front of others.
            if part not in self._writers:
                self._writers[part] = tf.summary.create_file_writer(str(folder / part))
            writer = self._writers[part]
            with writer.as_default():
                for name, value in values.items():
                    tf.summary.write(f"epoch_{name}", tf.constant(value), step=epoch, metadata=_scalar())
            writer.flush()


def _write_table(file: Any, history: Sequence[Mapping[str, float]]) -> None:
    names = list(dict.fromkeys(name for logs in history for name in logs))
    rows = csv.writer(file)
    rows.writerow(["epoch", *names])
    for number, logs in enumerate(history, start=1):
        rows.writerow([number, *(logs.get(name, "") for name in names)])


def _scalar() -> Any:
    return tf.compat.v1.SummaryMetadata(
        plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"), data_class="DATA_CLASS_SCALAR"
    )
