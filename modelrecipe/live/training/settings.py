"""Settings of live layers: what the document says anew is given to a layer that was made with other arguments.

Keras reads most arguments when a layer is made and some when it is built, and keeps them wherever its author liked: in
the layer, in its cell, in a layer inside, in a variable. So two layers are made and built, one as it was and one as it
is to be, and what differs between these two is carried over.
"""

from __future__ import annotations

import types
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeGuard

from modelrecipe.graph import update_layers, walk
from modelrecipe.live.session import import_keras, seeded
from modelrecipe.live.training.penalties import set_regularizer
from modelrecipe.live.training.precision import activity_regularizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.graph import Layer

_ASLEEP = {
    "Dropout": "rate",
    "SpatialDropout1D": "rate",
    "SpatialDropout2D": "rate",
    "SpatialDropout3D": "rate",
    "AlphaDropout": "rate",
    "GaussianDropout": "rate",
    "GaussianNoise": "stddev",
    "Attention": "dropout",
    "AdditiveAttention": "dropout",
}
"""Classes that make no random generator, and can make none later, when this argument is 0."""
_PLAIN = (bool, int, float, str, types.NoneType)


def give_settings(live: Any, before: Layer, after: Layer) -> None:
    """Bring a live layer to other arguments; its flags and its numbers stay.

    Args:
        live: a built layer.
        before: the layer as it is.
        after: the layer as it is to be, with the same variables.
    """
    if live is None or after.graph is not None or before.config == after.config:
        return
    flag = {"trainable": live.trainable} if hasattr(live, "trainable") else {}
    with seeded(0):
        old, new = (_made(live, {**item.config, **flag}) for item in (before, after))
    _carry(live, old, new)


def _made(live: Any, config: Mapping[str, Any]) -> Any:
    made = type(live).from_config({**config, "name": live.name})
    shapes = live.get_build_config() if live.built else None
    if shapes:
        made.build_from_config(shapes)
    return made


def _carry(live: Any, old: Any, new: Any) -> None:
    keras = import_keras()
    for name, value in list(vars(new).items()):
        own, was = vars(live).get(name), vars(old).get(name)
        if isinstance(value, keras.Layer):
            if isinstance(own, keras.Layer):
                _carry(own, was, value)
        elif isinstance(value, keras.Variable):
            _carry_to_variable(own, was, value)
        elif isinstance(value, list | tuple) and any(isinstance(item, keras.Layer) for item in value):
            for items in zip(own or (), was or (), value, strict=False):
                _carry(*items)
        elif _differ(was, value):
            setattr(live, name, activity_regularizer(live, value) if name == "activity_regularizer" else value)


def _carry_to_variable(live: Any, old: Any, new: Any) -> None:
    """The regularizer of a layer is read when its variables are made; afterwards, theirs counts."""
    if live is None or old is None:
        return
    if _differ(old.regularizer, new.regularizer):
        set_regularizer(live, new.regularizer)
    if _differ(old.constraint, new.constraint):
        live.constraint = new.constraint


def _differ(one: Any, other: Any) -> bool:
    """Whether two values are plain to compare, and are not the same."""
    if isinstance(one, _PLAIN) and isinstance(other, _PLAIN):
        return one != other or isinstance(one, bool) is not isinstance(other, bool)
    if isinstance(other, list | tuple) and isinstance(one, list | tuple):
        is_plain = all(isinstance(item, _PLAIN) for item in (*one, *other))
        return is_plain and list(one) != list(other)
    if isinstance(one, types.FunctionType) and isinstance(other, types.FunctionType):
        return one.__qualname__ != other.__qualname__
    if _is_object(one) and _is_object(other):
        return type(one) is not type(other) or bool(one.get_config() != other.get_config())
    kinds = {isinstance(item, types.FunctionType) or _is_object(item) for item in (one, other) if item is not None}
    return kinds == {True}


def _is_object(value: Any) -> TypeGuard[Any]:
    keras = import_keras()
    kinds = (keras.regularizers.Regularizer, keras.constraints.Constraint, keras.initializers.Initializer, keras.Layer)
    return isinstance(value, kinds)


def awake(document: Checkpoint) -> Checkpoint:
    """The document with random layers that do nothing made to do something, so that Keras gives them a generator.

    What they were is to be given back by `put_to_sleep`.
    """
    change = {item.path: _waken for item in walk(document.model) if _sleeps(item.layer)}
    return replace(document, model=update_layers(document.model, change))


def put_to_sleep(live: Mapping[str, Any], document: Checkpoint) -> None:
    """Let what `awake` woke do nothing, as the document says.

    Args:
        live: the live layers by key.
        document: the model as it is meant.
    """
    for item in walk(document.model):
        if _sleeps(item.layer) and item.layer.key in live:
            give_settings(live[item.layer.key], _waken(item.layer), item.layer)


def _sleeps(layer: Layer) -> bool:
    argument = _ASLEEP.get(layer.kind_name)
    return argument is not None and not layer.is_operation and layer.config.get(argument, 0) == 0


def _waken(layer: Layer) -> Layer:
    return replace(layer, config={**layer.config, _ASLEEP[layer.kind_name]: 0.5})
