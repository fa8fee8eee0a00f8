"""Any SavedModel directory as a model of one opaque layer, the `TFSMLayer` of Keras, which executes TensorFlow's graph.

Only where a recipe asks for it. The directory stays a part of the model: a written file names it and works nowhere
else. Keras opens such a file with `safe_mode=False` alone, and so is it built here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from modelrecipe.checkpoint import Checkpoint, Origin
from modelrecipe.errors import FileError
from modelrecipe.formats.tensorflow import TFSM, TFSM_CLASS
from modelrecipe.formats.tensorflow.saved_objects import Argument, SavedModel, Signature, open_saved_model
from modelrecipe.graph import Call, Graph, Layer
from modelrecipe.references import TensorRef
from modelrecipe.weights import Weights

if TYPE_CHECKING:
    from pathlib import Path

_ENDPOINTS = ("serving_default", "serve")
_NAME = "saved_model"


def read(path: Path, *, mends: bool = True) -> Checkpoint:
    """A SavedModel directory as one opaque layer between an input and the outputs of its signature.

    Args:
        path: the directory.
        mends: without meaning here, as there is nothing to repair.

    Raises:
        FileError: the directory is damaged, or has no signature that takes one tensor of a known rank.
    """
    del mends
    saved = open_saved_model(path)
    endpoint, signature = _endpoint(saved)
    (name, given), *_ = signature.inputs.items()
    source = TensorRef(layer=_layer_name(name), shape=given.shape, dtype=given.dtype)
    config = {"batch_shape": list(given.shape or ()), "dtype": given.dtype, "name": source.layer}
    layers = (
        Layer(name=source.layer, class_name="InputLayer", config=config, key=source.layer),
        Layer(
            name=_NAME,
            class_name=TFSM_CLASS,
            config=_config(path, endpoint),
            calls=(Call(args=(source,)),),
            key=f"+{_NAME}",  # its variables are those that the directory's graph brings along
        ),
    )
    graph = Graph(kind="functional", layers=layers, inputs=source, outputs=_outputs(signature))
    model = Layer(name=_model_name(path), class_name="Functional", module="keras", graph=graph, config=_model(path))
    remark = f"one opaque layer, which executes the graph in '{path}': a written file needs that directory"
    writer = f"TensorFlow {saved.tensorflow}" if saved.tensorflow else None
    origin = Origin(path=path, format=TFSM, writer=writer, remarks=(remark,))
    return Checkpoint(model=model, weights=Weights(), origin=origin)


def _model(path: Path) -> dict[str, Any]:
    return {"name": _model_name(path), "trainable": True}


def _model_name(path: Path) -> str:
    return _layer_name(path.resolve().name) or "model"


def _layer_name(name: str) -> str:
    """A name that Keras takes for a layer."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)


def _config(path: Path, endpoint: str) -> dict[str, Any]:
    return {
        "name": _NAME,
        "trainable": True,
        "dtype": "float32",
        "filepath": str(path.resolve()),
        "call_endpoint": endpoint,
        "call_training_endpoint": None,
    }


def _endpoint(saved: SavedModel) -> tuple[str, Signature]:
    """The signature that is meant to be called, as `TFSMLayer` can call it."""
    usual = [name for name in _ENDPOINTS if name in saved.signatures] or list(saved.signatures)
    if not usual:
        raise FileError(f"'{saved.path}' offers no signature, so nothing in it can be called")
    endpoint, signature = usual[0], saved.signatures[usual[0]]
    if len(signature.inputs) != 1:
        names = ", ".join(f"'{name}'" for name in signature.inputs) or "none"
        raise FileError(
            f"'{saved.path}': its signature '{endpoint}' takes {len(signature.inputs)} tensors ({names}), but a "
            f"{TFSM_CLASS} gives one",
            hint="export the model anew with one input",
        )
    for name, argument in (*signature.inputs.items(), *signature.outputs.items()):
        _refuse_unknown(saved, endpoint, name, argument)
    return endpoint, signature


def _refuse_unknown(saved: SavedModel, endpoint: str, name: str, argument: Argument) -> None:
    if argument.shape is None or argument.dtype == "unknown":
        what = "shape" if argument.shape is None else "type"
        raise FileError(f"'{saved.path}': '{name}' of its signature '{endpoint}' is of no definite {what}")


def _outputs(signature: Signature) -> Any:
    """A signature gives a mapping, whose tensors Keras numbers by sorted name."""
    refs = {
        name: TensorRef(
            layer=_NAME, index=index, shape=signature.outputs[name].shape, dtype=signature.outputs[name].dtype
        )
        for index, name in enumerate(sorted(signature.outputs))
    }
    return refs if len(refs) > 1 else list(refs.values())
