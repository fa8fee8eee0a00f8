"""The one place for what Keras does not document. Each use is tried first and has a public way to fall back on."""

from __future__ import annotations

import collections
import contextlib
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import h5py
import numpy as np

from modelrecipe.live.session import import_keras

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray


def sharing_scope() -> contextlib.AbstractContextManager[object]:
    """While it is open, serialised objects with one `shared_object_id` become one live object.

    Keras opens it around a whole model; here layers are made one by one. Without it (another Keras), layers that are
    shared between a wrapper and the graph are refused when they are filled, because the file holds their weights once.
    """
    import_keras()
    try:
        serialization = importlib.import_module("keras.src.saving.serialization_lib")
        return serialization.ObjectSharingScope()
    except (ImportError, AttributeError):
        return contextlib.nullcontext()


def inner_layers(layer: Any) -> list[Any]:
    """The layers inside a layer at any depth, the outer ones first.

    Without it (another Keras), a wrapper and what it holds get one flag, which the proof of the written file reports.
    """
    try:
        return list(layer._flatten_layers(include_self=False))
    except (AttributeError, TypeError):
        return []


@contextlib.contextmanager
def fresh_names() -> Iterator[None]:
    """While it is open, automatic names (`dense`, `dense_1`) are counted anew; the caller's count goes on afterwards.

    Keras counts over the whole process. Without it (another Keras), the names of an architecture that is built depend
    on what was built before in the same process.
    """
    import_keras()
    try:
        state = importlib.import_module("keras.src.backend.common.global_state")
        counted = state.get_global_attribute("object_name_uids")
        state.set_global_attribute("object_name_uids", collections.defaultdict(int))
    except (ImportError, AttributeError):
        yield
        return
    try:
        yield
    finally:
        state.set_global_attribute("object_name_uids", counted)


_WAITING = "uninitialized_variables"
"""Where Keras lists the variables that get their numbers at the end of the next scope."""


@contextlib.contextmanager
def deferring() -> Iterator[None]:
    """While it is open, variables are made without numbers: most of the time of a build goes into those.

    Each is given them by `begin` or `initialise`. Ask `can_defer` before.
    """
    state = importlib.import_module("keras.src.backend.common.global_state")
    waiting = state.get_global_attribute(_WAITING)
    state.set_global_attribute(_WAITING, [])
    try:
        with import_keras().StatelessScope(initialize_variables=False):
            yield
    finally:
        state.set_global_attribute(_WAITING, waiting or [])


def can_defer() -> bool:
    """Whether this Keras makes variables without numbers, and takes them later; else all are initialised at once."""
    keras = import_keras()
    try:
        with deferring():
            one, other = (keras.Variable("ones", shape=(2,), dtype="float32", name="probe") for _ in range(2))
        if not (is_empty(one) and is_empty(other)):
            return False
        begin(one, np.full(2, 3, np.float32))
        initialise([other])
        one.assign(one + other)
        return not is_empty(one) and one.numpy().tolist() == [4, 4]
    except (ImportError, AttributeError, TypeError, ValueError):
        return False


def is_empty(variable: Any) -> bool:
    """Whether a variable has no numbers yet."""
    return getattr(variable, "_value", variable) is None


def begin(variable: Any, values: NDArray[np.generic]) -> None:
    """Give a variable its first numbers.

    TensorFlow's own variable is made now and for good: what may train later, however it is frozen now, has to be one
    that the tape of gradients watches.
    """
    keras = import_keras()
    is_frozen, variable._trainable = not variable._trainable, "float" in variable._dtype
    try:
        variable._initialize(keras.ops.convert_to_tensor(values, dtype=variable._dtype))
    finally:
        variable._trainable = not is_frozen
    variable._initializer = None


def initialise(variables: Iterable[Any]) -> None:
    """Give those variables that have no numbers yet the ones that their initializers draw."""
    for variable in variables:
        if is_empty(variable):
            begin(variable, variable._initializer(variable._shape, dtype=variable._dtype))


_KINDS = ("Functional", "Layer", "Loss", "Metric", "Operation", "Optimizer", "Sequential")


@contextlib.contextmanager
def quick_saving() -> Iterator[None]:
    """While it is open, Keras knows at once which attributes of a layer are no part of its state.

    Keras 3.15 notes them under another name than it looks them up (`get_attr_skipset`), so it makes a new layer for
    each layer that it saves. Without it (another Keras), saving takes longer.
    """
    known: dict[str, Any] = {}
    state: Any = None
    with contextlib.suppress(ImportError, AttributeError, TypeError, ValueError):
        state = importlib.import_module("keras.src.backend.common.global_state")
        skipped = importlib.import_module("keras.src.saving.saving_lib").get_attr_skipset
        known = {f"saving_attr_skiplist_{kind}": skipped(kind) for kind in _KINDS}
    before = {name: state.get_global_attribute(name) for name in known}
    for name, attributes in known.items():
        state.set_global_attribute(name, attributes)
    try:
        yield
    finally:
        for name, attributes in before.items():
            state.set_global_attribute(name, attributes)


class Writer(Protocol):
    """What may write a number in the place of Keras."""

    def leave(self, group: h5py.Group, key: str, variable: Any, /) -> bool:
        """Make a dataset; False where Keras shall."""
        ...

    def fill(self, group: h5py.Group, key: str, /) -> None:
        """Be told that somebody is about to look at a dataset, or to drop it."""
        ...


@contextlib.contextmanager
def written_by(writer: Writer, file: Path) -> Iterator[None]:
    """While it is open, `writer` is asked first whenever Keras puts a number into this file of weights.

    Files that layers write for themselves are none of its business. Without it (another Keras), Keras writes all.
    """
    import_keras()
    try:
        library: Any = importlib.import_module("keras.src.saving.saving_lib")
        own = library.H5IOStore
    except (ImportError, AttributeError):
        yield
        return
    library.H5IOStore = _asking(own, writer, file)
    try:
        yield
    finally:
        library.H5IOStore = own


def _asking(own: Any, writer: Writer, file: Path) -> type[Any]:
    """Keras' class of files of weights, asking the writer."""

    class Asking(own):
        def __setitem__(self, key: str, value: Any) -> None:
            group = self._group()
            if group is None or not writer.leave(group, key, value):
                super().__setitem__(key, value)

        def __getitem__(self, key: str) -> Any:
            self._tell(key)
            return super().__getitem__(key)

        def __delitem__(self, key: str) -> None:
            self._tell(key)
            super().__delitem__(key)

        def _tell(self, key: str) -> None:
            group = self._group()
            if group is not None:
                writer.fill(group, key)

        def _group(self) -> h5py.Group | None:
            # It is made with the name of its layer; for what has no name, Keras makes it with the first number.
            group = getattr(self, "_h5_entry_group", None)
            return group if isinstance(group, h5py.Group) and Path(group.file.filename) == file else None

    return Asking


@contextlib.contextmanager
def deterministic(is_wanted: bool) -> Iterator[None]:
    """While it is open, TensorFlow uses deterministic operations alone, if that is wanted.

    TensorFlow documents how this is begun, and not how it is ended. Without that (another TensorFlow), it stays so
    until the process ends: slower, and without XLA.
    """
    if not is_wanted:
        yield
        return
    config = importlib.import_module("tensorflow.python.framework.config")
    was = config.is_op_determinism_enabled()
    config.enable_op_determinism()
    try:
        yield
    finally:
        if not was and hasattr(config, "disable_op_determinism"):
            config.disable_op_determinism()
