"""What becomes of a compiled source: loss and metrics follow a renamed output; optimizer state may have to go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelrecipe.formats.same_layout import has_other_flags
from modelrecipe.references import iter_refs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelrecipe.checkpoint import Checkpoint

_BY_OUTPUT = ("loss", "loss_weights", "metrics", "weighted_metrics")
UNCOMPILED = "written uncompiled"
NOTE = f"{UNCOMPILED}: the source's loss names an output that is not there any more"


def with_training_config(source: Checkpoint | None, edited: Checkpoint) -> tuple[Checkpoint, str | None]:
    """The edited document with the training configuration that fits its outputs.

    Args:
        source: the model as it was loaded; None where none was.
        edited: the document after all steps.

    Returns:
        The document, and in words what could not be carried over.
    """
    origin = edited.origin
    if source is None or origin is None or not origin.compile_config:
        return edited, None
    if source.model.graph is None or edited.model.graph is None:
        return edited, None
    before, after = _outputs(source), _outputs(edited)
    if before == after or not _names_outputs(origin.compile_config, set(before.values())):
        return edited, None
    if set(before) != set(after):
        return _compiled(edited, None), NOTE
    names = {before[key]: after[key] for key in before}
    return _compiled(edited, _renamed(origin.compile_config, names)), None


def uncompiled(checkpoint: Checkpoint) -> Checkpoint:
    """The document without the source's loss, metrics and optimizer."""
    return _compiled(checkpoint, None)


def optimizer_note(source: Checkpoint | None, edited: Checkpoint, said: Iterable[str]) -> str | None:
    """What becomes of a compiled source's optimizer, whose state belongs to the variables that trained.

    Args:
        source: the model as it was loaded; None where none was.
        edited: the document after all steps.
        said: notes about it so far; of a model that is written uncompiled no more has to be told.
    """
    if source is None or source.origin is None or not source.origin.has_optimizer_state:
        return None
    if any(note.startswith(UNCOMPILED) for note in said):
        return None
    if edited.is_restructured:
        return "compiled anew with a fresh optimizer: the old state belongs to other variables"
    if has_other_flags(source.model, edited.model):
        return "the optimizer's state is dropped, as other variables train now; Keras warns when it loads that"
    return None


def _outputs(checkpoint: Checkpoint) -> dict[str, str]:
    """Name of every output layer under its key."""
    graph = checkpoint.model.graph
    return {} if graph is None else {graph.layer(ref.layer).key: ref.layer for ref in iter_refs(graph.outputs)}


def _names_outputs(config: Mapping[str, Any], names: set[str]) -> bool:
    return any(isinstance(config.get(key), Mapping) and names & set(config[key]) for key in _BY_OUTPUT)


def _renamed(config: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    changed = dict(config)
    for key in _BY_OUTPUT:
        part = config.get(key)
        if isinstance(part, Mapping) and set(names) & set(part):
            changed[key] = {names.get(name, name): item for name, item in part.items()}
    return changed


def _compiled(checkpoint: Checkpoint, config: dict[str, Any] | None) -> Checkpoint:
    origin = replace(checkpoint.origin, compile_config=config) if checkpoint.origin is not None else None
    extra = {key: value for key, value in checkpoint.model.extra.items() if key != "compile_config"}
    if config is not None and "compile_config" in checkpoint.model.extra:
        extra["compile_config"] = config
    return replace(checkpoint, origin=origin, model=replace(checkpoint.model, extra=extra))
