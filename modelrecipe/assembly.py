"""An architecture and the weights that it begins with, as a recipe asks for them."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Literal

from modelrecipe.applications import Application
from modelrecipe.errors import LanguageError
from modelrecipe.fields import Doc
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelrecipe.layer_spec import LayerSpec
    from modelrecipe.selector import Selector

Match = Literal["by_path", "by_name", "by_order"]


@frozen
class BareApplication(Application):
    """An architecture of `keras.applications` with the arguments of its constructor, without weights of its own."""

    weights: Annotated[None, Doc("null or left out: the weights come from 'weights' beside the architecture")] = None


@frozen
class Assembly:
    """What is put together.

    Args:
        architecture: a file, or an architecture of `keras.applications`.
        weights: the file with the numbers; None for newly initialised ones.
        match: how names of the file find layers; None for what the container suggests.
        map: names in the file to what the model calls them.
        fresh: layers that get nothing from the file.
        ignore: names in the file that are left there.
        mends: whether what older versions of Keras wrote is repaired.
        replace: paths of layers that Keras cannot build, to the layers that stand for them.
    """

    architecture: str | BareApplication
    weights: str | None = None
    match: Match | None = None
    map: Mapping[str, str] = field(default_factory=dict)
    fresh: Selector | None = None
    ignore: tuple[str, ...] = ()
    mends: bool = True
    replace: Mapping[str, LayerSpec] = field(default_factory=dict)

    def problems(self) -> Iterator[LanguageError]:
        """What says something about weights that are not there, or contradicts itself."""
        said = {"match": self.match, "map": self.map, "fresh": self.fresh, "ignore": self.ignore}
        if self.weights is None:
            for key, value in said.items():
                if value:
                    yield LanguageError(f"'{key}' speaks of weights, but no file is named", at=(key,))
        if self.match == "by_order" and self.map:
            yield LanguageError("'map' renames, but 'by_order' looks at no names", hint="keep one", at=("map",))
