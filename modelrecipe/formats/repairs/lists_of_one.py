"""Models inside wrappers, and those of `.keras` files, list their only input and output; Keras 3 then expects lists.

Keras 2 took and gave the tensor itself, and so do the layers around such a model. What the document knows as a graph is
treated when it is built (`old_calls.plain_ends`); a model inside a wrapper is built by Keras.
"""

from __future__ import annotations

from typing import Any

from modelrecipe.formats.repair import Json, Repair, Writer, with_config

_ENDS = ("input_layers", "output_layers")


def _mend(data: Json, writer: Writer) -> Json:
    del writer
    config = data["config"]
    if "module" not in data or not isinstance(config, dict) or not isinstance(config.get("layers"), list):
        return data
    changed = {key: config[key][0] for key in _ENDS if _is_list_of_one(config.get(key))}
    return with_config(data, **changed) if changed else data


def _is_list_of_one(ends: Any) -> bool:
    return isinstance(ends, list) and len(ends) == 1 and isinstance(ends[0], list) and isinstance(ends[0][0], str)


REPAIR = Repair(
    name="lists-of-one",
    cause="a model lists its only input or output, and Keras 3 makes a model of lists from that",
    versions="Keras 2.0 to 2.15 inside wrappers; `.keras` files of Keras 2.12 to 2.15",
    cure="the tensor stands there itself",
    layer=_mend,
)
