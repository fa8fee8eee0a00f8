"""Theano pads a convolution evenly on both sides, where TensorFlow puts what is odd at the end.

With `same` they differ as soon as the window is even or the stride is not one: the shapes agree, the numbers do not.
With `e` places in the window Theano puts `e // 2` in front and, because Keras cut what came out too long,
`(e - 1) // 2` behind. Source: `_preprocess_border_mode`, `_postprocess_conv2d_output` and `pool2d` in
`keras/backend/theano_backend.py` of Keras 1.2.2, the same in 2.2.
"""

from __future__ import annotations

from typing import Any

from modelrecipe.errors import FileError
from modelrecipe.formats.repair import Json, Repair, Writer, is_layer, name_of, with_config

_CONVOLUTIONS = {"Conv1D": 1, "Conv2D": 2, "Conv3D": 3}
_OTHERS = {
    **{f"{kind}Pooling{rank}D": rank for kind in ("Max", "Average") for rank in (1, 2, 3)},
    "Conv2DTranspose": 2,
    "SeparableConv1D": 1,
    "SeparableConv2D": 2,
    "DepthwiseConv2D": 2,
    "ConvLSTM2D": 2,
}


def _mend(data: Json, writer: Writer) -> Json:
    """A model, with a layer of zeros before every convolution that needs one; others cannot be helped."""
    config = data["config"]
    if writer.backend != "theano" or not isinstance(config, dict):
        return data
    inner = config.get("layer")
    if isinstance(inner, dict) and is_layer(inner) and _differs(inner):
        raise _refused(inner)
    layers = config.get("layers")
    if not isinstance(layers, list) or not any(_differs(layer) for layer in layers):
        return data
    taken = {name_of(layer) for layer in layers}
    is_functional = "input_layers" in config
    return with_config(data, layers=[new for layer in layers for new in _padded(layer, taken, is_functional)])


def _numbers(value: Any, rank: int) -> list[int]:
    return [value] * rank if isinstance(value, int) else list(value)


def _window(data: Json, rank: int) -> list[tuple[int, int]]:
    """For each axis how many places the window spans, and the stride."""
    config = data["config"]
    sizes = _numbers(config.get("kernel_size") or config.get("pool_size") or 2, rank)
    rates = _numbers(config.get("dilation_rate") or 1, rank)
    strides = _numbers(config.get("strides") or (sizes if "pool_size" in config else 1), rank)
    return [((size - 1) * rate + 1, stride) for size, rate, stride in zip(sizes, rates, strides, strict=True)]


def _differs(data: Json) -> bool:
    config, class_name = data["config"], data["class_name"]
    rank = _CONVOLUTIONS.get(class_name) or _OTHERS.get(class_name)
    if rank is None or not isinstance(config, dict) or config.get("padding") != "same":
        return False
    allowed = (1, 3) if "Pooling" in class_name else range(1, 1 << 16, 2)
    return any(size not in allowed or (stride > 1) for size, stride in _window(data, rank) if (size, stride) != (1, 1))


def _padded(data: Json, taken: set[str], is_functional: bool) -> list[Json]:
    if not _differs(data):
        return [data]
    rank = _CONVOLUTIONS.get(data["class_name"])
    if rank is None:
        raise _refused(data)
    name = f"{name_of(data)}_padding"
    while name in taken:
        name += "_1"
    taken.add(name)
    sides = [[size // 2, (size - 1) // 2] for size, _ in _window(data, rank)]
    config: Json = {"name": name, "trainable": True, "padding": sides[0] if rank == 1 else sides}
    order = data["config"].get("data_format")
    config |= {"data_format": order} if order else {}
    source: Json = {"class_name": f"ZeroPadding{rank}D", "config": config}
    behind = with_config(data, padding="valid")
    if is_functional:
        nodes = data.get("inbound_nodes") or []
        source |= {"name": name, "inbound_nodes": nodes}
        behind = {**behind, "inbound_nodes": [[[name, number, 0, {}]] for number in range(len(nodes))]}
    return [source, behind]


def _refused(data: Json) -> FileError:
    return FileError(
        f"layer '{name_of(data)}' ({data['class_name']}) was computed by Theano with padding 'same', which puts its "
        "window elsewhere than Keras 3",
        hint="replace it by a layer of Keras 3",
    )


REPAIR = Repair(
    name="theano-borders",
    cause="a convolution with padding `same` was computed by Theano, which pads evenly on both sides",
    versions="Keras 1.0 to 2.3 with Theano",
    cure="a ZeroPadding layer goes in front and the convolution gets padding `valid`; pooling of this kind is refused",
    layer=_mend,
)
