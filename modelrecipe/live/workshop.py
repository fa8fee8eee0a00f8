"""The live floor as one value: builds a document at most once for each structure, and lends out the model."""

from __future__ import annotations

import contextlib
import sys
import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from modelrecipe import formats
from modelrecipe.edit import fit
from modelrecipe.edit.flags import carries_flag, set_flags
from modelrecipe.engine.digest import architecture_digest
from modelrecipe.errors import BuildError, FileError, LanguageError
from modelrecipe.formats.tensorflow import TFSM
from modelrecipe.graph import walk
from modelrecipe.live import build, filling, outputs, save, state
from modelrecipe.live.assets import give_assets
from modelrecipe.live.construct import foreign_code, reason
from modelrecipe.live.gaps import Gaps
from modelrecipe.live.lending import Loans, lent
from modelrecipe.live.private import fresh_names, quick_saving
from modelrecipe.live.session import import_keras, seeded
from modelrecipe.propagate import annotate
from modelrecipe.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from modelrecipe.applications import Application
    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.formats.passing import Passed
    from modelrecipe.weights import Tensor


@dataclass
class Workshop:
    """Builds and lends live models.

    Args:
        scratch: a folder for temporary files.
        seed: of new weights and of sampled inputs.
        progress: told in words what takes time.
        is_safe: refuse Python code in configurations.
        executes_graphs: build a SavedModel that was taken in as one opaque layer.
    """

    scratch: Path
    seed: int
    progress: Callable[[str], None]
    is_safe: bool = True
    executes_graphs: bool = False
    _built: dict[str, build.Built] = field(default_factory=dict)
    _names: int = 0

    def construct(self, application: Application) -> Checkpoint:
        """An architecture of `keras.applications` as a document.

        Raises:
            FileError: its weights cannot be fetched or read.
            LanguageError: Keras refuses the arguments.
            BuildError: something else went wrong in Keras.
        """
        keras = import_keras()
        constructor = getattr(keras.applications, application.name)
        try:
            # Keras tells of downloads on stdout, where only results belong.
            with seeded(self.seed), fresh_names(), contextlib.redirect_stdout(sys.stderr):
                model = constructor(**application.arguments())
        except Exception as error:
            # `keras.utils.get_file` raises a bare Exception when a download fails.
            if type(error) is Exception or isinstance(error, OSError):
                raise FileError(
                    f"the weights '{application.weights}' of {application.name} cannot be had: {error}",
                    hint="load a file, or write weights: null for newly initialised ones",
                    at=("application", "weights"),
                ) from error
            if not isinstance(error, ValueError | TypeError):
                raise
            raise LanguageError(f"{application.name}: {reason(error)}", at=("application",)) from error
        return self.capture(model)

    def capture(self, model: Any) -> Checkpoint:
        """A live model as a document; the model itself is not touched."""
        file = self._scratch_file("captured", ".keras")
        save.save_passing(model, file, "keras")
        try:
            return formats.read_checkpoint(file, "keras")
        except FileError as error:
            said = error.message.replace(f"'{file}'", f"the file that Keras saves of '{model.name}'")
            raise FileError(said, hint=error.hint) from error

    def _scratch_file(self, name: str, ending: str) -> Path:
        self._names += 1
        return self.scratch / f"{name}-{self._names}{ending}"

    def measure(self, checkpoint: Checkpoint) -> Checkpoint:
        """The same document with every shape, and with the numbers of new layers as Keras initialises them.

        Raises:
            BuildError: a layer cannot be made, or gets something else than it was made for.
        """
        built = self._build(checkpoint)
        for misfit in fit.misfits(checkpoint, built.shapes):
            raise misfit
        return annotate(replace(checkpoint, weights=_with_fresh(built, checkpoint)), built.shapes)

    def live(self, checkpoint: Checkpoint) -> Any:
        """A live model with the document's numbers and flags; later calls may change it again."""
        return self._filled(checkpoint, None)

    def lend(self, checkpoint: Checkpoint) -> build.Built:
        """A live model of its own with the document's numbers and flags, that nobody else is given.

        Raises:
            BuildError: as `measure`; or the model is subclassed, so that its layers cannot be told apart.
        """
        if checkpoint.is_opaque:
            raise BuildError(
                f"'{checkpoint.model.class_name}' is a subclassed model, whose layers the file does not list",
                hint="save it as a Functional model",
            )
        own = replace(self, _built={})
        own._names = self._names + 2000
        own._filled(checkpoint, None)
        (built,) = own._built.values()
        return built

    def _filled(self, checkpoint: Checkpoint, loans: Loans | None) -> Any:
        if checkpoint.is_opaque:
            return self._load(checkpoint)
        built = self._build(checkpoint)
        self.progress("filling in the weights")
        filling.fill_all(built, replace(checkpoint, weights=_with_fresh(built, checkpoint)), loans)
        give_assets(built, checkpoint, self._scratch_file("assets", ""))
        filling.set_live_flags(built, checkpoint.model)
        return built.model

    def _load(self, checkpoint: Checkpoint) -> Any:
        """An opaque model: only Keras' own loader can make it."""
        keras = import_keras()
        kind = "keras" if checkpoint.origin and checkpoint.origin.format == "keras_zip" else "h5"
        file = self._scratch_file("opaque", f".{kind}")
        formats.rewrite(checkpoint, file, kind)
        name = checkpoint.model.registered_name or checkpoint.model.class_name
        with foreign_code(
            lambda error: BuildError(
                f"Keras cannot make the subclassed model '{name}': {reason(error)}",
                hint="name the module that registers it under imports, and pass --allow-code",
            )
        ):
            return keras.saving.load_model(file, compile=False, safe_mode=self.is_safe)

    def _build(self, checkpoint: Checkpoint) -> build.Built:
        structure, unfilled = _structure(checkpoint), _unfilled(checkpoint)
        if structure in self._built and unfilled <= self._built[structure].fresh.keys():
            return self._built[structure]
        self.progress("building the model")
        self._built.clear()
        with warnings.catch_warnings():
            # Keras remarks on how inputs are passed, which is as the model's author wrote it.
            warnings.simplefilter("ignore", UserWarning)
            trusts = self.executes_graphs and checkpoint.origin is not None and checkpoint.origin.format == TFSM
            layers = {item.layer.key: item.layer for item in walk(checkpoint.model)}
            built = build.build(
                checkpoint.model,
                seed=self.seed,
                is_safe=self.is_safe,
                executes_graphs=trusts,
                filled=layers.keys() - unfilled,
            )
        for key in unfilled:
            live = built.layers.get(key)  # the implicit input of a Sequential model is not made
            built.fresh[key] = state.read(live, layers[key].kind_name, layers[key].config)
        self._built[structure] = built
        return built

    def compare(self, one: Checkpoint, other: Checkpoint, batch: int) -> float:
        """The largest difference of the outputs of two documents."""
        second = replace(self, _built={})
        second._names = self._names + 1000
        return outputs.largest_difference(self.live(one), second.live(other), seed=self.seed, batch=batch)

    def save(self, checkpoint: Checkpoint, path: Path, format: str) -> tuple[list[Passed], str | None]:
        """Build and write a document, whose numbers pass through the model from file to file where Keras lets them.

        Returns:
            What passed by, and in words what could not be carried over.

        Raises:
            BuildError: the graph cannot be built or filled.
            FileError: Keras cannot write it in this format.
        """
        if format == "h5":  # Keras reads it back when it is written
            model, note = self._compiled(checkpoint, None)
            return [], save.save_live(model, path, format) or note
        loans, is_whole = Loans(), format != "weights_h5"
        # A layer may do what a scope forbids, as to make a variable while it is saved: then the model is filled.
        with contextlib.suppress(FileError):
            model, note = self._compiled(checkpoint, loans) if is_whole else (self._filled(checkpoint, loans), None)
            with lent(loans):
                return [*save.save_passing(model, path, format, Gaps(loans)), *loans.passed], note
        model, note = self._compiled(checkpoint, None) if is_whole else (self._filled(checkpoint, None), None)
        with quick_saving():
            return save.save_passing(model, path, format), note

    def _compiled(self, checkpoint: Checkpoint, loans: Loans | None) -> tuple[Any, str | None]:
        """A live model that is compiled as its source was, and in words why it is not."""
        model = self._filled(checkpoint, loans)
        stored = checkpoint.origin.compile_config if checkpoint.origin is not None else None
        if not stored:
            return model, None
        if loans is not None:
            loans.give(model.trainable_variables)  # an optimizer makes its variables like those that it trains
        return model, save.compile_like(model, stored)


