"""What TensorFlow wrote: checkpoints and SavedModel directories, read without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MODEL_FILE = "saved_model.pb"
SAVED_MODEL = "saved_model"
"""The format of a directory that is read as an editable graph."""
TFSM = "tfsm"
"""The format of one that is taken in as a single opaque layer, of the class `TFSM_CLASS`."""
TFSM_CLASS = "TFSMLayer"


def is_saved_model(path: Path) -> bool:
    """Whether a folder holds a SavedModel."""
    return (path / MODEL_FILE).is_file()
