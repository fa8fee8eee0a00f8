"""`load`: open a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from modelrecipe.applications import Application
from modelrecipe.checkpoint import Checkpoint
from modelrecipe.errors import LanguageError
from modelrecipe.fields import Doc
from modelrecipe.step import NOTHING, Bench, Step, Touch


@dataclass(frozen=True, kw_only=True)
class Load(Step):
    """Open a model file, or build an architecture of `keras.applications`.

    Reads `.keras` files of Keras 3 and whole-model HDF5 files, by content and not by name, without running any code
    of the file. The file is never changed. With `as`, the model is put aside under that name and the current model
    stays.

    Example:
        - load: pretrained.keras
    """

    word: ClassVar[str] = "load"
    touches: ClassVar[Touch] = NOTHING

    path: Annotated[str | None, Doc("a model file, relative to the recipe")] = None
    application: Annotated[Application | None, Doc("an architecture of keras.applications with its arguments")] = None
    format: Annotated[Literal["keras", "h5"] | None, Doc("what the file is, when its content is not to decide")] = None
    as_: Annotated[str | None, Doc("put the model aside under this name, for steps that read from it")] = None

    def problems(self) -> Iterator[LanguageError]:
        """One of `path` and `application`."""
        if (self.path is None) == (self.application is None):
            yield LanguageError("load needs one of 'path' and 'application'")
        if self.application is not None and self.format is not None:
            yield LanguageError("an application has no file format", at=("format",))

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """The opened model becomes the current one, unless `as` puts it aside."""
        aside = self.as_ is not None
        if self.application is not None:
            opened = bench.construct(self.application, aside=aside)
        else:
            opened = bench.open(str(self.path), self.format, aside=aside)
        if self.as_ is not None:
            bench.keep(self.as_, opened)
            return checkpoint
        return opened
