"""Which arguments of a class are settings, and which weights its regularizers are for: found by making and looking.

A setting changes neither variables, nor the shapes that flow, nor masks, whatever its value. Every argument is given
other values, and what comes of each instance is compared. Knows Keras; only the catalog writer needs it.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import keras
from keras.src import backend

from modelrecipe.live.catalog_arguments import NAMED_OBJECTS
from modelrecipe.live.catalog_probe import REFUSALS, make, saved_variables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelrecipe.live.catalog_arguments import Facts
    from modelrecipe.live.catalog_samples import Sample

# Flags, types, layouts, and what has a step of its own, whether or not a sample shows a difference.
_NEVER = (
    "name",
    "dtype",
    "trainable",
    "autocast",
    "data_format",
    "lora_rank",
    "lora_alpha",
    "quantization_config",
    "weights",
    "vocabulary_size",
    "reverse_dtype",
    "bounding_box_format",
    "output_padding",
    "attention_axes",
    "stateful",
    "mask_zero",
    "max_number",
)
# The values of these classes stand in the graph too, where Keras computed a mask, or belong to a vocabulary.
_NO_SETTINGS = ("Hashing", "HashedCrossing", "IntegerLookup", "Masking", "StringLookup", "TextVectorization")
_NUMBERS = (-1000.0, -1.0, -1e-6, 0.0, 1e-6, 0.3, 1 - 1e-6, 1.0, 1 + 1e-6, 2.0, 1000.0)
_INTEGERS = (-1, 0, 1, 2, 3, 5)
_WORDS = {"initializer": ("zeros", "ones"), "regularizer": ("L2",), "constraint": ("NonNeg", "UnitNorm")}
_SPELT = {
    "interpolation": ("bicubic", "bilinear", "lanczos3", "lanczos5", "nearest"),
    "fill_mode": ("constant", "nearest", "reflect", "wrap"),
}


def learn_settings(
    name: str, layer_class: type[Any], sample: Sample, arguments: Sequence[Facts]
) -> dict[str, dict[str, Any]]:
    """The settings of a class, each with the bounds of its numbers or the words that it may or may not be."""
    if name in _NO_SETTINGS or not sample.inputs:
        return {}
    uneven = replace(sample, inputs=tuple(map(_uneven, sample.inputs)))
    sample = sample if _instance(layer_class, uneven, {}) is None else uneven
    start = make(layer_class, sample)
    found: dict[str, dict[str, Any]] = {}
    for argument in arguments:
        key = argument["name"]
        values = [] if key in _NEVER else _values(argument)
        made = [(value, _instance(layer_class, sample, {key: value})) for value in values]
        taken = [value for value, layer in made if layer is not None]
        others = [layer for value, layer in made if layer is not None and value != start.get_config().get(key)]
        # What Keras does not write into a file is lost with the next save.
        if others and all(key in layer.get_config() and _effect(layer) == _effect(start) for layer in others):
            found[key] = _bounds(values, taken) | _words(argument, taken)
    return found


def _uneven(shape: Any) -> Any:
    """A shape whose inner sizes are odd and differ, so that windows and borders show."""
    if isinstance(shape, list):
        return [_uneven(item) for item in shape]
    inner = [size + 1 - size % 2 + 2 * number for number, size in enumerate(shape[1:-1])]
    return (shape[0], *inner, shape[-1])


def _instance(layer_class: type[Any], sample: Sample, changed: dict[str, Any]) -> Any:
    """A built instance; None where Keras refuses the arguments."""
    try:
        return make(layer_class, sample, changed)
    except REFUSALS:
        return None


def _values(argument: Facts) -> list[Any]:
    """Values that are worth trying; none where nothing is known of an argument."""
    key, kinds, choices = argument["name"], argument.get("kind", []), argument.get("choices")
    if key in _SPELT:
        return list(_SPELT[key])
    if isinstance(choices, str):
        flat = [word for word in ("relu", "tanh", "softmax") if word not in _reshaping()]
        return list(_WORDS.get(choices[1:], flat if choices == "@activation" else ()))
    default = argument.get("default")
    values: list[Any] = list(choices or ())
    values += [True, False] if "boolean" in kinds else []
    values += _NUMBERS if "number" in kinds else _INTEGERS if "integer" in kinds else []
    if isinstance(default, list) and default and all(isinstance(item, int | float) for item in default):
        values.append([item / 2 for item in default])
    return values


def _bounds(values: Sequence[Any], taken: Sequence[Any]) -> dict[str, Any]:
    """The range of the numbers that Keras takes, where it refuses others."""
    tried = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    good = [value for value in tried if value in taken]
    if not good or len(good) == len(tried) or tried[tried.index(good[0]) : tried.index(good[-1]) + 1] != good:
        return {}
    bounds: dict[str, Any] = {}
    for end, edge, word in ((good[0], 0, "inimum"), (good[-1], -1, "aximum")):
        if end == tried[edge]:
            continue
        # The numbers beside 0 and 1 tell whether these belong to the range.
        is_inside = end == round(end)
        bounds["m" + word if is_inside else "exclusiveM" + word] = end if is_inside else round(end)
    return bounds


def _words(argument: Facts, taken: Sequence[Any]) -> dict[str, Any]:
    if argument.get("choices") == "@activation":
        return {"not": _reshaping()}
    if argument["name"] in _SPELT:
        return {"enum": list(taken)}
    return {}


@functools.cache
def _reshaping() -> list[str]:
    """Activations that give another shape than they take, or cannot stand alone."""
    return [name for name in NAMED_OBJECTS["activation"] if _shape_after(name) != (2, 6)]


def _shape_after(name: str) -> tuple[int, ...] | None:
    function = keras.activations.get(name)
    try:
        output: Any = backend.compute_output_spec(function, keras.KerasTensor((2, 6)))
        return tuple(output.shape)
    except TypeError:  # one that needs further arguments
        return None


def _effect(layer: Any) -> Any:
    """The variables, outputs and masks of an instance, in a form that can be compared."""
    variables = [
        (variable.path, tuple(variable.shape), str(variable.dtype), variable.trainable)
        for variable in layer.variables
        if "seed_generator" not in variable.path
    ]
    outputs = [
        (tuple(tensor.shape), str(tensor.dtype), getattr(tensor, "_keras_mask", None) is not None)
        for tensor in keras.tree.flatten(layer.output)
    ]
    return variables, outputs


def learn_regularizers(layer_class: type[Any], sample: Sample, arguments: Sequence[Facts]) -> dict[str, list[str]]:
    """For each argument that is a regularizer of weights: the names of the variables that it is for."""
    found: dict[str, list[str]] = {}
    for argument in arguments:
        key = argument["name"]
        given = {key: keras.regularizers.L2(0.5)}
        is_of_weights = key.endswith("_regularizer") and key != "activity_regularizer"
        layer = _instance(layer_class, sample, given) if is_of_weights else None
        if layer is None:
            continue
        numbers = [n for n, variable in enumerate(layer.variables, start=1) if variable.regularizer is not None]
        names = [item.name for item in saved_variables(layer) if item.number in numbers]
        if names:
            found[key] = names
    return found
