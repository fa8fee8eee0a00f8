"""The shapes that layers give and the shapes of their variables, without Keras.

An explicit table of one small rule per family. Where no rule fits, the answer is None: only Keras can tell. Knows
layers by class and configuration, no graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from modelrecipe.catalog.entry import find
from modelrecipe.references import Shape
from modelrecipe.shapes import layers, operations, windows
from modelrecipe.shapes.given import Given, MisfitError
from modelrecipe.shapes.variables import variable_shapes

__all__ = ["output_shape", "variable_shapes"]

Rule = Callable[[Given, Sequence[Shape]], Shape]


def output_shape(
    class_name: str, config: Mapping[str, Any], inputs: Sequence[Shape | None], is_operation: bool = False
) -> Shape | None:
    """The shape of a layer's one output.

    Args:
        class_name: as a model file has it; a further public name (`Convolution2D`) is taken too.
        config: as Keras serialises it; what it lacks has its default.
        inputs: shapes of the tensors of the call, in order. A number that an operation takes beside tensors is `()`;
            a call with constants that are not listed is not one that this can answer for.
        is_operation: whether it is a bare operation: `Add` of `keras.ops`, not the layer.

    Returns:
        None where only Keras can tell: an unknown class, more than one output by configuration, inputs that do not
        fit. Arguments of the call are not seen: with `return_attention_scores` there is a second output.
    """
    shapes = [tuple(shape) for shape in inputs if shape is not None]
    entry = find(f"ops.{class_name}" if is_operation else class_name)
    if entry is None or len(shapes) < len(inputs):
        return None
    rule = (_OPERATIONS if is_operation else _LAYERS).get(entry.class_name)
    if rule is None:
        return None
    try:
        return rule(Given(f"ops.{class_name}" if is_operation else entry.class_name, config), shapes)
    except MisfitError:
        return None


def _table(families: Mapping[str, Rule]) -> dict[str, Rule]:
    """One row per class; a key lists the classes of a family."""
    return {name: rule for names, rule in families.items() for name in names.split()}


_LAYERS: Mapping[str, Rule] = {
    **_table(
        {
            "Activation ELU LeakyReLU PReLU ReLU Softmax": layers.same,
            "AlphaDropout Dropout GaussianDropout GaussianNoise SpatialDropout1D SpatialDropout2D SpatialDropout3D": (
                layers.same
            ),
            "BatchNormalization GroupNormalization LayerNormalization Normalization RMSNormalization": layers.same,
            "ActivityRegularization Identity Masking Rescaling UnitNormalization": layers.same,
            "RandomBrightness RandomContrast RandomFlip RandomRotation RandomTranslation RandomZoom": layers.same,
            "Conv1D Conv2D Conv3D SeparableConv1D SeparableConv2D": windows.convolution,
            "Conv1DTranspose Conv2DTranspose Conv3DTranspose": windows.transposed_convolution,
            "DepthwiseConv1D DepthwiseConv2D": windows.depthwise_convolution,
            "AveragePooling1D AveragePooling2D AveragePooling3D": windows.pooling,
            "MaxPooling1D MaxPooling2D MaxPooling3D": windows.pooling,
            "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D": windows.global_pooling,
            "GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D": windows.global_pooling,
            "ZeroPadding1D ZeroPadding2D ZeroPadding3D": windows.zero_padding,
            "Cropping1D Cropping2D Cropping3D": windows.cropping,
            "UpSampling1D UpSampling2D UpSampling3D": windows.up_sampling,
            "CenterCrop RandomCrop Resizing": windows.fixed_size,
            "Add Average Maximum Minimum Multiply": layers.merge,
            "AdditiveAttention Attention": layers.attention,
            "GRU LSTM SimpleRNN": layers.recurrent,
            "Concatenate": layers.concatenate,
            "Dense": layers.dense,
            "Embedding": layers.embedding,
            "Flatten": layers.flatten,
            "GroupQueryAttention": layers.query_attention,
            "InputLayer": layers.input_layer,
            "MultiHeadAttention": layers.multi_head_attention,
            "Permute": layers.permute,
            "RNN": layers.rnn,
            "RepeatVector": layers.repeat_vector,
            "Reshape": layers.reshape,
            "Subtract": layers.merge,
        }
    ),
    **layers.wrapper_rules(output_shape),
}
_OPERATIONS: Mapping[str, Rule] = _table(
    {
        " ".join(operations.ELEMENTWISE): operations.same,
        " ".join(operations.REDUCTIONS): operations.reduction,
        "Add Divide DivideNoNan FloorDivide Maximum Minimum Mod Multiply Power Subtract TrueDivide": (
            operations.elementwise
        ),
        "Equal Greater GreaterEqual Less LessEqual LogicalAnd LogicalOr LogicalXor NotEqual Where": (
            operations.elementwise
        ),
        "Argmax Argmin": operations.reduction,
        "Concatenate": operations.concatenate,
        "ExpandDims": operations.expand_dims,
        "Glu": operations.glu,
        "Matmul": operations.matmul,
        "Reshape": operations.reshape,
        "Squeeze": operations.squeeze,
        "Stack": operations.stack,
        "Swapaxes": operations.swapaxes,
        "Transpose": operations.transpose,
    }
)
