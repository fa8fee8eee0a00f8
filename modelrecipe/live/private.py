"""The one place for what Keras does not document. Each use is tried first and has a public way to fall back on."""

from __future__ import annotations

import contextlib
import importlib

from modelrecipe.live.session import import_keras


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
