"""Keras comes in here, quietly and once, and randomness is lent for the time of a build."""

from __future__ import annotations

import importlib
import os
import random
import sys
import tempfile
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelrecipe.errors import FileError, LanguageError
from modelrecipe.garbage import uncollected

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
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
            with quiet_stderr(), uncollected():
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
def quiet_stderr() -> Iterator[None]:
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
    """Import the Python modules that register custom layers.

    `folder` is searched first, then Python's path, then the working directory, which an installed program has not on
    its path. The path is left as it was, but for what the modules themselves do to it.

    Raises:
        LanguageError: a module cannot be imported, or one of its name came from another folder before.
    """
    if not modules:
        return
    import_keras()
    importlib.invalidate_caches()
    place = str(folder.resolve())
    with _searching(place):
        for name in modules:
            _refuse_namesake(name, place)
            _import(name)


@contextmanager
def _searching(place: str) -> Iterator[None]:
    """Put `place` in front of Python's path and the working directory behind it, for the time of the block."""
    here = str(Path.cwd())
    is_known = here in sys.path or "" in sys.path
    sys.path.insert(0, place)
    if not is_known:
        sys.path.append(here)
    try:
        yield
    finally:
        if place in sys.path:
            sys.path.remove(place)
        if not is_known and here in sys.path:
            del sys.path[len(sys.path) - 1 - sys.path[::-1].index(here)]


def _import(name: str) -> None:
    """Import a module; whatever its code raises, exits included, is told as what is wrong with the recipe."""
    try:
        importlib.import_module(name)
    except ImportError as error:
        is_missing = isinstance(error, ModuleNotFoundError) and error.name is not None
        hint = (
            "put it beside the recipe, or install it"
            if is_missing and f"{name}.".startswith(f"{error.name}.")
            else None
        )
        message = f"the module '{error.name or name}' cannot be imported: {error}"
        raise LanguageError(message, hint=hint, key="imports") from error
    except (Exception, SystemExit) as error:  # code of the user's: any class may come
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise LanguageError(f"the module '{name}' cannot be imported: {said}", key="imports") from error


def _refuse_namesake(name: str, place: str) -> None:
    """Python keeps one module of a name, so that a second recipe would silently get the first one's classes.

    Raises:
        LanguageError: the module, or a package around it, stands below `place` but was imported from elsewhere.
    """
    parts, search = name.split("."), [place]
    for number in range(1, len(parts) + 1):
        full = ".".join(parts[:number])
        spec = PathFinder.find_spec(full, search)
        if spec is None:
            return
        loaded = getattr(sys.modules.get(full), "__file__", None)
        if spec.origin is not None and full in sys.modules and not _is_same(loaded, spec.origin):
            raise LanguageError(
                f"the module '{full}' was imported from '{loaded or 'Python itself'}' before, not from '{spec.origin}'",
                hint="give one of the two another name, or run each recipe in a process of its own",
                key="imports",
            )
        search = list(spec.submodule_search_locations or ())


def _is_same(loaded: str | None, wanted: str) -> bool:
    return loaded is not None and os.path.realpath(loaded) == os.path.realpath(wanted)


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
