from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from saved_layer import saved_slots, symbolic

from modelrecipe.catalog import variables
from modelrecipe.shapes import output_shape, variable_shapes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Case = tuple[str, dict[str, Any], list[tuple[int | None, ...]]]

SIZES: dict[int, list[tuple[int | None, ...]]] = {1: [(9,), (None,)], 2: [(9, 7), (None, 8)], 3: [(7, 6, 5)]}


def inputs_of(rank: int, data_format: str = "channels_last", depth: int = 6) -> list[tuple[int | None, ...]]:
    last = data_format == "channels_last"
    return [(None, *size, depth) if last else (None, depth, *size) for size in SIZES[rank]]


def options(**choices: list[Any]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def convolutions() -> Iterator[Case]:
    steps = [{"strides": 1}, {"strides": 2}, {"dilation_rate": 2}]
    for rank in (1, 2, 3):
        for padding, step, form in itertools.product(("valid", "same"), steps, ("channels_last", "channels_first")):
            config = {"filters": 4, "kernel_size": 3, "padding": padding, "data_format": form, **step}
            for shape in inputs_of(rank, form):
                yield f"Conv{rank}D", config, [shape]
                if rank < 3:
                    yield f"SeparableConv{rank}D", {**config, "depth_multiplier": 2}, [shape]
                    depthwise = {k: v for k, v in config.items() if k != "filters"}
                    yield f"DepthwiseConv{rank}D", {**depthwise, "depth_multiplier": 3}, [shape]
    for shape in inputs_of(1):
        yield "Conv1D", {"filters": 4, "kernel_size": 4, "padding": "causal", "dilation_rate": 2}, [shape]
    yield (
        "Conv2D",
        {"filters": 4, "kernel_size": [1, 5], "strides": [2, 1], "groups": 2, "use_bias": False},
        [(2, 8, 8, 6)],
    )
    yield "Conv2D", {"filters": 4, "kernel_size": 2, "padding": "SAME"}, [(None, 8, 8, 6)]


def transposed_convolutions() -> Iterator[Case]:
    steps = [{}, {"strides": 2}, {"strides": 3, "output_padding": 1}, {"dilation_rate": 2}, {"strides": 4}]
    for rank, padding, step, size in itertools.product((1, 2, 3), ("valid", "same"), steps, (2, 3)):
        for shape in inputs_of(rank):
            yield f"Conv{rank}DTranspose", {"filters": 4, "kernel_size": size, "padding": padding, **step}, [shape]


def poolings() -> Iterator[Case]:
    for rank, kind, padding, strides in itertools.product(
        (1, 2, 3), ("Max", "Average"), ("valid", "same"), (None, 1, 3)
    ):
        for form in ("channels_last", "channels_first"):
            config = {"pool_size": 2, "padding": padding, "strides": strides, "data_format": form}
            for shape in inputs_of(rank, form):
                yield f"{kind}Pooling{rank}D", config, [shape]
    for rank, kind, keepdims, form in itertools.product(
        (1, 2, 3), ("Max", "Average"), (False, True), ("channels_last", "channels_first")
    ):
        yield f"Global{kind}Pooling{rank}D", {"keepdims": keepdims, "data_format": form}, inputs_of(rank, form)[:1]


def sizings() -> Iterator[Case]:
    amounts = {1: [2, [1, 3]], 2: [1, [1, 2], [[0, 1], [2, 1]]], 3: [1, [1, 2, 1], [[0, 1], [2, 1], [1, 1]]]}
    for rank, values in amounts.items():
        forms = ("channels_last",) if rank == 1 else ("channels_last", "channels_first")
        for value, form in itertools.product(values, forms):
            config = {} if rank == 1 else {"data_format": form}
            for shape in inputs_of(rank, form):
                yield f"ZeroPadding{rank}D", {"padding": value, **config}, [shape]
                yield f"Cropping{rank}D", {"cropping": value, **config}, [shape]
        for form in forms:
            config = {"size": 2} if rank == 1 else {"size": 2, "data_format": form}
            for shape in inputs_of(rank, form):
                yield f"UpSampling{rank}D", config, [shape]
    yield "ZeroPadding1D", {"padding": [1, 3], "data_format": "channels_first"}, [(None, 6, 9)]
    for name in ("Resizing", "CenterCrop", "RandomCrop"):
        yield name, {"height": 5, "width": 4, "data_format": "channels_last"}, [(None, 9, 9, 3)]


def plain_layers() -> Iterator[Case]:
    for shape in [(None, 5), (2, 3, 5), (None, None, 4, 5)]:
        yield "Dense", {"units": 7}, [shape]
        yield "Dense", {"units": 7, "use_bias": False}, [shape]
        yield "Flatten", {}, [shape]
    yield "Flatten", {}, [(None,)]
    for target in ([6, 5], [30], [-1, 3], [5, -1], [2, 3, 5]):
        yield "Reshape", {"target_shape": target}, [(None, 10, 3)]
        yield "Reshape", {"target_shape": target}, [(4, 30)]
    yield "Reshape", {"target_shape": [-1, 3]}, [(None, None, 3)]
    yield "Permute", {"dims": [3, 1, 2]}, [(None, 4, 5, 6)]
    yield "RepeatVector", {"n": 4}, [(None, 3)]
    for shape in [(None,), (None, 7), (2, None, 3)]:
        yield "Embedding", {"input_dim": 9, "output_dim": 4}, [shape]
    same = (
        "Activation",
        "ELU",
        "LeakyReLU",
        "PReLU",
        "ReLU",
        "Softmax",
        "Identity",
        "Masking",
        "Rescaling",
        "UnitNormalization",
    )
    needed = {"Activation": {"activation": "tanh"}, "Rescaling": {"scale": 2.0, "offset": 0.0}}
    for name in same:
        yield name, needed.get(name, {}), [(None, 4, 6)]
    for name in ("Dropout", "GaussianDropout", "AlphaDropout", "SpatialDropout1D"):
        yield name, {"rate": 0.5}, [(None, 4, 6)]
    yield "GaussianNoise", {"stddev": 0.5}, [(None, 4, 6)]
    yield "ActivityRegularization", {"l2": 0.5}, [(None, 4, 6)]
    yield "PReLU", {"shared_axes": [1, 2]}, [(None, 4, 5, 6)]


def normalizations() -> Iterator[Case]:
    for config in options(axis=[-1, 1], center=[True, False], scale=[True, False]):
        yield "BatchNormalization", config, [(None, 4, 5, 6)]
        yield "LayerNormalization", config, [(None, 4, 5, 6)]
        yield "GroupNormalization", {**config, "groups": 2}, [(None, 4, 5, 6)]
    yield "BatchNormalization", {"renorm": True}, [(None, 6)]
    yield "LayerNormalization", {"axis": [2, 1]}, [(None, 4, 5)]
    yield "RMSNormalization", {}, [(None, 4, 5)]
    yield "Normalization", {}, [(None, 4)]
    yield "Normalization", {"axis": None}, [(None, 4)]


def merges() -> Iterator[Case]:
    pairs = [
        [(None, 4, 6), (None, 4, 6)],
        [(None, 4, 1), (None, 1, 6)],
        [(None, None, 6), (None, 4, 6)],
        [(2, 4, 6), (None, 4, 6), (None, 1, 6)],
    ]
    for name, shapes in itertools.product(("Add", "Multiply", "Average", "Maximum", "Minimum"), pairs):
        yield name, {}, shapes
    yield "Subtract", {}, pairs[1]
    for axis in (-1, 1, 2):
        yield "Concatenate", {"axis": axis}, [(None, 4, 6), (None, 4, 6), (None, 4, 6)]
    yield "Concatenate", {"axis": 1}, [(None, None, 6), (None, 4, 6)]
    yield "Concatenate", {"axis": 1}, [(None, 3, 6), (None, 4, 6)]


def sequences() -> Iterator[Case]:
    flags = {"return_sequences": [False, True], "use_bias": [True, False]}
    for name, config in itertools.product(("SimpleRNN", "LSTM", "GRU"), options(**flags)):
        yield name, {"units": 3, **config}, [(None, 5, 4)]
        yield "Bidirectional", {"layer": serialised(name, {"units": 3, **config})}, [(None, 5, 4)]
    yield "GRU", {"units": 3, "reset_after": False}, [(None, None, 4)]
    for mode in ("sum", "mul", "ave"):
        yield "Bidirectional", {"merge_mode": mode, "layer": serialised("LSTM", {"units": 3})}, [(None, 5, 4)]
    yield "TimeDistributed", {"layer": serialised("Dense", {"units": 3})}, [(None, 5, 4)]
    yield "TimeDistributed", {"layer": serialised("Conv2D", {"filters": 3, "kernel_size": 3})}, [(None, 5, 8, 8, 2)]
    yield "SpectralNormalization", {"layer": serialised("Conv2D", {"filters": 3, "kernel_size": 3})}, [(None, 8, 8, 2)]
    yield "SpectralNormalization", {"layer": serialised("Dense", {"units": 3, "use_bias": False})}, [(None, 8)]


def attentions() -> Iterator[Case]:
    query, value, key = (None, 5, 8), (None, 7, 6), (None, 7, 4)
    for config in options(use_bias=[True, False], value_dim=[None, 5], output_shape=[None, 9], use_gate=[False, True]):
        yield "MultiHeadAttention", {"num_heads": 2, "key_dim": 3, **config}, [query, value]
    yield "MultiHeadAttention", {"num_heads": 2, "key_dim": 3}, [query, value, key]
    for config in options(use_bias=[True, False], use_gate=[False, True]):
        fixed = {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}
        yield "GroupQueryAttention", {**fixed, **config}, [query, (None, 7, 8)]


def serialised(name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "module": "keras.layers",
        "class_name": name,
        "config": {"name": "inner", **config},
        "registered_name": None,
    }


CASES: list[Case] = [
    case
    for family in (
        convolutions,
        transposed_convolutions,
        poolings,
        sizings,
        plain_layers,
        normalizations,
        merges,
        sequences,
        attentions,
    )
    for case in family()
]


def test_the_cases_are_many() -> None:
    assert len(CASES) >= 150


def called(name: str, config: dict[str, Any], shapes: list[tuple[int | None, ...]]) -> tuple[Any, Any]:
    from keras import layers

    layer = getattr(layers, name).from_config({**config})
    dtype = "int32" if name == "Embedding" else "float32"
    tensors = [symbolic(shape, dtype) for shape in shapes]
    if name in ("Add", "Multiply", "Average", "Maximum", "Minimum", "Subtract", "Concatenate"):
        return layer, layer(tensors)
    return layer, layer(*tensors[:2], **({"key": tensors[2]} if len(tensors) > 2 else {}))


@pytest.mark.parametrize(("name", "config", "shapes"), CASES, ids=[f"{n}-{c[0]}" for n, c in enumerate(CASES)])
def test_shapes_are_those_of_keras(
    name: str, config: dict[str, Any], shapes: list[tuple[int | None, ...]], tmp_path: Path
) -> None:
    layer, output = called(name, config, shapes)
    assert output_shape(name, config, shapes) == tuple(output.shape)
    told = variable_shapes(name, config, shapes)
    places = variables(name, config)
    assert told is not None
    assert places is not None
    live = saved_slots(layer, tmp_path) if layer.variables else {}
    assert {item.slot: told[item.name] for item in places} == {slot: shape for slot, (_, _, shape) in live.items()}


OPERATIONS: list[tuple[str, dict[str, Any], list[tuple[int | None, ...]]]] = [
    *(
        (name, {}, shapes)
        for name in ("Add", "Subtract", "Multiply", "Divide", "Maximum", "Power", "Greater")
        for shapes in (
            [(None, 4, 6), (None, 4, 6)],
            [(None, 4, 1), (6,)],
            [(None, 6), (1, 6)],
            [(None, None), (3, 1)],
            [(None, 6), ()],
        )
    ),
    *(
        (name, {}, [(None, 6)])
        for name in ("Relu", "Relu6", "HardSigmoid", "HardSilu", "Silu", "Softmax", "Sqrt", "Negative")
    ),
    *(
        (name, {"axis": axis, "keepdims": keepdims}, [(None, 4, 6)])
        for name in ("Mean", "Sum", "Max", "Min", "Var", "Std", "Argmax")
        for axis in (None, 1, -1)
        for keepdims in (False, True)
    ),
    ("Mean", {"axis": [1, 2], "keepdims": True}, [(None, 4, 5, 6)]),
    *(("Concatenate", {"axis": axis}, [(None, 4, 6), (None, 4, 6)]) for axis in (-1, 1)),
    *(("Stack", {"axis": axis}, [(None, 4), (None, 4)]) for axis in (0, 1, -1)),
    ("Reshape", {"newshape": [-1, 12]}, [(None, 3, 4)]),
    ("Reshape", {"newshape": [2, -1]}, [(4, 3)]),
    ("Transpose", {}, [(None, 3, 4)]),
    ("Transpose", {"axes": [0, 2, 1]}, [(None, 3, 4)]),
    *(("ExpandDims", {"axis": axis}, [(None, 3)]) for axis in (0, 1, -1)),
    ("Squeeze", {"axis": 1}, [(None, 1, 4)]),
    ("Squeeze", {}, [(2, 1, 4)]),
    ("Swapaxes", {"axis1": 1, "axis2": -1}, [(None, 3, 4, 5)]),
    ("Matmul", {}, [(None, 3, 4), (None, 4, 5)]),
    ("Matmul", {}, [(None, 2, 3, 4), (4, 5)]),
    ("Glu", {}, [(None, 6)]),
    ("Where", {}, [(None, 4), (None, 4), (1, 4)]),
]


@pytest.mark.parametrize(
    ("name", "config", "shapes"), OPERATIONS, ids=[f"{n}-{case[0]}" for n, case in enumerate(OPERATIONS)]
)
def test_operation_shapes_are_those_of_keras(
    name: str, config: dict[str, Any], shapes: list[tuple[int | None, ...]]
) -> None:
    from keras.src.ops import nn, numpy

    operation = getattr(numpy, name, None) or getattr(nn, name)
    tensors = [symbolic(shape) for shape in shapes]
    is_list = name in ("Concatenate", "Stack")
    output = operation(**config)(tensors) if is_list else operation(**config)(*tensors)
    assert output_shape(name, config, shapes, is_operation=True) == tuple(output.shape)


@pytest.mark.parametrize(
    ("name", "config", "shapes"),
    [
        ("NoSuchLayer", {}, [(None, 4)]),
        ("Lambda", {"function": "f"}, [(None, 4)]),
        ("Dense", {}, [(None, 4)]),
        ("Dense", {"units": "ten"}, [(None, 4)]),
        ("Dense", {"units": 3}, [None]),
        ("Dense", {"units": 3, "activation": "glu"}, [(None, 4)]),
        ("Conv2D", {"filters": 4, "kernel_size": 3}, [(None, 8, 6)]),
        ("Conv2D", {"filters": 4, "kernel_size": 9}, [(None, 8, 8, 6)]),
        ("Conv2D", {"filters": 4, "kernel_size": 3, "groups": 4}, [(None, 8, 8, 6)]),
        ("Conv2D", {"filters": 4, "kernel_size": 3, "padding": "causal"}, [(None, 8, 8, 6)]),
        ("Cropping1D", {"cropping": 4}, [(None, 8, 6)]),
        ("Reshape", {"target_shape": [4, 4]}, [(None, 15)]),
        ("Permute", {"dims": [1, 1]}, [(None, 4, 5)]),
        ("Add", {}, [(None, 4), (None, 5)]),
        ("Add", {}, [(None, 4, 5), (None, 5)]),
        ("Concatenate", {"axis": 1}, [(None, 4, 5), (None, 4, 6)]),
        ("LSTM", {"units": 3, "return_state": True}, [(None, 5, 4)]),
        ("Bidirectional", {"merge_mode": None, "layer": serialised("LSTM", {"units": 3})}, [(None, 5, 4)]),
        ("TimeDistributed", {"layer": {"class_name": "Mine", "config": {}}}, [(None, 5, 4)]),
    ],
)
def test_what_only_keras_can_tell_is_not_guessed(name: str, config: dict[str, Any], shapes: list[Any]) -> None:
    assert output_shape(name, config, shapes) is None


def test_an_operation_with_one_listed_tensor_of_two_is_not_guessed() -> None:
    assert output_shape("Add", {}, [(None, 4)], is_operation=True) is None


def test_variables_of_unknown_sizes_are_not_guessed() -> None:
    assert variable_shapes("Dense", {"units": 3}, [(None, None)]) is None
    assert variable_shapes("Dense", {"units": 3}, []) is None
    assert variable_shapes("NoSuchLayer", {}, [(None, 4)]) is None


def test_a_layer_without_variables_has_no_shapes() -> None:
    assert variable_shapes("Dropout", {"rate": 0.5}, [(None, 4)]) == {}


def test_tuples_as_keras_serialises_them_are_read() -> None:
    size = {"class_name": "__tuple__", "items": [3, 3]}
    assert output_shape("Conv2D", {"filters": 4, "kernel_size": size}, [(None, 8, 8, 6)]) == (None, 6, 6, 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ResNet50", "MobileNetV3Small", "EfficientNetB0", "DenseNet121"])
def test_every_layer_of_a_known_architecture_is_told(name: str) -> None:
    import keras

    model = getattr(keras.applications, name)(weights=None)
    untold = []
    for operation in model.operations:
        if isinstance(operation, keras.layers.InputLayer):
            continue
        is_operation = not isinstance(operation, keras.Layer)
        config = keras.saving.serialize_keras_object(operation)["config"]
        for node in operation._inbound_nodes:
            flat = keras.tree.flatten(
                (node.arguments.args, {k: v for k, v in node.arguments.kwargs.items() if k != "training"})
            )
            shapes = [tuple(getattr(item, "shape", ())) for item in flat if item is not None]
            told = output_shape(type(operation).__name__, config, shapes, is_operation=is_operation)
            if told != tuple(node.outputs[0].shape):
                untold.append((operation.name, shapes, told, node.outputs[0].shape))
        if not is_operation and operation.variables:
            shapes = [tuple(tensor.shape) for tensor in operation._inbound_nodes[0].input_tensors]
            told_variables = variable_shapes(type(operation).__name__, config, shapes) or {}
            live = {v.name: tuple(v.shape) for v in operation.variables if "seed_generator" not in v.path}
            if dict(told_variables) != live:
                untold.append((operation.name, shapes, told_variables, live))
    assert untold == []
