"""The one place for what Keras does not document. Each use is tried first and has a public way to fall back on."""

from __future__ import annotations

import collections
import contextlib
import importlib
from typing import TYPE_CHECKING, Any

from modelrecipe.live.session import import_keras

if TYPE_CHECKING:
    from collections.abc import Iterator


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
