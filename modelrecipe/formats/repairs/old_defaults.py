"""Arguments that an older Keras did not have or write, where the default of Keras 3 is another computation."""

from __future__ import annotations

from modelrecipe.formats.repair import Json, Repair, Writer, with_config

_GRU = ("GRU", "GRUCell")
_GATED = (*_GRU, "LSTM", "LSTMCell")
_CONVOLUTIONAL = ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")


def _mend(data: Json, writer: Writer) -> Json:
    config, name = data["config"], data["class_name"]
    if not isinstance(config, dict) or not writer.is_before(3) or name not in (*_GATED, *_CONVOLUTIONAL):
        return data
    missing: Json = {}
    if name in _GRU and "reset_after" not in config:
        # The reset gate was applied before the matrix product until Keras 2.1.3 let one choose.
        missing["reset_after"] = False
    if "recurrent_activation" not in config and (name in _CONVOLUTIONAL or writer.is_before(2, 3)):
        missing["recurrent_activation"] = "hard_sigmoid"
    return with_config(data, **missing) if missing else data


REPAIR = Repair(
    name="old-defaults",
    cause="a recurrent layer does not name its `reset_after` or `recurrent_activation`, whose defaults have changed",
    versions="Keras 2.0 to 2.2 (`reset_after`: to 2.1.2)",
    cure="it gets the value that was the default then",
    layer=_mend,
)
