"""Repairs of what older versions of Keras wrote: one file per cause, applied to the document, without Keras.

`REPAIRS` is their order: each sees what those before it have mended. The configuration is mended first; then the
weights are given to its layers; then the document of both is mended.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelrecipe.checkpoint import Mended
from modelrecipe.errors import FileError
from modelrecipe.formats.repair import Json, Repair, Writer, map_layers
from modelrecipe.formats.repairs import (
    adapted_shapes,
    array_values,
    axis_lists,
    causal_attention,
    channels_first_bias,
    cudnn_weights,
    distributed_shapes,
    hard_sigmoid,
    inner_modules,
    inner_shapes,
    keras2_groups,
    keras_1_arguments,
    keras_1_arrays,
    keras_1_branches,
    keras_1_classes,
    keras_1_nesting,
    keras_1_orderings,
    keras_1_prelu,
    lists_of_one,
    merged_masks,
    model_modules,
    norm_axes,
    old_activations,
    old_defaults,
    old_initializers,
    old_policies,
    random_crop,
    removed_arguments,
    renamed_classes,
    rnn_states,
    sequential_list,
    sequential_shape,
    slash_names,
    tf_operations,
    theano_borders,
    theano_kernels,
    thresholded_relu,
    whole_number_images,
    windows_groups,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from modelrecipe.checkpoint import Checkpoint

REPAIRS: tuple[Repair, ...] = (
    windows_groups.REPAIR,
    keras2_groups.REPAIR,
    model_modules.REPAIR,
    keras_1_nesting.REPAIR,
    sequential_list.REPAIR,
    keras_1_branches.REPAIR,
    sequential_shape.REPAIR,
    array_values.REPAIR,
    renamed_classes.REPAIR,
    inner_modules.REPAIR,
    lists_of_one.REPAIR,
    old_policies.REPAIR,
    keras_1_orderings.REPAIR,
    keras_1_classes.REPAIR,
    keras_1_arguments.REPAIR,
    keras_1_arrays.REPAIR,
    keras_1_prelu.REPAIR,
    theano_borders.REPAIR,
    theano_kernels.REPAIR,
    channels_first_bias.REPAIR,
    inner_shapes.REPAIR,
    distributed_shapes.REPAIR,
    axis_lists.REPAIR,
    removed_arguments.REPAIR,
    old_initializers.REPAIR,
    old_activations.REPAIR,
    tf_operations.REPAIR,
    cudnn_weights.REPAIR,
    slash_names.REPAIR,
    causal_attention.REPAIR,
    norm_axes.REPAIR,
    old_defaults.REPAIR,
    rnn_states.REPAIR,
    thresholded_relu.REPAIR,
    random_crop.REPAIR,
    merged_masks.REPAIR,
    adapted_shapes.REPAIR,
    whole_number_images.REPAIR,
    hard_sigmoid.REPAIR,
)


def _concerning(writer: Writer) -> tuple[Repair, ...]:
    return REPAIRS if writer.is_before(3) else ()


def mend_config(config: Mapping[str, Any], writer: Writer) -> tuple[Json, tuple[Mended, ...]]:
    """A model's configuration as Keras 3 reads it, and which repairs that took: none where Keras 3 wrote it.

    Raises:
        FileError: the configuration is not one of a Keras model.
    """
    data, applied = dict(config), []
    for repair in _concerning(writer):
        if repair.layer is not None:
            data, places = _mend(data, repair.layer, writer)
            applied += [Mended(repair=repair.name, layers=tuple(places))] if places else []
    return data, tuple(applied)


def _mend(data: Json, mend: Callable[[Json, Writer], Json], writer: Writer) -> tuple[Json, list[str]]:
    try:
        return map_layers(data, lambda layer: mend(layer, writer))
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError) as error:
        raise FileError(f"the model's configuration is not one that Keras writes ({error!r})") from error


def mend_document(checkpoint: Checkpoint, writer: Writer, applied: tuple[Mended, ...] = ()) -> Checkpoint:
    """The document with all repairs; its origin says which ones.

    Args:
        checkpoint: what the mended configuration and the file's weights give.
        writer: what wrote the file.
        applied: the repairs that the configuration took.
    """
    done = list(applied)
    for repair in _concerning(writer):
        if repair.document is not None:
            checkpoint, places = repair.document(checkpoint, writer)
            done += [Mended(repair=repair.name, layers=tuple(places))] if places else []
    if checkpoint.origin is None or not done:
        return checkpoint
    return replace(checkpoint, origin=replace(checkpoint.origin, repairs=_merged(done)))


def _merged(applied: list[Mended]) -> tuple[Mended, ...]:
    """One entry for each repair, with every layer once."""
    layers: dict[str, dict[str, None]] = {}
    for item in applied:
        layers.setdefault(item.repair, {}).update(dict.fromkeys(item.layers))
    return tuple(Mended(repair=name, layers=tuple(found)) for name, found in layers.items())
