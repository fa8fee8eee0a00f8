"""Keras comes in here, quietly and once, and randomness is lent for the time of a build."""

from __future__ import annotations

import importlib
import os
import random
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from modelrecipe.errors import FileError, LanguageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import ModuleType


def import_keras() -> ModuleType:
    """Keras on TensorFlow, without the lines that TensorFlow writes to stderr while it is imported.

    Raises:
        FileError: Keras cannot be imported, or runs on another backend.
    """
    if "keras" in sys.modules:
        keras = sys.modules["keras"]
    else:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        try:
            with _quiet_stderr():
                keras = importlib.import_module("keras")
                keras.ops.convert_to_tensor(0)  # the first operation looks for devices, and tells what it misses
        except ImportError as error:
            raise FileError(f"Keras cannot be imported: {error}", hint="install tensorflow and keras") from error
    if keras.config.backend() != "tensorflow":
        raise FileError(
            f"Keras runs on {keras.config.backend()}, but modelrecipe needs tensorflow",
            hint="set KERAS_BACKEND=tensorflow",
        )
    return keras


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keep what native code writes to stderr, and show it only when the block fails."""
    try:
        descriptor = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # a notebook's or a test's stderr is no real file
        yield
        return
    sys.stderr.flush()
    kept = os.dup(descriptor)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), descriptor)
        try:
            yield
        except BaseException:
            os.dup2(kept, descriptor)
            aside.seek(0)
            os.write(descriptor, aside.read())
            raise
        finally:
            os.dup2(kept, descriptor)
            os.close(kept)


def run_imports(modules: Sequence[str], folder: Path) -> None:
    """Import the Python modules that register custom layers; `folder` is searched first.

    Raises:
        LanguageError: a module cannot be imported.
    """
    if not modules:
        return
    import_keras()
    sys.path.insert(0, str(folder.resolve()))
    try:
        for name in modules:
            importlib.import_module(name)
    except ImportError as error:
        raise LanguageError(f"the module '{error.name}' cannot be imported: {error}", key="imports") from error
    finally:
        sys.path.remove(str(folder.resolve()))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed what Keras' initializers draw from, and give the caller's random state back afterwards.

    An initializer or seed generator without a seed of its own takes one from Python's `random` when it is made (keras,
    `random.make_default_seed`); NumPy is seeded for custom initializers.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


@contextmanager
def custom_classes_of(model: Any) -> Iterator[None]:
    """Make the classes of a live model's layers known to Keras, so that unregistered ones can be copied too."""
    keras = import_keras()
    layers = [model, *model._flatten_layers(include_self=False)] if hasattr(model, "_flatten_layers") else [model]
    classes = {type(layer).__name__: type(layer) for layer in layers if not type(layer).__module__.startswith("keras.")}
    with keras.saving.custom_object_scope(classes):
        yield
