"""Where the models of the zoo are entered, with tags, seeded and perturbed."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import wraps
from typing import Literal, get_args

import keras
import numpy as np

Builder = Callable[[], keras.Model]
Tag = Literal[
    "assets",  # holds a vocabulary or the like, which is saved beside the weights
    "compiled",  # has an optimizer and a loss
    "custom",  # needs a class or function that is registered by the zoo
    "frozen",  # some layer's flag is False
    "keywords",  # a call takes tensors or settings by keyword
    "lookalike",  # layer names repeat between graphs, or hold unusual characters
    "masked",  # a mask travels implicitly, or is passed
    "nested",  # holds another model
    "opaque",  # its configuration lists no layers
    "operations",  # holds bare keras.ops
    "policies",  # not everything is float32
    "quantized",  # int8 weights
    "random",  # a layer draws random numbers in training
    "shared",  # a layer or nested model is called more than once, or from two graphs
    "stateful",  # a call changes a variable
    "strings",  # takes strings
    "structured",  # inputs or outputs are lists or dicts
]

ZOO: dict[str, Builder] = {}
TAGS: dict[str, frozenset[str]] = {}

KERAS_CANNOT_RELOAD: dict[str, str] = {
    "custom_without_config": "a layer has constructor arguments and no get_config, so that saving raises",
    "lambda_of_python_lambda": "safe mode refuses python bytecode",
    "layer_in_two_nested_models": "the file marks one of the two places as shared, and gives weights to one",
    "layer_inside_and_outside": "calls of the shared layer are numbered per graph, and looked up over both graphs",
    "nested_shared_across_depths": "the file marks one of the two places as shared, and gives weights to one",
    "one_layer_in_two_wrappers": "the file marks one of the two places as shared, and gives weights to one",
}
"""Name to reason, where Keras' own save and load raises or gives other outputs."""

KERAS_CHANGES_WEIGHTS: dict[str, str] = {
    "lora_enabled": "adapters are merged into the kernel when saved, and begin anew when loaded",
}
"""Name to reason, where the outputs survive a reload and the weights do not."""

_ADAPTED = ("mean", "variance", "count")
"""Variables of `Normalization`, which recomputes what it uses from them only when it is told."""


def model(*tags: Tag) -> Callable[[Builder], Builder]:
    """Enter a builder into the zoo under its own name."""
    unknown = set(tags) - set(get_args(Tag))
    if unknown:
        raise ValueError(f"unknown tags {sorted(unknown)}")

    def enter(build: Builder) -> Builder:
        name = build.__name__
        if name in ZOO:
            raise ValueError(f"two models are named '{name}'")
        seed = zlib.crc32(name.encode())

        @wraps(build)
        def seeded() -> keras.Model:
            keras.utils.set_random_seed(seed)
            built = build()
            perturb(built, seed)
            return built

        ZOO[name] = seeded
        TAGS[name] = frozenset(tags)
        return seeded

    return enter


def tagged(tag: Tag) -> list[str]:
    """The names that carry the tag, in the order of the zoo."""
    return [name for name, tags in TAGS.items() if tag in tags]


def perturb(built: keras.Model, seed: int) -> None:
    """Move every floating variable off its initial value; variances stay positive."""
    rng = np.random.default_rng(seed)
    for variable in built.weights:
        if "float" not in str(variable.dtype) or variable.name in _ADAPTED:
            continue
        if variable.name.endswith("variance"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        else:
            noise = rng.normal(0.0, 0.1, variable.shape)
            variable.assign(variable.numpy().astype("float64") + noise)
