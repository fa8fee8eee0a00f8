"""The data room: what `data:` says, what is wrong with it before TensorFlow starts, and batches that can be resumed.

Each name is fetched from its room when it is first used: steps need the words alone, not NumPy, and only what opens
a feed needs TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelrecipe.data.feed import Feed, Feeds, open_feed
    from modelrecipe.data.fit import Port, check_against
    from modelrecipe.data.kinds import Feature, ImageFolder, KerasDataset, Records, TensorSpec, TfdsDataset
    from modelrecipe.data.spec import DataSource, DataSpec
    from modelrecipe.data.summary import DataSummary, TensorSummary, describe, require_permission

_ROOMS = {
    "summary": ("DataSummary", "TensorSummary", "describe", "require_permission"),
    "feed": ("Feed", "Feeds", "open_feed"),
    "fit": ("Port", "check_against"),
    "kinds": ("Feature", "ImageFolder", "KerasDataset", "Records", "TensorSpec", "TfdsDataset"),
    "spec": ("DataSource", "DataSpec"),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "DataSource",
    "DataSpec",
    "DataSummary",
    "Feature",
    "Feed",
    "Feeds",
    "ImageFolder",
    "KerasDataset",
    "Port",
    "Records",
    "TensorSpec",
    "TensorSummary",
    "TfdsDataset",
    "check_against",
    "describe",
    "open_feed",
    "require_permission",
]


def __getattr__(name: str) -> Any:
    """Fetch a name from its room."""
    if name not in _HOMES:
        raise AttributeError(f"module 'modelrecipe.data' has no attribute '{name}'")
    return getattr(importlib.import_module(f"modelrecipe.data.{_HOMES[name]}"), name)
