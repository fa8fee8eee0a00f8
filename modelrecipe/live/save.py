"""Keras writes what has no layout to keep: restructured models, and models that change their container."""

from __future__ import annotations

import contextlib
import logging
import warnings
from typing import TYPE_CHECKING, Any

from modelrecipe.errors import FileError
from modelrecipe.live.construct import reason
from modelrecipe.live.session import import_keras

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def save_live(model: Any, path: Path, format: str) -> None:
    """Write a live model.

    Args:
        model: a Keras model with its weights.
        path: where to; its ending is that of `format`.
        format: `keras`, `h5` or `weights_h5`.

    Raises:
        FileError: Keras cannot write the model in this format.
    """
    try:
        with _quiet():
            if format == "weights_h5":
                model.save_weights(path)
            else:
                model.save(path)
            if format == "h5":
                _read_back(path)
    except (ValueError, TypeError, NotImplementedError, RuntimeError) as error:
        raise FileError(f"Keras cannot write the model as {format}: {reason(error)}") from error


def _read_back(path: Path) -> None:
    """Keras writes some models as HDF5 that it cannot read again, and says nothing: try."""
    try:
        import_keras().saving.load_model(path, compile=False)
    except (ValueError, TypeError) as error:
        raise FileError(
            f"the old HDF5 format cannot hold this model: Keras does not read back what it writes ({reason(error)})",
            hint="save as .keras",
            at=("path",),
        ) from error


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
                model.compile(optimizer=keras.optimizers.deserialize(dict(stored["optimizer_config"])), **kept)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return (
            f"the model is written uncompiled: Keras cannot read the source's training configuration ({reason(error)})"
        )
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
