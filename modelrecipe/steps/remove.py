"""`remove`: take layers out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit.rewire import remove_layers
from modelrecipe.edit.surgery import check_all_copies, drop_unreachable, edit_graphs, outermost, refuse_opaque
from modelrecipe.errors import EditError
from modelrecipe.fields import Doc
from modelrecipe.selector import Selector
from modelrecipe.step import STRUCTURE, Bench, Change, Step, Touch


@dataclass(frozen=True, kw_only=True)
class Remove(Step):
    """Take the selected layers out of the model.

    A layer with one input is bypassed: what it was given goes on in its place, at every call of a shared layer. When
    the last layers go, the model ends where they began. Layers that no output needs any more go too, and are listed.
    Everything else, its weights, names and flags, is unchanged.

    Example:
        - remove: {layers: {type: Dropout}}
    """

    word: ClassVar[str] = "remove"
    touches: ClassVar[Touch] = STRUCTURE

    layers: Annotated[Selector, Doc("layers with one input, anywhere in the model")]

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """Bypass the layers, then drop what nothing needs any more."""
        refuse_opaque(checkpoint, self.word)
        chosen = outermost(bench.select(checkpoint, self.layers))
        check_all_copies(checkpoint, chosen)
        try:
            edited = edit_graphs(checkpoint, {located.path: None for located in chosen}, remove_layers)
        except EditError as error:
            error.at = error.at or ("layers",)
            raise
        for located in chosen:
            what = f"{located.layer.kind_name} removed"
            bench.record(Change(kind="-", layer=located.path, key=located.layer.key, what=what))
        edited, dropped = drop_unreachable(edited)
        before = {located.path: located for located in checkpoint.layers()}
        for path in dropped:
            what = f"{before[path].layer.kind_name} dropped: no output needs it any more"
            bench.record(Change(kind="-", layer=path, key=before[path].layer.key, what=what))
        return edited
