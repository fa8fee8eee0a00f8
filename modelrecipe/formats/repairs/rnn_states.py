"""Before Keras 3 a recurrent layer took its first states in one list with its input; now they are `initial_state`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe.formats.repair import Repair, Writer
from modelrecipe.graph import Call, Layer, update_layers, walk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelrecipe.checkpoint import Checkpoint

_CLASSES = ("RNN", "LSTM", "GRU", "SimpleRNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Bidirectional")
_NONE = ("constants", "initial_state")
"""What tf.keras noted with a call even where nothing was given; Keras 3 has no constants."""


def _mend(checkpoint: Checkpoint, writer: Writer) -> tuple[Checkpoint, Sequence[str]]:
    del writer
    places = [located.path for located in walk(checkpoint.model) if _takes_states(located.layer)]
    if not places:
        return checkpoint, ()
    return replace(checkpoint, model=update_layers(checkpoint.model, dict.fromkeys(places, _with_keyword))), places


def _takes_states(layer: Layer) -> bool:
    """Whether a call is given a list; constants of a cell, which Keras 3 has no place for, are left to its refusal."""
    has_constants = bool(layer.config.get("num_constants"))
    return layer.class_name in _CLASSES and not has_constants and any(_is_old(call) for call in layer.calls)


def _is_old(call: Call) -> bool:
    return _has_states(call) or any(name in call.kwargs and call.kwargs[name] is None for name in _NONE)


def _has_states(call: Call) -> bool:
    return len(call.args) == 1 and isinstance(call.args[0], list) and len(call.args[0]) > 1


def _with_keyword(layer: Layer) -> Layer:
    return replace(layer, calls=tuple(_call(call) if _is_old(call) else call for call in layer.calls))


def _call(call: Call) -> Call:
    kwargs = {name: value for name, value in call.kwargs.items() if name not in _NONE or value is not None}
    if not _has_states(call):
        return replace(call, kwargs=kwargs)
    first, *states = call.args[0]
    return replace(call, args=(first,), kwargs={**kwargs, "initial_state": states}, form="keras3")


REPAIR = Repair(
    name="rnn-states",
    cause="a recurrent layer is called with a list of its input and its first states",
    versions="Keras 2.0 to 2.15, tf.keras",
    cure="the states become the call's `initial_state`",
    document=_mend,
)
