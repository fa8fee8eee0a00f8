from __future__ import annotations

import importlib.metadata
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from saved_layer import saved_slots, symbolic

from modelrecipe import catalog
from modelrecipe.catalog import Argument, ConfigProblem, Variable, check_config, config_schema, find, variables

DATA = Path(catalog.__file__).parent / "data.json"
SERIES, IMAGE = (2, 8, 6), (2, 9, 9, 6)


def products(**choices: list[Any]) -> list[dict[str, Any]]:
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


def serialised(class_name: str, **config: Any) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": class_name, "config": config, "registered_name": None}


BOTH = [True, False]
LSTM, GRU = serialised("LSTM", name="inner", units=3), serialised("GRU", name="inner", units=3, use_bias=False)
CELLS = [serialised(f"{name}Cell", name=f"cell_{n}", units=3) for n, name in enumerate(("LSTM", "GRU", "LSTM"))]
LIVE: list[tuple[str, dict[str, Any], list[Any]]] = [
    *(("Dense", config, [(2, 6)]) for config in products(units=[3], use_bias=BOTH)),
    *(("BatchNormalization", config, [IMAGE]) for config in products(center=BOTH, scale=BOTH, renorm=BOTH)),
    *(("LayerNormalization", config, [IMAGE]) for config in products(center=BOTH, scale=BOTH, rms_scaling=BOTH)),
    *(("GroupNormalization", {**config, "groups": 2}, [IMAGE]) for config in products(center=BOTH, scale=BOTH)),
    *(("Conv2D", config, [IMAGE]) for config in products(filters=[4], kernel_size=[3], use_bias=BOTH)),
    *(("Conv2DTranspose", config, [IMAGE]) for config in products(filters=[4], kernel_size=[3], use_bias=BOTH)),
    *(("SeparableConv2D", config, [IMAGE]) for config in products(filters=[4], kernel_size=[3], use_bias=BOTH)),
    *(("DepthwiseConv2D", config, [IMAGE]) for config in products(kernel_size=[3], use_bias=BOTH)),
    *(
        (name, config, [SERIES])
        for name in ("SimpleRNN", "LSTM", "GRU")
        for config in products(units=[3], use_bias=BOTH, dropout=[0.0, 0.5], stateful=BOTH)
    ),
    *(("GRU", config, [SERIES]) for config in products(units=[3], reset_after=BOTH)),
    *(
        ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, **config}, [SERIES, SERIES])
        for config in products(use_bias=BOTH, use_gate=BOTH, dropout=[0.0, 0.5])
    ),
    *(
        (
            "GroupQueryAttention",
            {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2, **config},
            [SERIES, SERIES],
        )
        for config in products(use_bias=BOTH, use_gate=BOTH)
    ),
    *(
        ("Attention", config, [[SERIES, SERIES]])
        for config in products(use_scale=BOTH, score_mode=["dot", "concat"], dropout=[0.0, 0.5])
    ),
    *(("AdditiveAttention", config, [[SERIES, SERIES]]) for config in products(use_scale=BOTH)),
    *(
        ("EinsumDense", {"equation": "ab,bc->ac", "output_shape": 4, "bias_axes": axes}, [(2, 6)])
        for axes in (None, "c", "a")
    ),
    ("PReLU", {}, [IMAGE]),
    ("RMSNormalization", {}, [IMAGE]),
    ("Normalization", {}, [(2, 6)]),
    ("Normalization", {"mean": 0.0, "variance": 1.0}, [(2, 6)]),
    *(
        ("STFTSpectrogram", {"mode": mode, "frame_length": 64}, [(2, 400, 1)])
        for mode in ("log", "real", "imag", "stft", "magnitude")
    ),
    ("ConvLSTM2D", {"filters": 2, "kernel_size": 3, "use_bias": False}, [(2, 3, 8, 8, 4)]),
    ("ConvLSTM1D", {"filters": 2, "kernel_size": 3}, [(2, 3, 8, 4)]),
    ("Dropout", {"rate": 0.5}, [(2, 6)]),
    ("RandomFlip", {}, [IMAGE]),
    *(("Bidirectional", {"layer": layer}, [SERIES]) for layer in (LSTM, GRU)),
    (
        "Bidirectional",
        {"layer": LSTM, "backward_layer": serialised("LSTM", units=3, name="b", go_backwards=True)},
        [SERIES],
    ),
    ("TimeDistributed", {"layer": serialised("Dense", name="inner", units=3)}, [SERIES]),
    ("TimeDistributed", {"layer": serialised("BatchNormalization", name="inner", scale=False)}, [SERIES]),
    ("SpectralNormalization", {"layer": serialised("Dense", name="inner", units=3)}, [(2, 6)]),
    (
        "SpectralNormalization",
        {"layer": serialised("Conv2D", name="i", filters=3, kernel_size=3, use_bias=False)},
        [IMAGE],
    ),
    ("RNN", {"cell": CELLS[0]}, [SERIES]),
    ("RNN", {"cell": serialised("StackedRNNCells", name="stack", cells=CELLS)}, [SERIES]),
    (
        "Bidirectional",
        {"layer": serialised("RNN", name="r", cell=serialised("StackedRNNCells", cells=CELLS))},
        [SERIES],
    ),
    ("Pipeline", {"layers": [serialised("Dense", name=f"d{n}", units=3) for n in range(3)]}, [(2, 6)]),
    ("Pipeline", {"layers": [serialised("Dropout", rate=0.1), serialised("Dense", name="d", units=3)]}, [(2, 6)]),
]


@pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`, which is deprecated")
@pytest.mark.parametrize(("name", "config", "inputs"), LIVE, ids=[f"{n}-{case[0]}" for n, case in enumerate(LIVE)])
def test_variables_are_those_that_keras_saves(
    name: str, config: dict[str, Any], inputs: list[Any], tmp_path: Path
) -> None:
    from keras import layers

    layer = getattr(layers, name).from_config(json.loads(json.dumps(config)))
    layer(*(symbolic(shape) for shape in inputs))
    found = variables(name, config)
    assert found is not None
    told = {item.slot: (item.name.rpartition("/")[2], item.trainable) for item in found}
    assert told == {slot: facts[:2] for slot, facts in saved_slots(layer, tmp_path).items()}
    assert len({item.name for item in found}) == len(found)


@pytest.mark.parametrize("rank", [None, 2])
def test_lora_adapters_are_not_saved_so_not_listed(rank: int | None, tmp_path: Path) -> None:
    from keras import layers

    layer = layers.Dense(3, lora_rank=rank)
    layer(symbolic((2, 6)))
    expected = (
        Variable(slot="vars/0", name="kernel", trainable=True),
        Variable(slot="vars/1", name="bias", trainable=True),
    )
    assert variables("Dense", layer.get_config()) == expected


def test_inner_variables_are_named_after_the_layers_that_hold_them() -> None:
    assert [item.name for item in variables("MultiHeadAttention", {"use_bias": False}) or ()] == [
        "key/kernel",
        "attention_output/kernel",
        "query/kernel",
        "value/kernel",
    ]
    assert [item.name for item in variables("Bidirectional", {"layer": GRU}) or ()] == [
        "backward_inner/gru_cell/kernel",
        "backward_inner/gru_cell/recurrent_kernel",
        "forward_inner/gru_cell/kernel",
        "forward_inner/gru_cell/recurrent_kernel",
    ]


def test_layers_in_a_list_are_numbered_by_class() -> None:
    slots = [item.slot for item in variables("RNN", {"cell": CELLS}) or () if item.slot.endswith("/0")]
    assert slots == [
        "cell/cells/lstm_cell/vars/0",
        "cell/cells/gru_cell/vars/0",
        "cell/cells/lstm_cell_1/vars/0",
    ]


def test_vocabulary_weights_have_a_slot_of_their_own() -> None:
    weights = Variable(slot="vars/idf_weights", name="idf_weights", trainable=False)
    assert variables("StringLookup", {"output_mode": "tf_idf"}) == (weights,)
    assert variables("StringLookup", {"output_mode": "int"}) == ()


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("NoSuchLayer", {}),
        ("TFSMLayer", {"filepath": "x"}),
        ("TimeDistributed", {}),
        ("TimeDistributed", {"layer": {"class_name": "Mine", "config": {}}}),
        ("TimeDistributed", {"layer": {**serialised("Dense", units=3), "registered_name": "mine>Dense"}}),
        ("SpectralNormalization", {"layer": serialised("Dropout", rate=0.5)}),
        ("RNN", {"cell": None}),
        ("Dense", {"units": 3, "dtype": "int8_from_float32"}),
        ("Dense", {"units": 3, "dtype": {"class_name": "QuantizedDTypePolicy", "config": {}}}),
    ],
)
def test_what_is_not_certain_is_not_told(name: str, config: dict[str, Any]) -> None:
    assert variables(name, config) is None


def test_operations_have_no_variables_under_either_name() -> None:
    assert variables("Relu", {}) == ()
    assert variables("ops.Relu", {}) == ()


def test_an_entry_tells_what_a_layer_takes() -> None:
    entry = find("Conv2D")
    assert entry is not None
    assert (entry.class_name, entry.module, entry.is_operation) == ("Conv2D", "keras.layers", False)
    assert entry.argument("filters") == Argument(
        name="filters",
        kind=("integer",),
        required=True,
        doc="int, the dimension of the output space (the number of filters in the convolution)",
    )
    padding = entry.argument("padding")
    assert padding is not None
    assert (padding.default, padding.choices) == ("valid", ("valid", "same"))
    assert entry.call_arguments == ("inputs",)
    assert entry.argument("rank") is None


def test_operations_are_found_by_their_prefix() -> None:
    entry = find("ops.Mean")
    assert entry is not None
    assert (entry.class_name, entry.module, entry.is_operation) == ("Mean", "keras.src.ops.numpy", True)
    assert [argument.name for argument in entry.arguments] == ["axis", "keepdims", "name"]
    assert find("Mean") is None


def test_further_names_lead_to_the_same_class() -> None:
    entry = find("Convolution2D")
    assert entry is not None
    assert (entry.name, entry.class_name) == ("Convolution2D", "Conv2D")
    assert variables("Convolution2D", {"use_bias": False}) == (Variable(slot="vars/0", name="kernel", trainable=True),)


def test_names_are_complete() -> None:
    assert {"Dense", "InputLayer", "TFSMLayer", "LSTMCell", "AvgPool2D"} <= set(catalog.layer_names())
    assert {"ops.Add", "ops.Relu6", "ops.Where"} <= set(catalog.operation_names())
    assert not {"Layer", "Wrapper", "Sequential", "Model"} & set(catalog.layer_names())
    assert all(find(name) for name in (*catalog.layer_names(), *catalog.operation_names()))


@pytest.mark.parametrize(
    ("name", "is_stateless", "merges", "broadcasts"),
    [
        ("Dense", False, False, False),
        ("Dropout", True, False, False),
        ("StringLookup", False, False, False),
        ("TimeDistributed", False, False, False),
        ("TFSMLayer", False, False, False),
        ("Add", True, True, True),
        ("Concatenate", True, True, False),
        ("ops.Add", True, False, True),
        ("ops.BitwiseAnd", True, False, True),
        ("ops.Where", True, False, True),
        ("ops.Matmul", True, False, False),
        ("ops.Cross", True, False, False),
        ("ops.Concatenate", True, True, False),
        ("ops.Relu", True, False, False),
    ],
)
def test_traits(name: str, is_stateless: bool, merges: bool, broadcasts: bool) -> None:
    entry = find(name)
    assert entry is not None
    assert (entry.is_stateless, entry.merges, entry.broadcasts) == (is_stateless, merges, broadcasts)


@pytest.mark.parametrize(
    ("name", "config", "at", "message", "hint"),
    [
        (
            "Conv2D",
            {"filters": 3, "kernel_size": 3, "filtres": 3},
            ("filtres",),
            "unknown argument 'filtres' of Conv2D",
            "did you mean 'filters'?",
        ),
        ("Dense", {"units": 3, "zzz": 3}, ("zzz",), "unknown argument 'zzz' of Dense", None),
        ("Dense", {}, (), "Dense needs the argument 'units'", "add 'units' to its config"),
        ("Dense", {"units": "ten"}, ("units",), "argument 'units' of Dense must be an integer, not 'ten'", None),
        ("Dense", {"units": True}, ("units",), "argument 'units' of Dense must be an integer, not true", None),
        ("Dense", {"units": None}, ("units",), "argument 'units' of Dense must be an integer, not null", None),
        ("Dense", {"units": 1.5}, ("units",), "argument 'units' of Dense must be an integer, not 1.5", None),
        ("Dropout", {"rate": "half"}, ("rate",), "argument 'rate' of Dropout must be a number, not 'half'", None),
        (
            "Conv2D",
            {"filters": 3, "kernel_size": "3"},
            ("kernel_size",),
            "argument 'kernel_size' of Conv2D must be an integer or a list, not '3'",
            None,
        ),
        (
            "Dense",
            {"units": 3, "kernel_initializer": 3},
            ("kernel_initializer",),
            "argument 'kernel_initializer' of Dense must be a text, a mapping or null, not 3",
            None,
        ),
        (
            "Dense",
            {"units": 3, "use_bias": "no"},
            ("use_bias",),
            "argument 'use_bias' of Dense must be true or false, not 'no'",
            None,
        ),
        (
            "Conv2D",
            {"filters": 3, "kernel_size": 3, "padding": "sane"},
            ("padding",),
            "argument 'padding' of Conv2D must be 'valid' or 'same', not 'sane'",
            "did you mean 'same'?",
        ),
        (
            "Dense",
            {"units": 3, "activation": "rleu"},
            ("activation",),
            "argument 'activation' of Dense must be a name that Keras knows, not 'rleu'",
            "did you mean 'relu'?",
        ),
        (
            "TimeDistributed",
            {"layer": {"class": "Dense", "config": {"unitz": 3, "units": 3}}},
            ("layer", "config", "unitz"),
            "unknown argument 'unitz' of Dense",
            "did you mean 'units'?",
        ),
        (
            "TimeDistributed",
            {"layer": {"class": "Dense"}},
            ("layer", "config"),
            "Dense needs the argument 'units'",
            "add 'units' to its config",
        ),
        (
            "TimeDistributed",
            {"layer": {"units": 3}},
            ("layer",),
            "argument 'layer' of TimeDistributed names no layer class",
            "write {class: Dense, config: {...}}",
        ),
        (
            "StackedRNNCells",
            {"cells": [serialised("GRUCell", units=3), serialised("GRUCell", units="3")]},
            ("cells", 1, "config", "units"),
            "argument 'units' of GRUCell must be an integer, not '3'",
            None,
        ),
        (
            "ops.Mean",
            {"keepdim": True},
            ("keepdim",),
            "unknown argument 'keepdim' of ops.Mean",
            "did you mean 'keepdims'?",
        ),
    ],
)
def test_problems_say_what_to_write(
    name: str, config: dict[str, Any], at: tuple[str | int, ...], message: str, hint: str | None
) -> None:
    assert check_config(name, config) == [ConfigProblem(at=at, message=message, hint=hint)]


def test_all_problems_come_at_once() -> None:
    found = check_config("Conv2D", {"filtres": 3, "padding": 1})
    assert [problem.message for problem in found] == [
        "unknown argument 'filtres' of Conv2D",
        "argument 'padding' of Conv2D must be a text, not 1",
        "Conv2D needs the argument 'filters'",
        "Conv2D needs the argument 'kernel_size'",
    ]


def test_a_partial_config_may_lack_arguments() -> None:
    assert check_config("Dense", {"use_bias": False}, partial=True) == []


@pytest.mark.parametrize(
    ("name", "config"),
    [
        (
            "Dense",
            {
                "units": 3,
                "activation": "mine>swish",
                "kernel_initializer": {"class": "HeNormal", "config": {"seed": 3}},
            },
        ),
        (
            "Dense",
            {"units": 3, "name": "head", "trainable": False, "dtype": "mixed_bfloat16", "activity_regularizer": "l2"},
        ),
        ("Conv2D", {"filters": 3, "kernel_size": {"class_name": "__tuple__", "items": [3, 3]}, "padding": "SAME"}),
        ("Bidirectional", {"layer": LSTM, "merge_mode": None}),
        ("LSTM", {"units": 3, "use_cudnn": False, "implementation": 2}),
        ("LeakyReLU", {"alpha": 0.2}),
        ("Embedding", {"input_dim": 3, "output_dim": 2, "input_length": 4}),
        ("InputLayer", {"batch_input_shape": [None, 4]}),
        ("STFTSpectrogram", {"window": "hamming", "scaling": None}),
        ("mine>Layer", {"anything": 3}),
        ("Dropout", {"rate": 0}),
    ],
)
def test_what_keras_takes_is_not_refused(name: str, config: dict[str, Any]) -> None:
    assert check_config(name, config) == []


def made_layers() -> dict[str, Any]:
    from modelrecipe.live.catalog_probe import make
    from modelrecipe.live.catalog_samples import FOREIGN, layer_classes, sample

    return {name: make(value, sample(name)) for name, value in layer_classes().items() if name not in FOREIGN}


def test_every_config_that_keras_writes_is_accepted() -> None:
    import keras

    refused = {}
    for name, layer in made_layers().items():
        data = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
        problems = check_config(data["class_name"], data["config"])
        errors = [
            error.message for error in jsonschema.Draft7Validator(config_schema(name)).iter_errors(data["config"])
        ]
        if problems or errors or data["class_name"] != name:
            refused[name] = (problems, errors)
    assert refused == {}


@pytest.mark.parametrize("name", [*catalog.layer_names(), *catalog.operation_names()])
def test_schemas_are_valid_and_take_their_own_defaults(name: str) -> None:
    schema = config_schema(name)
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    defaults = {key: part["default"] for key, part in schema["properties"].items() if "default" in part}
    assert list(jsonschema.Draft7Validator(schema).iter_errors(defaults)) == []
    assert check_config(name, defaults, partial=True) == []


def test_a_schema_describes_each_argument() -> None:
    properties = config_schema("Dense")["properties"]
    assert properties["units"] == {
        "description": "Positive integer, dimensionality of the output space",
        "type": "integer",
    }
    assert properties["use_bias"]["default"] is True
    assert config_schema("Conv2D")["properties"]["padding"]["anyOf"] == [
        {"enum": ["valid", "same"]},
        {"type": "string", "pattern": "^([vV][aA][lL][iI][dD]|[sS][aA][mM][eE])$"},
    ]


def test_a_schema_of_an_unknown_class_is_an_error() -> None:
    with pytest.raises(KeyError, match="NoSuchLayer"):
        config_schema("NoSuchLayer")


def test_the_catalog_needs_no_keras() -> None:
    code = (
        "import sys; from modelrecipe import catalog, shapes; catalog.find('Dense'); "
        "shapes.output_shape('Dense', {'units': 3}, [(None, 4)]); print({'keras', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_data_are_small() -> None:
    assert DATA.stat().st_size < 300_000


@pytest.mark.slow
def test_the_data_are_those_of_the_installed_keras() -> None:
    installed = importlib.metadata.version("keras")
    if installed != catalog.keras_version():
        pytest.skip(f"the catalog was learnt from Keras {catalog.keras_version()}, installed is {installed}")
    code = (
        "from modelrecipe.live.catalog_writer import catalog, render; import sys; sys.stdout.write(render(catalog()))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, env=environment, encoding="utf-8"
    )
    assert done.stdout == DATA.read_text(encoding="utf-8")
