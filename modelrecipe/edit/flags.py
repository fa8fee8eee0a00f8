"""Trainable flags: which layers carry one, how each gets the state that a recipe wants, and what Keras would lose.

A flag is set on leaf layers: they are what Keras goes by, and it ignores a flag of a model that is raised already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe import catalog
from modelrecipe.edit.surgery import leaves_of
from modelrecipe.errors import EditError
from modelrecipe.graph import Layer, Located, update_layers
from modelrecipe.keras_config import iter_configs
from modelrecipe.step import Bench, Change

if TYPE_CHECKING:
    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.weights import Tensor

# They make layers inside themselves when they are built and do not hand their flag on, so that a loaded model trains
# what was frozen. A test compares the list with the installed Keras.
_FORGETFUL = ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "GroupedQueryAttention", "MultiHeadAttention")


def change_flags(
    checkpoint: Checkpoint,
    bench: Bench,
    chosen: Sequence[Located],
    *,
    wanted: bool,
    leave: Callable[[Layer], bool] | None = None,
) -> Checkpoint:
    """Freeze or unfreeze the leaves of a selection and record what changed.

    Args:
        checkpoint: the model.
        bench: takes the record.
        chosen: the selection.
        wanted: whether the layers shall train.
        leave: layers that are left as they are all the same.

    Raises:
        EditError: the flag of a layer would not survive saving.
    """
    leaves = leaves_of(chosen)
    flags: dict[str, bool] = {}
    places: dict[str, list[str]] = {}
    for located in checkpoint.layers():
        places.setdefault(located.layer.key, []).append(located.path)
    for path, located in leaves.items():
        layer = located.layer
        tensors = checkpoint.weights.of(layer.key)
        is_empty = not carries_flag(layer) and all(tensor.is_random_state for tensor in tensors)
        if layer.is_input or layer.is_operation or is_empty or (leave is not None and leave(layer)):
            continue
        _refuse_lost_flag(located, path, tensors, wanted=wanted)
        flags[path] = wanted
        if located.is_effectively_trainable is not wanted or _flagged(layer.config, wanted) != layer.config:
            what = "trains again" if wanted else "frozen"
            elsewhere = [other for other in places[layer.key] if other not in leaves]
            what += f", and so at '{elsewhere[0]}', which is the same layer" if elsewhere else ""
            bench.record(Change(kind="~", layer=path, key=layer.key, what=what, flag=True))
    _refuse_torn(checkpoint, flags)
    return set_flags(checkpoint, flags)


def _refuse_torn(checkpoint: Checkpoint, flags: Mapping[str, bool]) -> None:
    """Refuse to set one flag of a layer that stands in the graph and in a wrapper: Keras loads the first for both.

    Raises:
        EditError: one of both places was selected and the other was not.
    """
    holders: dict[object, dict[str, str]] = {}
    for located in checkpoint.layers():
        layer = located.layer
        held = [item for item in iter_configs(dict(layer.config)) if "trainable" in item["config"]]
        for shared in (layer.extra, *held):
            if "shared_object_id" in shared:
                holders.setdefault(shared["shared_object_id"], {}).setdefault(layer.key, located.path)
    keys = {located.layer.key for located in checkpoint.layers() if located.path in flags}
    for places in holders.values():
        chosen = [path for key, path in places.items() if key in keys]
        left = [path for key, path in places.items() if key not in keys]
        if chosen and left:
            raise EditError(
                f"'{chosen[0]}' and '{left[0]}' hold one and the same layer, and Keras keeps one flag for both",
                hint=f"select both, as {{any: ['{chosen[0]}', '{left[0]}']}}",
                at=("layers",),
            )


def carries_flag(layer: Layer) -> bool:
    """Whether Keras stores a flag for the layer; a custom class may leave it out of its configuration."""
    if layer.is_input or layer.is_operation or layer.graph is not None:
        return False
    entry = catalog.find(layer.kind_name)
    return "trainable" in layer.config or (layer.is_new and (entry is None or entry.argument("trainable") is not None))


def _refuse_lost_flag(located: Located, path: str, tensors: Sequence[Tensor], *, wanted: bool) -> None:
    layer = located.layer
    if not carries_flag(layer):
        raise EditError(
            f"'{path}' ({layer.kind_name}) has no trainable flag in its file, so a change would be lost on reload",
            hint="select the layers that can carry it",
            at=("layers",),
        )
    forgetful = _forgetful_class(layer, tensors)
    if forgetful and not wanted and located.is_effectively_trainable:
        raise EditError(
            f"'{path}' is a {forgetful}, whose inner layers Keras would train again once the file is loaded",
            hint=f"leave it out, as {{not: {{type: {forgetful}}}}}, or freeze it in Python after loading",
            at=("layers",),
        )


def _forgetful_class(layer: Layer, tensors: Sequence[Tensor]) -> str | None:
    """The class that would not hand a lowered flag on: one of Keras' own, or a custom one with layers inside."""
    inside = list(iter_configs(dict(layer.config)))
    is_held = any("trainable" in item["config"] for item in inside)
    if catalog.find(layer.kind_name) is None and not is_held and any("/vars/" in tensor.slot for tensor in tensors):
        return layer.kind_name
    classes = [layer.class_name, *(item["class_name"] for item in inside)]
    return next((name for name in classes if name in _FORGETFUL), None)


def set_flags(checkpoint: Checkpoint, flags: Mapping[str, bool]) -> Checkpoint:
    """Set the trainable flag of leaf layers, so that each has the wanted effective state.

    A frozen model hides its layers from its own `fit` (keras, `Layer.trainable_variables`): when a layer inside is to
    train, the flags of the models around it are raised, and what was frozen by them stays so, leaf by leaf.

    Args:
        checkpoint: the model.
        flags: path of each leaf layer to its wanted state; leaves that are not listed keep their effective state.
    """
    opened = {
        parent.key
        for located in checkpoint.layers()
        if flags.get(located.path)
        for parent in located.parents
        if parent.config.get("trainable") is False
    }
    wanted: dict[str, bool] = {}
    for located in checkpoint.layers():
        if carries_flag(located.layer):
            masked = any(parent.key in opened for parent in located.parents)
            if located.path in flags:
                wanted[located.path] = flags[located.path]
            elif masked:
                wanted[located.path] = located.is_effectively_trainable
        elif located.layer.key in opened:
            wanted[located.path] = True
    edits = {path: _setting(flag) for path, flag in wanted.items()}
    model = update_layers(checkpoint.model, edits)
    if model.key in opened:
        model = _set_to(model, True)
    return replace(checkpoint, model=model)


def _setting(flag: bool) -> Callable[[Layer], Layer]:
    return lambda layer: _set_to(layer, flag)


def _set_to(layer: Layer, flag: bool) -> Layer:
    """The layer's flag, and those of the layers that its configuration holds: a wrapper's flag alone is ignored."""
    return replace(layer, config=_flagged(layer.config, flag) | {"trainable": flag})


def _flagged(value: Mapping[str, object], flag: bool) -> dict[str, object]:
    changed: dict[str, object] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            inner = _flagged(item, flag)
            held = inner.get("config")
            if isinstance(held, dict) and "trainable" in held:
                inner = {**inner, "config": {**held, "trainable": flag}}
            changed[key] = inner
        elif isinstance(item, list):
            changed[key] = [_flagged({"_": part}, flag)["_"] for part in item]
        else:
            changed[key] = item
    return changed
