"""SavedModel directories that Keras 2 wrote: architecture from Keras' metadata, numbers from `variables/`.

TensorFlow's graph in them is neither read nor executed. What holds no Keras model is refused, with the way to take it
in as one opaque layer (`tfsm`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelrecipe.checkpoint import Checkpoint, Origin
from modelrecipe.errors import FileError
from modelrecipe.formats.mending import mend_config, mend_document
from modelrecipe.formats.repair import Writer
from modelrecipe.formats.tensorflow import MODEL_FILE, SAVED_MODEL
from modelrecipe.formats.tensorflow.bundle import read_bundle
from modelrecipe.formats.tensorflow.object_graph import read_nodes
from modelrecipe.formats.tensorflow.saved_objects import KerasObject, SavedModel, open_saved_model
from modelrecipe.formats.tensorflow.tracked_layers import Objects, assign_tracked, pair
from modelrecipe.graph import walk
from modelrecipe.keras_config import read_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from modelrecipe.graph import Layer
    from modelrecipe.weights import Weights

_MODELS = ("_tf_keras_model", "_tf_keras_network", "_tf_keras_sequential")
_LOOKUPS = ("IntegerLookup", "StringLookup", "TextVectorization")
_OPAQUE = "take it in as one opaque layer with 'format: tfsm'"


def read(path: Path, *, mends: bool = True) -> Checkpoint:
    """The Keras model in a SavedModel directory.

    Args:
        path: the directory.
        mends: whether what older versions of Keras wrote is repaired.

    Raises:
        FileError: the directory is damaged, or holds no Keras model whose layers are listed.
    """
    saved = open_saved_model(path)
    root = saved.keras.get(0)
    if root is None:
        raise _no_keras(saved)
    facts = root.facts
    config: Mapping[str, Any] = _config(saved, root)
    writer = Writer.of(facts.get("keras_version"), facts.get("backend"))
    applied = ()
    try:
        if mends:
            config, applied = mend_config(config, writer)
        model = read_model(config)
    except FileError as error:
        raise FileError(f"'{path}': {error.message}", hint=error.hint) from error
    if model.graph is None:
        raise _subclassed(saved, model.class_name)
    _refuse_lost_vocabularies(saved, model)
    weights, has_optimizer_state = _read_weights(saved, model)
    version = facts.get("keras_version") or f"of TensorFlow {saved.tensorflow}"
    training = facts.get("training_config")
    origin = Origin(
        path=path,
        format=SAVED_MODEL,
        writer=f"Keras {version}",
        compile_config=training if isinstance(training, dict) else None,
        has_optimizer_state=has_optimizer_state,
    )
    checkpoint = Checkpoint(model=model, weights=weights, origin=origin)
    return mend_document(checkpoint, writer, applied) if mends else checkpoint


def _no_keras(saved: SavedModel) -> FileError:
    """A directory of `model.export` of Keras 3, of a plain `tf.Module`, or of TensorFlow 1."""
    names = ", ".join(f"'{name}'" for name in saved.signatures) or "none"
    version = f" {saved.tensorflow}" if saved.tensorflow else ""
    return FileError(
        f"'{saved.path}' is a SavedModel of TensorFlow{version} without Keras metadata: functions, no layers "
        f"(signatures: {names})",
        hint=_OPAQUE,
    )


def _config(saved: SavedModel, root: KerasObject) -> Mapping[str, Any]:
    """The root's configuration, in the form of the attribute `model_config` of HDF5 files."""
    facts = root.facts
    if not facts:
        raise FileError(f"'{saved.path}': the Keras metadata of its model are not JSON")
    if root.kind not in _MODELS:
        raise FileError(f"'{saved.path}' holds a Keras layer of its own, no model", hint=_OPAQUE)
    for config in (facts.get("model_config"), facts):
        if isinstance(config, dict) and _lists_layers(config.get("config")) and "class_name" in config:
            return {key: config[key] for key in ("class_name", "config")}
    raise _subclassed(saved, str(facts.get("class_name") or facts.get("name") or "Model"))


def _lists_layers(config: object) -> bool:
    return isinstance(config, list) or (isinstance(config, dict) and isinstance(config.get("layers"), list))


def _subclassed(saved: SavedModel, name: str) -> FileError:
    return FileError(
        f"'{saved.path}' holds the subclassed model '{name}', of which Keras noted no graph of layers, so it cannot be "
        "rebuilt",
        hint=_OPAQUE,
    )


def _refuse_lost_vocabularies(saved: SavedModel, model: Layer) -> None:
    """Keras 2 left vocabularies out of SavedModels' metadata: they are constants of the graph, or tables in it."""
    for located in walk(model):
        config = located.layer.config
        if located.layer.class_name in _LOOKUPS and config.get("vocabulary") is None:
            raise FileError(
                f"'{saved.path}' keeps the vocabulary of layer '{located.path}' ({located.layer.class_name}) in "
                "TensorFlow's graph, which is not read",
                hint=f"{_OPAQUE}, or save the model as '.h5' with the Keras that wrote it",
            )


def _read_weights(saved: SavedModel, model: Layer) -> tuple[Weights, bool]:
    """The tensors of each layer, and whether an optimizer's are stored too."""
    bundle = read_bundle(saved.path / "variables" / "variables")
    nodes = read_nodes(bundle)
    if nodes is None:
        raise FileError(f"'{saved.path}': its variables have names, but no objects as those of Keras")
    numbers = pair(saved.nodes, nodes)
    names = {
        numbers[number]: str(item.facts.get("name"))
        for number, item in saved.keras.items()
        if number in numbers and item.facts.get("name")
    }
    try:
        weights = assign_tracked(model, Objects(nodes=nodes, tensors=bundle.tensors, names=names))
    except FileError as error:
        raise FileError(f"'{saved.path}' {error.message}", hint=error.hint) from error
    # Optimizers up to Keras 2.10 keep their state in slots of other variables, later ones in a list.
    state = nodes[nodes[0].children.get("optimizer", 0)].children.get("_variables")
    has_state = state is not None and len(nodes[state].children) > 1
    return weights, has_state or any(node.slots for node in nodes)


__all__ = ["MODEL_FILE", "SAVED_MODEL", "read"]
