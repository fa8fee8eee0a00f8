"""What would keep Keras from building a model, as far as its document tells: Python code in it, classes of others.

Nothing of either is ever executed. A recipe that only streams (values, flags, names) does not mind them.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from modelrecipe import catalog
from modelrecipe.errors import LanguageError
from modelrecipe.formats.repair import inner_layers
from modelrecipe.formats.tensorflow import TFSM, TFSM_CLASS
from modelrecipe.graph import walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.graph import Layer

_MODELS = ("Functional", "Model", "Sequential")


def obstacles(checkpoint: Checkpoint, *, executes_graphs: bool = False) -> list[LanguageError]:
    """One error for each class that nothing has registered, and for each layer that holds code.

    Args:
        checkpoint: a model.
        executes_graphs: whether a SavedModel that was taken in as one opaque layer may be built.
    """
    foreign: dict[str, str] = {}
    lambdas: list[str] = []
    graphs: list[str] = []
    is_asked = checkpoint.origin is not None and checkpoint.origin.format == TFSM
    for located in walk(checkpoint.model):
        for data in _with_inner(located.layer):
            name = _foreign_class(data)
            if name is not None:
                foreign.setdefault(name, located.path)
            if _is_python_lambda(data):
                lambdas.append(located.path)
            if data["class_name"] == TFSM_CLASS and not (executes_graphs and is_asked):
                graphs.append(located.path)
    return [
        *(_class_error(name, path) for name, path in foreign.items()),
        *map(lambda_error, dict.fromkeys(lambdas)),
        *(graph_error(path, is_asked=is_asked) for path in dict.fromkeys(graphs)),
    ]


def _with_inner(layer: Layer) -> Iterator[Mapping[str, Any]]:
    """The layer and, for a wrapper, the layers that its configuration holds, in serialised form."""
    data = {"class_name": layer.class_name, "config": dict(layer.config), "module": layer.module}
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


def registered(name: str) -> Any | None:
    """What is registered under a class's name, `package>Class` or, as old files have it, without the package."""
    if "keras" not in sys.modules:
        return None
    saving = sys.modules["keras"].saving
    found = saving.get_registered_object(name)
    if found is not None or ">" in name:
        return found
    fitting = [item for full, item in saving.get_custom_objects().items() if full.rpartition(">")[2] == name]
    return fitting[0] if len(fitting) == 1 else None


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


def lambda_error(path: str) -> LanguageError:
    """What is said of a layer that holds Python code."""
    return LanguageError(
        f"'{path}' (Lambda) is Python code, which is never executed",
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
