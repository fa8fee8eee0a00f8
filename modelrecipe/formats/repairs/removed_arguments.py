"""Arguments that a layer's class no longer takes, with values that changed nothing."""

from __future__ import annotations

from typing import Any

from modelrecipe import catalog
from modelrecipe.formats.repair import Json, Repair, Writer, with_config

_ANY = object()
_NEVER_USED = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")
_OF_DEPTHWISE = {"groups": 1, "filters": None, **dict.fromkeys(_NEVER_USED, _ANY)}
_OF_SEPARABLE = {"groups": 1, **dict.fromkeys(_NEVER_USED, _ANY)}
_OF_RECURRENT = {"time_major": False, "num_constants": None}
_OF_SPATIAL_DROPOUT = {"noise_shape": _ANY, "trainable": _ANY}
_OF_RANDOM = {"rng_type": _ANY}
_OF_NORMALIZATION = {
    "fused": _ANY,
    "renorm": False,
    "renorm_clipping": None,
    "renorm_momentum": _ANY,
    "virtual_batch_size": None,
    "adjustment": None,
}
_OF_ATTENTION = {
    **dict.fromkeys(("query_shape", "key_shape", "value_shape"), _ANY),
    "softmax_robust_masking": False,
}
_OF_ALL = {"dynamic": False}
_GONE: dict[str, dict[str, Any]] = {
    "BatchNormalization": _OF_NORMALIZATION,
    "CategoryEncoding": {"max_tokens": None},
    "Discretization": {"trainable": _ANY, "bins": None},
    "Embedding": {"sparse": False},
    "MultiHeadAttention": _OF_ATTENTION,
    "Softmax": {"robust_masking": False},
    **{key: {"causal": False} for key in ("Attention", "AdditiveAttention")},
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _OF_DEPTHWISE),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _OF_SEPARABLE),
    **{key: {"groups": 1} for key in ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")},
    **dict.fromkeys(("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"), _OF_SPATIAL_DROPOUT),
    **dict.fromkeys(
        ("RNN", "SimpleRNN", "LSTM", "GRU", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Bidirectional"), _OF_RECURRENT
    ),
    **dict.fromkeys(("RandomBrightness", "RandomContrast", "RandomCrop", "RandomFlip"), _OF_RANDOM),
    **dict.fromkeys(("RandomRotation", "RandomTranslation", "RandomZoom"), _OF_RANDOM),
    **dict.fromkeys(("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise"), _OF_RANDOM),
}


def _mend(data: Json, writer: Writer) -> Json:
    del writer
    config = data["config"]
    if not isinstance(config, dict):
        return data
    gone, entry = {**_OF_ALL, **_GONE.get(data["class_name"], {})}, catalog.find(data["class_name"])
    drop = [
        key
        for key, neutral in gone.items()
        if key in config and (neutral is _ANY or config[key] == neutral) and not (entry and entry.argument(key))
    ]
    return with_config(data, drop=drop) if drop else data


REPAIR = Repair(
    name="removed-arguments",
    cause="a layer names arguments that its class has no longer, at values that mean nothing",
    versions="tf.keras 1.13 to 2.15",
    cure="they are dropped; at any other value the file is refused",
    layer=_mend,
)
