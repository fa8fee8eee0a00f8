"""Numbers that only pass through a live model: Keras asks for a variable while it saves, and is shown the file's.

So no model has to be filled to be written, and at any time one tensor is in memory. `keras.StatelessScope` is made for
showing variables other values than their own; here each value is read when it is asked for.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from modelrecipe.formats.hdf5.tensors import ContiguousSource
from modelrecipe.formats.passing import Passed, Region
from modelrecipe.live.private import begin, is_empty, quick_saving
from modelrecipe.live.session import import_keras
from modelrecipe.weights import digest_array

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from modelrecipe.weights import Tensor


class Loans:
    """What variables are shown in place of their own numbers, and what was read for that.

    Two variables never have one identity, as all of them live as long as the model.
    """

    def __init__(self) -> None:
        self.passed: list[Passed] = []
        self._tensors: dict[int, Tensor] = {}

    def add(self, variable: Any, tensor: Tensor) -> None:
        """Show `variable` the numbers of `tensor`, which has the same shape."""
        self._tensors[id(variable)] = tensor

    def give(self, variables: Iterable[Any]) -> None:
        """Let variables hold the numbers that they were lent, too; what they show is the same."""
        for variable in variables:
            tensor = self.tensor(variable)
            if tensor is not None and is_empty(variable):
                begin(variable, tensor.read())

    def __contains__(self, variable: Any) -> bool:
        return id(variable) in self._tensors

    def tensor(self, variable: Any) -> Tensor | None:
        """What `variable` shows; None for one that shows its own numbers."""
        return self._tensors.get(id(variable))

    def value(self, variable: Any) -> Any:
        """The numbers in the type of the variable; None for one that shows its own."""
        tensor = self.tensor(variable)
        if tensor is None:
            return None
        values = tensor.read()
        self._remember(tensor, digest_array(values, tensor.dtype))
        if values.dtype.name == variable.dtype:
            return values
        return import_keras().ops.convert_to_tensor(values, dtype=variable.dtype)

    def _remember(self, tensor: Tensor, digest: str) -> None:
        """What was read is known then, and need not be read again to be compared."""
        if isinstance(tensor.source, ContiguousSource):
            region = Region(offset=-1, source=tensor.source, tensor=tensor if tensor.edits else None)
            self.passed.append(
                Passed(region=region, before=None, after=digest)
                if tensor.edits
                else Passed(region=region, before=digest, after=None)
            )


@contextmanager
def lent(loans: Loans) -> Iterator[None]:
    """While it is open, variables show what they were lent; none can be changed."""
    keras = import_keras()

    class Lending(keras.StatelessScope):
        def get_current_value(self, variable: Any) -> Any:
            shown = super().get_current_value(variable)
            return loans.value(variable) if shown is None else shown

    with quick_saving(), Lending(initialize_variables=False):
        yield
