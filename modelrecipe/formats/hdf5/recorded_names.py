"""What the variables of a layer are called, in HDF5 files that record a name of each.

Recorded names are TensorFlow's or Keras' paths, `dense_1/kernel:0` or `outer/dense/kernel`: their ends are telling,
their scopes not always. Knows headers and the catalog, not files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from modelrecipe import catalog
from modelrecipe.formats.variable_names import may_train
from modelrecipe.frozen import frozen
from modelrecipe.weights import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelrecipe.catalog import Variable
    from modelrecipe.formats.hdf5.tensors import StoredTensor


@frozen
class Recorded:
    """One weight as a file lists it.

    Args:
        group: the name of the outermost model's layer under which it is listed.
        weight: its recorded name.
        stored: its header.
    """

    group: str
    weight: str
    stored: StoredTensor

    @property
    def slot(self) -> str:
        """Its place below `model_weights`."""
        return f"{self.group}/{self.weight}"

    @property
    def plain(self) -> str:
        """The recorded name without TensorFlow's output number."""
        return re.sub(r":\d+$", "", self.weight)

    @property
    def scope(self) -> str:
        """What stands before the variable's own name, as `outer/dense`."""
        return self.plain.rpartition("/")[0]

    @property
    def end(self) -> str:
        """The variable's own name, as `kernel`."""
        return self.plain.rpartition("/")[2]


def recorded_tensors(
    name: str, class_name: str, config: Mapping[str, Any], recorded: Sequence[Recorded]
) -> tuple[Tensor, ...]:
    """The variables of a layer, in the file's order.

    Args:
        name: of the layer.
        class_name: of the layer.
        config: of the layer.
        recorded: what the file lists of it.
    """
    known = catalog.variables(class_name, config) or ()
    matches = [_longest_suffix(item.plain, known) for item in recorded]
    names = [match.name for match in matches if match]
    if len(names) < len(recorded) or len(set(names)) < len(names):
        names = [_shortened(item.plain, name) for item in recorded]
    if len(set(names)) < len(names):
        names = [item.plain for item in recorded]
    flags = {variable.name.rpartition("/")[2]: variable.trainable for variable in known}
    return tuple(
        Tensor(
            name=name,
            slot=item.slot,
            shape=item.stored.shape,
            dtype=item.stored.dtype,
            is_trainable=flags.get(item.end, may_train(name, item.stored.dtype)),
            source=item.stored.source,
        )
        for name, item in zip(names, recorded, strict=True)
    )


def agrees(item: Recorded, class_name: str, variable: Variable) -> bool:
    """Whether a recorded name can be that of a layer's variable; Keras 3 renamed the kernel of depthwise layers."""
    name = variable.name.rpartition("/")[2]
    return item.end == name or (
        class_name.startswith("Depthwise") and (item.end, name) == ("depthwise_kernel", "kernel")
    )


def _longest_suffix(recorded: str, known: Sequence[Variable]) -> Variable | None:
    fitting = [variable for variable in known if f"/{recorded}".endswith(f"/{variable.name}")]
    return max(fitting, key=lambda variable: len(variable.name), default=None)


def _shortened(recorded: str, layer: str) -> str:
    """`kernel` of `dense/kernel`, `dense_1/kernel` (a scope that TensorFlow numbered) or `outer/dense/kernel`."""
    scopes = list(re.finditer(rf"(?:^|/){re.escape(layer)}(?:_\d+)?/", recorded))
    return recorded[scopes[-1].end() :] if scopes else recorded
