"""Classes of Keras 2 that Keras 3 has under another name."""

from __future__ import annotations

from modelrecipe.formats.repair import Json, Repair, Writer, with_config

_RENAMED = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "UnifiedLSTM": "LSTM",
    "UnifiedGRU": "GRU",
}
# What the library for GPUs computed, which their configurations do not say.
_CUDNN: dict[str, tuple[str, Json]] = {
    "CuDNNLSTM": ("LSTM", {}),
    "CuDNNGRU": ("GRU", {"reset_after": True}),
}
_OF_CUDNN: Json = {"activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True}


def _mend(data: Json, writer: Writer) -> Json:
    del writer
    name, config = data["class_name"], data["config"]
    if not isinstance(config, dict) or ">" in str(data.get("registered_name") or ""):
        return data
    if name in _RENAMED:
        return _called(data, _RENAMED[name])
    if name in _CUDNN:
        known, arguments = _CUDNN[name]
        return _called(with_config(data, **_OF_CUDNN, **arguments), known)
    return data


def _called(data: Json, name: str) -> Json:
    return {
        **data,
        "class_name": name,
        **({"module": "keras.layers", "registered_name": None} if "module" in data else {}),
    }


REPAIR = Repair(
    name="renamed-classes",
    cause="a layer has a class that Keras 3 does not have, as `CuDNNLSTM` or `BatchNormalizationV1`",
    versions="Keras 2.0 to 2.15, tf.keras",
    cure="the class of Keras 3 that computes the same",
    layer=_mend,
)
