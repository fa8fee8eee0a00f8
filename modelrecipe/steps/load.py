"""`load`: open a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from modelrecipe.applications import Application
from modelrecipe.assembly import Assembly, BareApplication, Match
from modelrecipe.checkpoint import Checkpoint
from modelrecipe.errors import LanguageError
from modelrecipe.fields import Doc
from modelrecipe.layer_spec import LayerSpec
from modelrecipe.selector import Selector
from modelrecipe.step import NOTHING, Bench, Step, Touch


@dataclass(frozen=True, kw_only=True)
class Load(Step):
    """Open a model file, build an architecture of `keras.applications`, or give weights to an architecture.

    Reads files of all versions of Keras, recognised by their content. No code in a file is run, and no file is changed.
    Old files are repaired, and the report says how. `replace` puts another layer in the place of one that Keras cannot
    build, a Lambda of Python code or a custom class: it keeps name, calls and weights. With `as`, the model is put
    aside under that name, and the current model stays.

    `architecture` names an architecture alone, even in a file that has weights: these come from `weights`, or are newly
    initialised. Layers and tensors that are left over are errors unless `fresh` and `ignore` name them.

    Example:
        - load: pretrained.keras
    """

    word: ClassVar[str] = "load"
    touches: ClassVar[Touch] = NOTHING

    path: Annotated[str | None, Doc("a model file, relative to the recipe")] = None
    application: Annotated[Application | None, Doc("an architecture of keras.applications with its arguments")] = None
    format: Annotated[
        Literal["keras", "h5", "tfsm"] | None,
        Doc("what the file is, when its content is not to decide; tfsm takes a SavedModel in as one opaque layer"),
    ] = None
    repairs: Annotated[
        Literal["all", "none"], Doc("repair what older versions of Keras wrote, or take the file literally")
    ] = "all"
    replace: Annotated[
        Mapping[str, LayerSpec], Doc("path of a layer that Keras cannot build, to the layer that stands for it")
    ] = field(default_factory=dict)
    architecture: Annotated[
        str | BareApplication | None,
        Doc("a file with an architecture (JSON, YAML, model, recipe), or one of keras.applications with its arguments"),
    ] = None
    weights: Annotated[str | None, Doc("the file with the architecture's weights; without it they begin fresh")] = None
    match: Annotated[
        Match | None,
        Doc("how names in the file find layers; by_path for files of Keras 3, by_order for bare arrays, else by_name"),
    ] = None
    map: Annotated[Mapping[str, str], Doc("names in the file, to what the model calls them; may hold *")] = field(
        default_factory=dict
    )
    fresh: Annotated[Selector | None, Doc("layers that take nothing from the file and begin with new weights")] = None
    ignore: Annotated[tuple[str, ...], Doc("names in the file (globs) that no layer takes")] = ()
    as_: Annotated[str | None, Doc("put the model aside under this name, for steps that read from it")] = None

    def problems(self) -> Iterator[LanguageError]:
        """One of `path`, `application` and `architecture`, with what belongs to it."""
        given = [key for key in ("path", "application", "architecture") if getattr(self, key) is not None]
        if not given:
            yield LanguageError("needs 'path', 'application' or 'architecture'", hint="say which model")
        elif len(given) > 1:
            yield LanguageError(f"has both '{given[0]}' and '{given[1]}'", hint="keep one")
        if self.application is not None and self.format is not None:
            yield LanguageError("an application has no file format", at=("format",))
        if self.architecture is not None:
            if self.format is not None:
                yield LanguageError("the content of an architecture decides what it is", at=("format",))
            yield from self._assembly(self.architecture).problems()
        else:
            for key in ("weights", "match", "map", "fresh", "ignore"):
                if getattr(self, key):
                    yield LanguageError(f"'{key}' belongs to an 'architecture'", at=(key,))

    def _assembly(self, architecture: str | BareApplication) -> Assembly:
        return Assembly(
            architecture=architecture,
            weights=self.weights,
            match=self.match,
            map=self.map,
            fresh=self.fresh,
            ignore=self.ignore,
            mends=self.repairs == "all",
            replace=self.replace,
        )

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """The opened model becomes the current one, unless `as` puts it aside."""
        aside = self.as_ is not None
        if self.architecture is not None:
            opened = bench.assemble(self._assembly(self.architecture), aside=aside)
        elif self.application is not None:
            opened = bench.construct(self.application, aside=aside)
        else:
            opened = bench.open(
                str(self.path), self.format, aside=aside, mends=self.repairs == "all", replace=self.replace
            )
        if self.as_ is not None:
            bench.keep(self.as_, opened)
            return checkpoint
        return opened