def _unfilled(checkpoint: Checkpoint) -> set[str]:
    """Keys of the layers that no file holds the numbers of, or not all."""
    leaves = {item.layer.key: item.layer for item in walk(checkpoint.model) if item.layer.graph is None}
    return {
        key
        for key, layer in leaves.items()
        if layer.is_new or any(tensor.source is None for tensor in checkpoint.weights.of(key))
    }


def _with_fresh(built: build.Built, checkpoint: Checkpoint) -> Weights:
    """The weights with what Keras initialised in new layers, after the edits that waited for it.

    The live layers themselves are not asked: another branch of the recipe may have filled them since.
    """
    found: dict[str, tuple[Tensor, ...]] = {}
    for key in _unfilled(checkpoint):
        waiting = {tensor.slot: tensor for tensor in checkpoint.weights.of(key)}
        fresh = {tensor.slot: tensor for tensor in built.fresh[key]}
        unknown = next((tensor for slot, tensor in waiting.items() if slot not in fresh), None)
        if unknown is not None:
            raise BuildError(f"'{built.paths[key]}' has no variable '{unknown.name}'", layer=key)
        found[key] = tuple(_latest(tensor, waiting.get(slot)) for slot, tensor in fresh.items())
    return Weights({**checkpoint.weights, **found})


def _latest(fresh: Tensor, planned: Tensor | None) -> Tensor:
    """A new variable as the steps left it: with its own numbers, with edits of the initial ones, or untouched."""
    if planned is None:
        return fresh
    return (
        planned
        if planned.source is not None
        else replace(fresh, edits=planned.edits, is_trainable=planned.is_trainable)
    )


def _structure(checkpoint: Checkpoint) -> str:
    """Digest of everything but flags, which a live model can change."""
    leaves = {item.path: True for item in walk(checkpoint.model) if carries_flag(item.layer)}
    keys = [item.layer.key for item in walk(checkpoint.model)]
    return architecture_digest(set_flags(checkpoint, leaves)) + repr(keys)
