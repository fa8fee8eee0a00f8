"""One small instance of every Keras layer: the arguments it cannot do without, and inputs that it accepts.

The catalog is learnt from these instances. Where a class is absent from the tables, it takes no arguments and the input
that its rank suggests. Knows Keras; nothing but the catalog writer and its tests needs it.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import field
from typing import TYPE_CHECKING, Any

import keras
from keras import layers
from keras.src.api_export import get_name_from_symbol

from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ABSTRACT = ("Layer", "Wrapper")
FOREIGN = ("FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper")
"""Layers around a model of another framework: what they hold, only that framework can tell."""


@frozen
class Sample:
    """How to make and call one instance.

    Args:
        arguments: makes the constructor arguments anew each time, because some are layers themselves.
        inputs: positional arguments of the call: a shape, or a list of shapes for a layer that takes a list.
        dtype: of every input.
    """

    arguments: Callable[[], dict[str, Any]] = field(default=dict)
    inputs: tuple[Any, ...]
    dtype: str = "float32"


VECTOR = (2, 6)
SERIES = (2, 8, 6)
IMAGE = (2, 12, 12, 6)
PHOTO = (2, 12, 12, 3)
VOLUME = (2, 6, 6, 6, 6)
FRAMES = {"1": (2, 3, 8, 6), "2": (2, 3, 8, 8, 6), "3": (2, 3, 5, 5, 5, 6)}

_RANKS = {"1D": SERIES, "2D": IMAGE, "3D": VOLUME, "1DTranspose": SERIES, "2DTranspose": IMAGE, "3DTranspose": VOLUME}


def _fixed(**arguments: Any) -> Callable[[], dict[str, Any]]:
    return lambda: dict(arguments)


_ARGUMENTS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "Activation": _fixed(activation="relu"),
    "AlphaDropout": _fixed(rate=0.2),
    "Bidirectional": lambda: {"layer": layers.LSTM(3)},
    "CategoryEncoding": _fixed(num_tokens=7),
    "CenterCrop": _fixed(height=6, width=6),
    "Discretization": _fixed(bin_boundaries=[0.0, 1.0]),
    "Dot": _fixed(axes=1),
    "Dropout": _fixed(rate=0.2),
    "EinsumDense": _fixed(equation="ab,bc->ac", output_shape=4, bias_axes="c"),
    "Embedding": _fixed(input_dim=7, output_dim=3),
    "GaussianDropout": _fixed(rate=0.2),
    "GaussianNoise": _fixed(stddev=0.2),
    "GroupNormalization": _fixed(groups=2),
    "GroupQueryAttention": _fixed(head_dim=4, num_query_heads=4, num_key_value_heads=2),
    "HashedCrossing": _fixed(num_bins=4),
    "Hashing": _fixed(num_bins=4),
    "InputLayer": _fixed(shape=(4,)),
    "IntegerLookup": _fixed(vocabulary=[1, 2]),
    "Lambda": lambda: {"function": keras.ops.square},
    "MaxNumBoundingBoxes": _fixed(max_number=3),
    "MultiHeadAttention": _fixed(num_heads=2, key_dim=3),
    "Permute": _fixed(dims=(2, 1)),
    "Pipeline": lambda: {"layers": [layers.Dense(3), layers.Dense(2)]},
    "RNN": lambda: {"cell": layers.LSTMCell(3)},
    "RandomCrop": _fixed(height=6, width=6),
    "RandomTranslation": _fixed(height_factor=0.1, width_factor=0.1),
    "RandomZoom": _fixed(height_factor=0.1),
    "RepeatVector": _fixed(n=3),
    "Rescaling": _fixed(scale=2.0),
    "Reshape": _fixed(target_shape=(6, 8)),
    "Resizing": _fixed(height=6, width=6),
    "ReversibleEmbedding": _fixed(input_dim=7, output_dim=3),
    "SpatialDropout1D": _fixed(rate=0.2),
    "SpatialDropout2D": _fixed(rate=0.2),
    "SpatialDropout3D": _fixed(rate=0.2),
    "SpectralNormalization": lambda: {"layer": layers.Dense(3)},
    "StackedRNNCells": lambda: {"cells": [layers.LSTMCell(3), layers.GRUCell(2)]},
    "StringLookup": _fixed(vocabulary=["a", "b"]),
    "TextVectorization": _fixed(vocabulary=["a", "b"]),
    "TimeDistributed": lambda: {"layer": layers.Dense(3)},
}
_BY_PATTERN: tuple[tuple[str, Callable[[], dict[str, Any]]], ...] = (
    (r"Adaptive\w+Pooling\dD", _fixed(output_size=2)),
    (r"AveragePooling\dD", _fixed(pool_size=2)),
    (r"DepthwiseConv\dD", _fixed(kernel_size=3)),
    (r"(Separable)?Conv(LSTM)?\dD(Transpose)?", _fixed(filters=4, kernel_size=3)),
    (r"Dense", _fixed(units=3)),
    (r"RandomPosterization", _fixed(factor=4)),
    (r"(SimpleRNN|LSTM|GRU)(Cell)?", _fixed(units=3)),
    (r"Random(Brightness|ColorDegeneration|Contrast|Hue|Rotation|Saturation|Sharpness)", _fixed(factor=0.1)),
)
_STATES: Mapping[str, Any] = {
    "SimpleRNNCell": [(2, 3)],
    "GRUCell": [(2, 3)],
    "LSTMCell": [(2, 3), (2, 3)],
    "StackedRNNCells": [[(2, 3), (2, 3)], [(2, 2)]],
}
_INPUTS: Mapping[str, tuple[Any, ...]] = {
    "AdditiveAttention": ([SERIES, SERIES],),
    "Attention": ([SERIES, SERIES],),
    "Bidirectional": (SERIES,),
    "CategoryEncoding": (VECTOR,),
    "Dot": ([VECTOR, VECTOR],),
    "Embedding": (VECTOR,),
    "GroupQueryAttention": (SERIES, SERIES),
    "HashedCrossing": ([(2, 1), (2, 1)],),
    "InputLayer": (),
    "MelSpectrogram": ((2, 4000),),
    "MultiHeadAttention": (SERIES, SERIES),
    "ReversibleEmbedding": (VECTOR,),
    "STFTSpectrogram": ((2, 4000, 1),),
    "RepeatVector": (VECTOR,),
    "TextVectorization": ((2, 1),),
    **{name: (VECTOR, states) for name, states in _STATES.items()},
    **dict.fromkeys(("Permute", "Reshape", "SimpleRNN", "LSTM", "GRU", "RNN", "TimeDistributed"), (SERIES,)),
    **{name: ([VECTOR, VECTOR],) for name in ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply")},
    "Subtract": ([VECTOR, VECTOR],),
}
_DTYPES: Mapping[str, str] = {
    "CategoryEncoding": "int64",
    "Embedding": "int32",
    "HashedCrossing": "int64",
    "Hashing": "int64",
    "IntegerLookup": "int64",
    "ReversibleEmbedding": "int32",
    "StringLookup": "string",
    "TextVectorization": "string",
}


def layer_classes() -> dict[str, type[Any]]:
    """Every public layer class under its public name, without its further names and the two abstract ones."""
    found = {
        name: value
        for name, value in vars(layers).items()
        if inspect.isclass(value) and issubclass(value, keras.Layer) and name not in ABSTRACT
    }
    proper = {public_name(value) for value in found.values()}
    return {name: found[name] for name in sorted(found) if name in proper}


def layer_aliases() -> dict[str, str]:
    """Further public names of the same classes: `Convolution2D` for `Conv2D`."""
    return {
        name: public_name(value)
        for name, value in sorted(vars(layers).items())
        if inspect.isclass(value) and issubclass(value, keras.Layer) and public_name(value) != name
    }


def public_name(layer_class: type[Any]) -> str:
    """The name under which a model file mentions the class, which is not always the Python class's own."""
    return str(get_name_from_symbol(layer_class)).rpartition(".")[2]


def sample(name: str) -> Sample:
    """The sample of the layer class with that public name."""
    pattern = next((make for regex, make in _BY_PATTERN if re.fullmatch(regex, name)), dict)
    arguments = _ARGUMENTS.get(name, pattern)
    return Sample(arguments=arguments, inputs=_INPUTS.get(name) or _input_of(name), dtype=_DTYPES.get(name, "float32"))


def _input_of(name: str) -> tuple[Any, ...]:
    if name == "InputLayer":
        return ()
    if name.startswith("ConvLSTM"):
        return (FRAMES[name[-2]],)
    suffix = re.search(r"\dD(Transpose)?$", name)
    if suffix:
        return (_RANKS[suffix.group()],)
    layer_class = getattr(layers, name)
    is_augmentation = "preprocessing.image_preprocessing" in layer_class.__module__
    return (PHOTO,) if is_augmentation else (VECTOR,)
