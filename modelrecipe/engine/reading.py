"""Where the models of a recipe come from, and what each is called in the lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe import formats, measures, propagate
from modelrecipe.errors import FileError, RecipeError

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from pathlib import Path

    from modelrecipe.applications import Application
    from modelrecipe.checkpoint import Checkpoint


class NeedsKerasError(RecipeError):
    """A plan met what only Keras can tell, and was not asked to start it."""


def read_document(file: Path, format: str | None, *, mends: bool = True) -> Checkpoint:
    """A model file as a document whose shapes are known as far as the file tells; `mends` repairs old ones.

    Raises:
        FileError: the file cannot be read, or is no model.
    """
    try:
        return propagate.annotate(formats.read_checkpoint(file, format, mends=mends))
    except FileError as error:
        error.at = error.at or ("path",)
        raise


def remarks(checkpoint: Checkpoint) -> Iterator[str]:
    """What a user should know of the file that was read: its repairs first."""
    if checkpoint.origin is not None:
        if checkpoint.origin.repairs:
            yield measures.listed("repair", checkpoint.origin.repairs)
        yield from checkpoint.origin.remarks
    adapted = [item.path for item in checkpoint.layers() if item.layer.config.get("lora_rank")]
    if adapted:
        which = measures.quoted(adapted)
        yield f"LoRA adapters of {which} are merged in the file: Keras begins with zeros, which never train"


def refuse_unbuilt(application: Application) -> None:
    """Refuse an architecture where Keras may not be started.

    Raises:
        NeedsKerasError: always.
    """
    raise NeedsKerasError(
        f"{application.name} is built by Keras, so the plan ends here", hint="--exact lets the plan build it"
    )


def input_name(application: Application, taken: Container[str]) -> str:
    """What an architecture is called among the inputs; the second one of a kind has a number."""
    name, number = f"keras.applications.{application.name}", 2
    wanted = name
    while wanted in taken:
        wanted, number = f"{name} {number}", number + 1
    return wanted
