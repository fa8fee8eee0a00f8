"""How many numbers an optimizer keeps for each number that it trains.

Source: `build` of every optimizer in `keras/src/optimizers`, Keras 3.15. Knows neither recipes nor Keras.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelrecipe.catalog.training import class_named

_ALWAYS = {
    "Adadelta": 2,
    "Adafactor": 1,
    "Adagrad": 1,
    "Adam": 2,
    "AdamW": 2,
    "Adamax": 2,
    "Ftrl": 2,
    "Lamb": 2,
    "Lion": 1,
    "Muon": 1,
    "Nadam": 2,
    "RMSprop": 1,
    "SGD": 0,
    "ScheduleFreeAdamW": 2,
}
"""Of large kernels; Adafactor keeps rows and columns beside, and Muon one more for whatever is no matrix."""
_WHERE_ASKED = {
    "amsgrad": ("Adam", "AdamW"),
    "centered": ("RMSprop",),
    "momentum": ("RMSprop", "SGD"),
    "use_ema": tuple(_ALWAYS),
    "gradient_accumulation_steps": tuple(_ALWAYS),
}
"""One more, where this argument is neither zero nor missing."""
_INNER = ("inner_optimizer", "default_optimizer", "optimizer_map")
"""Where an optimizer that wraps another one keeps it; of several, the one for most variables."""


def state_copies(optimizer: object) -> int:
    """How many numbers beside each that trains; 0 for an optimizer that is not Keras' own.

    Args:
        optimizer: its name, or as Keras serialises it.
    """
    serialised = optimizer if isinstance(optimizer, Mapping) else {"class_name": optimizer}
    config: Any = serialised.get("config")
    config = config if isinstance(config, Mapping) else {}
    for key in _INNER:
        if key in config:
            return state_copies(config[key])
    name = class_named("optimizer", str(serialised.get("class_name")))
    if name not in _ALWAYS:
        return 0
    return _ALWAYS[name] + sum(name in owners and bool(config.get(key)) for key, owners in _WHERE_ASKED.items())
