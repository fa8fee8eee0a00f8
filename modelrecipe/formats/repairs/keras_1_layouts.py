"""How the arrays of one layer of Keras 1 become the variables of its class today.

Source: `build` of the layers of Keras 1.2.2, and for the order of the gates their `step`. The numbers are read when
they are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from modelrecipe import catalog
from modelrecipe.formats.hdf5.tensors import StoredTensor
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GATES = {"LSTM": "ifco", "ConvLSTM2D": "ifco", "GRU": "zrh"}
"""In the order in which today's kernels hold them."""
_LISTED = {"LSTM": "icfo", "ConvLSTM2D": "icfo", "GRU": "zrh"}
"""In the order in which the file lists them."""
_PLAIN = {"W": "kernel", "b": "bias"}
_VARIABLES: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(("Dense", "Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose"), _PLAIN),
    "SeparableConv2D": {
        "depthwise_kernel": "depthwise_kernel",
        "pointwise_kernel": "pointwise_kernel",
        "b": "bias",
    },
    **{name: {"W": "kernel", "U": "recurrent_kernel", "b": "bias"} for name in ("SimpleRNN", *_GATES)},
    "Embedding": {"W": "embeddings"},
    "PReLU": {"alphas": "alpha"},
    "BatchNormalization": {
        "gamma": "gamma",
        "beta": "beta",
        "running_mean": "moving_mean",
        "running_std": "moving_variance",  # it holds the variance, whatever its name
    },
}
STATISTICS = ("running_mean", "running_std")


@frozen
class Part:
    """A layer whose arrays the file lists in a row: a layer itself, or one that a wrapper holds.

    Args:
        class_name: today's.
        config: today's.
        name: as Keras 1 called it, which its arrays' names begin with.
        variables: the full names of its variables today, under the last component of each.
    """

    class_name: str
    config: Mapping[str, Any]
    name: str
    variables: Mapping[str, str]

    @property
    def alternatives(self) -> tuple[tuple[str, ...], ...]:
        """The ends of the names that Keras 1 may have listed, in its order; a layer with gates knew two forms."""
        whole = tuple(
            name
            for name in _VARIABLES[self.class_name]
            if name != "b" or self.config.get("use_bias", True) is not False
        )
        gates = _LISTED.get(self.class_name, "")
        split = tuple(f"{name}_{gate}" for gate in gates for name in whole)
        return (split, whole) if split else (whole,)

    def modern(self, arrays: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
        """The variables of today under their full names, of the arrays under the ends of their old names."""
        found: dict[str, StoredTensor] = {}
        for old, new in _VARIABLES[self.class_name].items():
            gates = [f"{old}_{gate}" for gate in _GATES.get(self.class_name, "")]
            listed = [arrays[name] for name in (gates if gates and gates[0] in arrays else [old]) if name in arrays]
            if listed:
                found[self.variables[new]] = _joined(listed, _move(self, old, listed[0].shape))
        return found


def parts(class_name: str, config: Mapping[str, Any]) -> tuple[Part, ...] | None:
    """The layers that hold the variables of a layer, in the order of the file; None where that is not known."""
    known = catalog.variables(class_name, config)
    return None if known is None else _parts(class_name, config, [variable.name for variable in known], "", "")


def _parts(
    class_name: str, config: Mapping[str, Any], names: Sequence[str], scope: str, prefix: str
) -> tuple[Part, ...] | None:
    inner = config.get("layer")
    if class_name == "TimeDistributed" and isinstance(inner, Mapping):
        name = str(inner["config"].get("name"))
        return _parts(inner["class_name"], inner["config"], names, f"{scope}{prefix}{name}/", "")
    if class_name == "Bidirectional" and isinstance(inner, Mapping):
        found = [_parts(inner["class_name"], inner["config"], names, scope, f"{side}_") for side in _SIDES]
        return None if None in found else tuple(part for parts in found for part in parts or ())
    if class_name not in _VARIABLES:
        return None if names else ()
    own = f"{prefix}{config.get('name')}"
    start = f"{scope}{own}/" if prefix else scope
    variables = {name.rpartition("/")[2]: name for name in names if name.startswith(start)}
    return (Part(class_name=class_name, config=config, name=own, variables=variables),)


_SIDES = ("forward", "backward")

Move = Callable[["NDArray[np.generic]"], "NDArray[np.generic]"]


@frozen
class Turned:
    """Another order of an array's axes.

    Args:
        axes: the new order; empty for the old one.
        dropped: an axis of size one that is left out afterwards.
    """

    axes: tuple[int, ...] = ()
    dropped: int | None = None

    def __call__(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """The same numbers in the new order."""
        turned = values.transpose(self.axes) if self.axes else values
        return turned if self.dropped is None else turned.squeeze(self.dropped)

    def shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape that comes out."""
        turned = [shape[axis] for axis in self.axes] if self.axes else list(shape)
        return tuple(size for axis, size in enumerate(turned) if axis != self.dropped)


@frozen
class JoinedSource:
    """Reads the arrays of all gates and puts them side by side, each with its axes turned before."""

    sources: tuple[Callable[[], NDArray[np.generic]], ...]
    turned: Turned

    def __call__(self) -> NDArray[np.generic]:
        """The numbers of today's variable."""
        arrays = [self.turned(source()) for source in self.sources]
        return np.ascontiguousarray(arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=-1))


def _joined(arrays: Sequence[StoredTensor], turned: Turned) -> StoredTensor:
    first = arrays[0]
    if len(arrays) == 1 and turned == Turned():
        return first
    *head, last = turned.shape(first.shape)
    return StoredTensor(
        path=first.path,
        shape=(*head, last * len(arrays)),
        dtype=first.dtype,
        source=JoinedSource(sources=tuple(array.source for array in arrays), turned=turned),
    )


def _move(part: Part, old: str, shape: tuple[int, ...]) -> Turned:
    """How the axes of an array stand today: the kernel's window first, then inputs, then outputs, whatever the data."""
    config, rank = part.config, len(shape)
    if rank < 4 or old == "b":
        return Turned()
    is_first = config.get("data_format") == "channels_first"
    if part.class_name == "Conv1D":
        return _move_1d(config, shape)
    window = (*range(2, rank), 1, 0) if is_first else tuple(range(rank))
    if part.class_name == "Conv2DTranspose":
        window = (*window[:-2], window[-1], window[-2])
    return Turned() if window == tuple(range(rank)) else Turned(axes=window)


def _move_1d(config: Mapping[str, Any], shape: tuple[int, ...]) -> Turned:
    """Keras 1.1 and later wrote (length, 1, inputs, outputs), before it was (outputs, inputs, length, 1)."""
    length = config["kernel_size"]
    length = length[0] if isinstance(length, list) else length
    if shape[:2] == (length, 1) and shape[3] == config["filters"]:
        return Turned(dropped=1)
    return Turned(axes=(2, 3, 1, 0), dropped=1)


_ENDS = sorted(
    {f"{old}_{gate}" for old in ("W", "U", "b") for gate in "icfozrh"}
    | {old for one in _VARIABLES.values() for old in one},
    key=len,
    reverse=True,
)
_END = re.compile(rf"(?P<layer>.*)_(?P<end>{'|'.join(_ENDS)})(?:_\d+)?$")


def layer_and_end(plain: str) -> tuple[str, str] | None:
    """`dense_1` and `W` of the name `dense_1_W`, also where TensorFlow numbered it, `dense_1_W_2`."""
    found = _END.match(plain.rpartition("/")[2])
    return (found["layer"], found["end"]) if found else None
