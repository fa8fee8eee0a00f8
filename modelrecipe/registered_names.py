"""What a recipe's imports registered with Keras, looked up as files name it: with its package, or bare as old ones do.

Keras 3 registers `package>Class` and finds nothing else; Keras 1 and 2 wrote `Class` for what was not registered then.
Imports no Keras: before it is there, nothing is registered.
"""

from __future__ import annotations

import sys
from typing import Any

from modelrecipe import catalog

_OF_LAMBDAS = ("module", "function_type", "output_shape_module", "output_shape_type")


def registered(name: str) -> Any | None:
    """What is registered under a class's name, `package>Class` or, as old files have it, without the package."""
    if "keras" not in sys.modules:
        return None
    saving = sys.modules["keras"].saving
    full = _full_name(name)
    return saving.get_registered_object(name if full is None else full)


def with_full_names(value: Any) -> Any:
    """A serialised layer in which every class and function that is registered, at any depth, has its full name.

    What Keras finds by itself, and what nobody registered, stays as it is.
    """
    if isinstance(value, list):
        return [with_full_names(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _function(key, item) or with_full_names(item) for key, item in value.items()}
    if value.get("class_name") == "Lambda" and isinstance(value.get("config"), dict):
        was, now = value["config"].get("function"), found["config"].get("function")
        if isinstance(was, str) and now != was:
            found["config"] = {key: item for key, item in found["config"].items() if key not in _OF_LAMBDAS}
    name = value.get("config") if value.get("class_name") == "function" else value.get("class_name")
    if isinstance(name, str) and value.get("registered_name") in (None, name, "function"):
        full = _full_name(name)
        return found if full is None else {"module": None, **found, "registered_name": full}
    return found


def _function(key: Any, value: Any) -> Any | None:
    """An activation, or the function of a Lambda, that is named bare."""
    if not isinstance(value, str) or not (str(key).endswith("activation") or key == "function"):
        return None
    full = _full_name(value)
    if full is None:
        return None
    return {"module": None, "class_name": "function", "config": value, "registered_name": full}


def _full_name(name: str) -> str | None:
    """The name under which the only class or function that is called so is registered; Keras' own come first."""
    if "keras" not in sys.modules or ">" in name or catalog.find(name) is not None:
        return None
    objects = sys.modules["keras"].saving.get_custom_objects()
    fitting = [name] if name in objects else [full for full in objects if full.rpartition(">")[2] == name]
    return fitting[0] if len(fitting) == 1 else None
