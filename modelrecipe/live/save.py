"""Keras writes what has no layout to keep: restructured models, and models that change their container."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelrecipe.errors import FileError


def save_live(model: Any, path: Path, format: str, compile_config: Mapping[str, Any] | None) -> None:
    """Write a live model; `compile_config` gives it a fresh optimizer of the kind that its source had.

    Args:
        model: a Keras model with its weights.
        path: where to; its ending is that of `format`.
        format: `keras`, `h5` or `weights_h5`.
        compile_config: as Keras stores it, or None for a model that was not compiled.

    Raises:
        FileError: Keras cannot write the model in this format.
    """
    if compile_config and format != "weights_h5":
        model.compile_from_config(dict(compile_config))
    try:
        with _quiet():
            if format == "weights_h5":
                model.save_weights(path)
            else:
                model.save(path)
    except (ValueError, TypeError, NotImplementedError, RuntimeError) as error:
        raise FileError(f"Keras cannot write the model as {format}: {error}") from error


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
