"""`bn_reestimate`: take the moving statistics of BatchNormalization anew from data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from modelrecipe import measures
from modelrecipe.checkpoint import Checkpoint
from modelrecipe.data import DataSpec
from modelrecipe.edit.held import holders
from modelrecipe.edit.surgery import leaves_of
from modelrecipe.errors import EditError
from modelrecipe.fields import Doc
from modelrecipe.graph import Located
from modelrecipe.selector import Selector
from modelrecipe.step import LIVE, VALUES, Bench, Change, Step, Touch
from modelrecipe.training.settings import AT_LEAST_ONE

_CLASS = "BatchNormalization"
_STATISTICS = ("moving_mean", "moving_variance")


@dataclass(frozen=True, kw_only=True)
class BnReestimate(Step):
    """Estimate the moving statistics of BatchNormalization layers again, from data.

    As after averaging weights (Izmailov et al., 2018, arXiv:1803.05407), or for data of another domain (AdaBN: Li et
    al., 2016, arXiv:1603.04779). The model is shown each example once. The selected layers normalise by the statistics
    of each batch, frozen or not; all others work in inference mode. Afterwards the moving mean is the mean over all
    examples, and the moving variance the mean of the variances within the batches, in which a batch counts as much as
    it has examples. The old statistics play no part, and nothing else of the model changes.

    The examples are those that `train` would train on, in batches of a random order that is the same for every step,
    and with their augmentation. BatchNormalization inside wrappers is left alone, and noted.

    Example:
        - bn_reestimate: {data: {npz: digits.npz, x: images}, batch_size: 64}
    """

    word: ClassVar[str] = "bn_reestimate"
    touches: ClassVar[Touch] = LIVE | VALUES

    data: Annotated[DataSpec, Doc("the examples")]
    layers: Annotated[Selector | None, Doc("which BatchNormalization layers; all, if not given")] = None
    batch_size: Annotated[int, Doc("examples in a batch"), AT_LEAST_ONE] = 32
    batches: Annotated[int | None, Doc("how many batches are enough; all, if not given"), AT_LEAST_ONE] = None

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """The model with new statistics; in a plan the same model, with what may differ named."""
        paths = self._chosen(checkpoint, bench)
        for key, path in paths.items():
            what = "moving_mean, moving_variance taken anew from data"
            bench.record(Change(kind="~", layer=path, key=key, what=what, weights=_STATISTICS))
        return bench.reestimate(checkpoint, self, paths)

    def _chosen(self, checkpoint: Checkpoint, bench: Bench) -> dict[str, str]:
        """Key and path of each layer that is meant; a shared one once."""
        if checkpoint.is_opaque:
            return {}  # refused with the data, whatever is selected
        chosen = list(checkpoint.layers()) if self.layers is None else bench.select(checkpoint, self.layers)
        leaves = list(leaves_of(chosen).values())
        found: dict[str, str] = {}
        for located in leaves:
            if located.layer.kind_name == _CLASS:
                found.setdefault(located.layer.key, located.path)
                _refuse_renorm(located)
        hidden = [item.path for item in leaves if any(held.class_name == _CLASS for held in holders(item.layer)[1:])]
        if hidden:
            bench.note(f"left alone, as it stands inside a wrapper: {_CLASS} of {measures.quoted(hidden)}")
        if not found:
            if self.layers is None:
                raise EditError(f"there is no {_CLASS} in the model")
            whose = measures.quoted([item.path for item in leaves])
            hint = f"select some by {{type: {_CLASS}}}"
            raise EditError(f"there is no {_CLASS} in {whose}", hint=hint, at=("layers",))
        return found


def _refuse_renorm(located: Located) -> None:
    """Batch renormalization keeps more than two statistics, and normalises by all of them.

    Raises:
        EditError: the layer does it.
    """
    if located.layer.config.get("renorm"):
        raise EditError(f"'{located.path}' renormalizes its batches (renorm), whose statistics cannot be taken anew")
