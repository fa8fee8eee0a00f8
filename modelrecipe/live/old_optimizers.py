"""Optimizers as Keras 1 and 2 configured them, in the words of Keras 3.

`decay` divided the rate by `1 + decay * iterations` (keras 2.2, `optimizers.py`), which `InverseTimeDecay` does with
steps of one. Nadam's `schedule_decay` is left for Keras to refuse: its momentum rises as if that were 1 (`nadam.py`),
and the default was 0.004.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_GONE = ("decay", "jit_compile", "is_legacy_optimizer")


def modern_optimizer(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The serialised optimizer as Keras 3 takes it; what has another meaning there is left for Keras to refuse.

    Args:
        stored: `class_name` and `config`, as an old file has them.
    """
    config = dict(stored["config"])
    if "lr" in config:
        config["learning_rate"] = config.pop("lr")
    rate, decay = config.get("learning_rate"), config.get("decay")
    if decay and isinstance(rate, int | float):
        config["learning_rate"] = {
            "module": "keras.optimizers.schedules",
            "class_name": "InverseTimeDecay",
            "config": {"initial_learning_rate": rate, "decay_steps": 1, "decay_rate": decay},
            "registered_name": None,
        }
    kept = {
        key: value for key, value in config.items() if key not in _GONE and not (key == "epsilon" and value is None)
    }
    return {**stored, "config": kept}
