"""Small models with awkward graphs, each built in milliseconds.

`ZOO` maps a name to the function that builds the model, with weights that are seeded and all perturbed, so that no two
variables are alike and no statistic has its initial value. A new model is a new function under `@model(...)`.
"""

from __future__ import annotations

from tests.zoo import (  # noqa: F401 - importing a subject enters its models
    attention,
    convolutions,
    custom,
    dtypes,
    ends,
    flags,
    graphs,
    masks,
    nesting,
    normalisations,
    opaque,
    operations,
    preprocessing,
    recurrent,
    settings,
    wrappers,
)
from tests.zoo.probe import assert_same_outputs, outputs, sample_inputs, weights_by_path
from tests.zoo.registry import KERAS_CANNOT_RELOAD, KERAS_CHANGES_WEIGHTS, TAGS, ZOO, tagged

OPAQUE = tagged("opaque")
"""Models whose configuration lists no layers."""

FUNCTIONAL = [name for name in ZOO if name not in OPAQUE]
"""Models whose whole graph is listed in the configuration, Sequential ones included."""

NEEDS_CUSTOM = tagged("custom")
"""Models that load only where this package has registered its classes and functions."""

RELOADABLE = [name for name in ZOO if name not in KERAS_CANNOT_RELOAD]
"""Models that plain Keras saves and loads with bit-equal outputs."""

__all__ = [
    "FUNCTIONAL",
    "KERAS_CANNOT_RELOAD",
    "KERAS_CHANGES_WEIGHTS",
    "NEEDS_CUSTOM",
    "OPAQUE",
    "RELOADABLE",
    "TAGS",
    "ZOO",
    "assert_same_outputs",
    "outputs",
    "sample_inputs",
    "tagged",
    "weights_by_path",
]
