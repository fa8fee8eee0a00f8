"""What became of every layer of an architecture and of every tensor of a file: told, or refused where it is a gap."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modelrecipe.errors import FileError
from modelrecipe.measures import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from modelrecipe.formats.weights.files import Match, WeightFile
    from modelrecipe.formats.weights.fitting import Fit
    from modelrecipe.formats.weights.matching import Found
    from modelrecipe.graph import Located
    from modelrecipe.weights import Tensor

_MOST = 8
"""Names that a line lists."""


@dataclass
class Account:
    """Collects what was done, layer by layer.

    Args:
        file: the weights.
        how: how they were matched.
        note: what to know of that.
        ignored: entries that the recipe leaves in the file.
    """

    file: WeightFile
    how: Match
    note: str | None = None
    ignored: tuple[str, ...] = ()
    _loaded: dict[str, int] = field(default_factory=dict)
    _fresh: list[str] = field(default_factory=list)
    _missing: list[str] = field(default_factory=list)
    _misshapen: list[str] = field(default_factory=list)
    _extra: list[str] = field(default_factory=list)
    _unused: list[str] = field(default_factory=list)
    _left: list[str] = field(default_factory=list)
    _cast: int = 0

    def fresh(self, item: Located, places: Sequence[Tensor]) -> None:
        """A layer that gets nothing because the recipe says so."""
        self._fresh += [f"'{item.path}'"] if places else []

    def unchecked(self, item: Located, given: Sequence[Tensor]) -> None:
        """A layer of a class that only Keras knows."""
        if given:
            self._loaded[item.path] = len(given)

    def take(self, item: Located, fit: Fit, found: Found) -> None:
        """A layer and its variables."""
        loaded = sum(1 for tensor in fit.tensors if tensor.source is not None)
        if loaded:
            self._loaded[item.path] = loaded
        if fit.missing:
            self._missing.append(f"'{item.path}' ({', '.join(_shown(tensor) for tensor in fit.missing)})")
        self._misshapen += [
            f"'{item.path}/{tensor.name}' ({shape} in the file, {tensor.shape} in the architecture)"
            for tensor, shape in fit.misshapen
        ]
        key = item.layer.key
        self._extra += [f"'{found.entries.get((key, tensor.slot), tensor.slot)}'" for tensor in fit.left]
        self._cast += fit.cast

    def close(self, found: Found, fresh: Collection[str]) -> None:
        """Find out what no layer took."""
        used = set(found.entries.values())
        self._unused += [
            f"'{entry.path}'"
            for entry in self.file.entries
            if entry.path not in used and entry.path not in self.ignored
        ]
        self._left += [f"'{name}'" for name in self.ignored]
        self._left += [f"'{entry}'" for (key, _), entry in found.entries.items() if key in fresh]

    def refuse_gaps(self) -> None:
        """Refuse an assembly in which anything is open.

        Raises:
            FileError: something is missing, of another shape, or not used.
        """
        gaps = {
            "holds nothing for": self._missing,
            "holds another shape for": self._misshapen,
            "holds for no layer": self._unused,
            "holds for no variable": self._extra,
        }
        lines = [f"\n  it {what} {_listed(names)}" for what, names in gaps.items() if names]
        if lines:
            raise FileError(
                f"'{self.file.path}' does not fit the architecture ({self.how}):{''.join(lines)}",
                hint=self._hint(),
                at=("weights",),
            )

    def _hint(self) -> str:
        if not self._loaded:
            return "rename with 'map', or try another 'match'"
        return "rename with 'map', or name layers under 'fresh' and names of the file under 'ignore'"

    def notes(self) -> Iterator[str]:
        """The report."""
        tensors, layers = counted(sum(self._loaded.values()), "tensor"), counted(len(self._loaded), "layer")
        yield f"{tensors} for {layers}, {self.how}, from {self.file.title}"
        if self.note:
            yield f"{self.note}: matched by class and order, as Keras does"
        if self._cast:
            yield f"{counted(self._cast, 'tensor')} in another type than the file's"
        if self._fresh:
            yield f"fresh weights: {_listed(self._fresh)}"
        if self._left:
            yield f"left in the file: {_listed(self._left)}"


def _shown(tensor: Tensor) -> str:
    return tensor.name if tensor.shape is None else f"{tensor.name} {tensor.shape}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more
