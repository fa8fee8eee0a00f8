"""Keras writes what has no layout to keep: restructured models, and models that change their container."""

from __future__ import annotations

import contextlib
import inspect
import logging
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelrecipe.errors import FileError
from modelrecipe.formats.keras_zip.packing import fill, pack
from modelrecipe.formats.keras_zip.reading import WEIGHTS
from modelrecipe.live.construct import foreign_code, reason
from modelrecipe.live.old_optimizers import modern_optimizer
from modelrecipe.live.private import written_by
from modelrecipe.live.session import import_keras

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelrecipe.formats.passing import Passed
    from modelrecipe.live.gaps import Gaps

# Keras tells by the ending of the name what to write.
_ENDINGS = {"keras": ".keras", "h5": ".h5", "weights_h5": ".weights.h5"}


def save_live(model: Any, path: Path, format: str) -> str | None:
    """Write a live model.

    Args:
        model: a Keras model with its weights.
        path: where to, whatever its ending.
        format: `keras`, `h5` or `weights_h5`.

    Returns:
        None, or in words what the file could not hold.

    Raises:
        FileError: Keras cannot write the model in this format.
    """
    ending = _ENDINGS[format]
    if path.name.endswith(ending):
        return _write(model, path, format)
    with tempfile.TemporaryDirectory(prefix=".modelrecipe-", dir=path.parent) as folder:
        file = Path(folder) / f"model{ending}"
        note = _write(model, file, format)
        file.replace(path)
    return note


def _write(model: Any, path: Path, format: str) -> str | None:
    # What the operating system refuses, as on a full disk, is for whoever knows the output's real name.
    with foreign_code(lambda error: _cannot_write(path, format, error), passing=OSError), _quiet():
        if format == "weights_h5":
            model.save_weights(path)
        else:
            model.save(path)
        return _read_back(model, path) if format == "h5" else None


def save_passing(model: Any, path: Path, format: str, gaps: Gaps | None = None) -> list[Passed]:
    """Write a live model without a copy of the file in memory.

    Args:
        model: a Keras model; its variables may be shown numbers that they do not hold.
        path: where to, whatever its ending.
        format: `keras` or `weights_h5`.
        gaps: leaves out what goes straight from file to file; None where the variables hold what they save.

    Returns:
        The tensors that passed by, as far as that is known.

    Raises:
        FileError: Keras cannot write the model in this format.
    """
    if (gaps is None) if format == "weights_h5" else not _writes_folders():
        save_live(model, path, format)
        return []
    with tempfile.TemporaryDirectory(prefix=".modelrecipe-", dir=path.parent) as name:
        folder = Path(name) / "model"
        asked = written_by(gaps, folder / WEIGHTS) if gaps is not None else contextlib.nullcontext()
        with foreign_code(lambda error: _cannot_write(path, format, error), passing=OSError), _quiet(), asked:
            _save_into(folder, model, format)
        parts = gaps.parts if gaps is not None else ()
        return fill(folder / WEIGHTS, path, parts) if format == "weights_h5" else pack(folder, path, parts)


def _save_into(folder: Path, model: Any, format: str) -> None:
    if format == "weights_h5":
        folder.mkdir()
        model.save_weights(folder / WEIGHTS)
    else:
        model.save(folder, zipped=False)


def _writes_folders() -> bool:
    """Whether this Keras can leave the zip to others; older ones cannot."""
    return "zipped" in inspect.signature(import_keras().saving.save_model).parameters


def _cannot_write(path: Path, format: str, error: Exception) -> FileError:
    said = reason(error).replace(str(path), "the file")
    return FileError(f"Keras cannot write the model as {format}: {said}")


def _read_back(model: Any, path: Path) -> str | None:
    """Keras writes some models as HDF5 that it cannot read again, and says nothing: try."""
    keras = import_keras()
    with foreign_code(
        lambda error: FileError(
            f"the old HDF5 format cannot hold this model: Keras does not read back what it writes ({reason(error)})",
            hint="save as .keras",
            at=("path",),
        )
    ):
        keras.saving.load_model(path, compile=False)
    try:
        keras.saving.load_model(path)
    except Exception as error:  # whatever a metric or an optimizer of the file raises
        model.save(path, include_optimizer=False)
        return f"written uncompiled: the old HDF5 format cannot hold the training configuration ({reason(error)})"
    return None


def compile_like(model: Any, stored: Mapping[str, Any]) -> str | None:
    """Compile a model as its source was, with a fresh optimizer of the same kind.

    Args:
        model: a Keras model.
        stored: `compile_config` of a `.keras` file, or `training_config` of an HDF5 file.

    Returns:
        None, or in words why the model stays uncompiled; that is never a reason not to write it.
    """
    keras = import_keras()
    try:
        with _quiet():
            if "optimizer_config" not in stored:
                model.compile_from_config(dict(stored))
            else:
                kept = {key: stored.get(key) for key in ("loss", "loss_weights", "metrics", "weighted_metrics")}
                # `compile` takes what it cannot make sense of as it is, and the written file would not open.
                kept = keras.saving.deserialize_keras_object(kept, safe_mode=True)
                optimizer = keras.optimizers.deserialize(modern_optimizer(stored["optimizer_config"]))
                model.compile(optimizer=optimizer, **kept)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return f"written uncompiled: Keras cannot read the source's training configuration ({reason(error)})"
    return None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Keras' advice against HDF5, which the recipe's author has decided about."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
