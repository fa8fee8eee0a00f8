"""What would keep Keras from building a model, as far as its document tells: Python code in it, classes of others.

Nothing of either is ever executed. A recipe that only streams (values, flags, names) does not mind them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelrecipe import catalog
from modelrecipe.errors import LanguageError
from modelrecipe.formats.repair import inner_layers, name_of
from modelrecipe.formats.tensorflow import TFSM, TFSM_CLASS
from modelrecipe.graph import walk
from modelrecipe.registered_names import registered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.graph import Layer, Located

_MODELS = ("Functional", "Model", "Sequential")
_FUNCTIONS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")
_LOST_ARGUMENTS = {
    "time_major": "the time axis stands before the batch",
    "virtual_batch_size": "training normalises parts of a batch",
    "adjustment": "training adjusts what it normalises",
    "sparse": "its output or its gradients are sparse",
    "robust_masking": "fully masked rows give zeros",
    "softmax_robust_masking": "fully masked rows give zeros",
    "dynamic": "it runs eagerly alone",
    "ragged": "it takes ragged tensors",
}
"""Arguments of Keras 2 that a class of Keras 3 may lack, with what they meant."""


def obstacles(checkpoint: Checkpoint, *, executes_graphs: bool = False) -> list[LanguageError]:
    """One error for each class that nothing has registered, for each layer that holds code or asks for what is gone.

    Args:
        checkpoint: a model.
        executes_graphs: whether a SavedModel that was taken in as one opaque layer may be built.
    """
    foreign: dict[str, str] = {}
    lambdas: dict[str, LanguageError] = {}
    graphs: list[str] = []
    lost: list[LanguageError] = []
    is_asked = checkpoint.origin is not None and checkpoint.origin.format == TFSM
    for located in walk(checkpoint.model):
        for data in _with_inner(located.layer):
            name = _foreign_class(data)
            if data["class_name"] in _FUNCTIONS:
                lost.append(_function_error(data, located))
            elif name is not None:
                foreign.setdefault(name, located.path)
            lost += [_argument_error(data, key, located) for key in _lost_arguments(data)]
            if _is_python_lambda(data):
                lambdas.setdefault(located.path, lambda_error(located.path, _place(data, located)))
            if data["class_name"] == TFSM_CLASS and not (executes_graphs and is_asked):
                graphs.append(located.path)
    return [
        *(_class_error(name, path) for name, path in foreign.items()),
        *lost,
        *lambdas.values(),
        *(graph_error(path, is_asked=is_asked) for path in dict.fromkeys(graphs)),
    ]


def _with_inner(layer: Layer) -> Iterator[Mapping[str, Any]]:
    """The layer and, for a wrapper, the layers that its configuration holds, in serialised form."""
    data = {
        "class_name": layer.class_name,
        "config": dict(layer.config),
        "module": layer.module,
        "name": layer.name,
    }
    if layer.graph is None and not layer.is_operation:
        yield {**data, "registered_name": layer.registered_name}
        yield from inner_layers(data)


def _foreign_class(data: Mapping[str, Any]) -> str | None:
    """The class of a serialised layer, where it is neither Keras' own nor registered."""
    module, name = data.get("module"), data.get("registered_name") or data["class_name"]
    is_of_keras = str(module).partition(".")[0] == "keras"
    if module is None:
        kinds = (data["class_name"], f"ops.{data['class_name']}")
        is_of_keras = data["class_name"] in _MODELS or any(catalog.find(kind) is not None for kind in kinds)
    return None if is_of_keras or registered(name) else name


def _lost_arguments(data: Mapping[str, Any]) -> list[str]:
    """The arguments of a layer of Keras that its class has no longer, where they mean something."""
    entry, config = catalog.find(data["class_name"]), data["config"]
    if entry is None or not isinstance(config, dict):
        return []
    return [key for key in _LOST_ARGUMENTS if config.get(key) and entry.argument(key) is None]


def _is_python_lambda(data: Mapping[str, Any]) -> bool:
    """Whether a layer holds Python bytecode, as Keras writes it today or wrote it into old files."""
    config = data["config"] if isinstance(data["config"], dict) else {}
    function = config.get("function")
    is_marked = isinstance(function, dict) and function.get("class_name") == "__lambda__"
    return data["class_name"] == "Lambda" and (
        is_marked or config.get("function_type") == "lambda" or isinstance(function, list)
    )


def _class_error(name: str, path: str) -> LanguageError:
    return LanguageError(
        f"the class '{name}' of '{path}' is none of Keras' own, and nothing registers it",
        hint=f"name its module under imports and pass --allow-code, or {_replacing(path)}",
    )


def _function_error(data: Mapping[str, Any], located: Located) -> LanguageError:
    """What is said of a function of TensorFlow that no repair knows."""
    config, name = data["config"], name_of(dict(data))
    node = config.get("node_def")
    function = node.get("op") if isinstance(node, dict) else config.get("function")
    return LanguageError(
        f"{_place(data, located)} is the function '{function or name}' of TensorFlow, for which no operation of Keras "
        "is known with these arguments",
        hint=_replacing(located.path),
    )


def _argument_error(data: Mapping[str, Any], key: str, located: Located) -> LanguageError:
    value = str(data["config"][key]).lower() if isinstance(data["config"][key], bool) else repr(data["config"][key])
    return LanguageError(
        f"{_place(data, located)} has '{key}: {value}' ({_LOST_ARGUMENTS[key]}), which Keras 3 cannot",
        hint=_replacing(located.path),
    )


def _place(data: Mapping[str, Any], located: Located) -> str:
    """A layer as messages name it; one in a wrapper with what is around it."""
    name = name_of(dict(data))
    is_inside = name != located.layer.name
    called = f"'{name if is_inside else located.path}' ({data['class_name']})"
    return f"{called} in '{located.path}' ({located.layer.class_name})" if is_inside else called


def lambda_error(path: str, place: str | None = None) -> LanguageError:
    """What is said of a layer that holds Python code; `place` names it, where it stands inside the one at `path`."""
    called = place or f"'{path}' (Lambda)"
    return LanguageError(
        f"{called} is Python code, which is never executed",
        hint=f"{_replacing(path)}, or register its function in a module named under imports",
    )


def graph_error(path: str, *, is_asked: bool) -> LanguageError:
    """What is said of a layer that executes the graph of a SavedModel; `is_asked` where the recipe took that in."""
    return LanguageError(
        f"'{path}' ({TFSM_CLASS}) executes the graph of a SavedModel directory",
        hint="pass --allow-code if you trust it"
        if is_asked
        else "load the directory itself with 'format: tfsm' and pass --allow-code if you trust it",
    )


def _replacing(path: str) -> str:
    return f"put a layer in its place: load: {{path: ..., replace: {{{path}: {{class: ..., config: ...}}}}}}"
