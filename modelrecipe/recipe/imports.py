"""Python modules that a recipe names: nothing of them runs unless the user says so."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from modelrecipe.errors import LanguageError
from modelrecipe.graph import walk

if TYPE_CHECKING:
    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.graph import Layer
    from modelrecipe.recipe import Recipe


def require_permission(recipe: Recipe, *, allow_code: bool) -> None:
    """Refuse a recipe that names Python modules unless it may run code.

    Raises:
        LanguageError: it does, and may not.
    """
    if recipe.imports and not allow_code:
        names = ", ".join(f"'{name}'" for name in recipe.imports)
        raise LanguageError(
            f"the recipe runs Python code: it imports {names}", hint="pass --allow-code if you trust it", key="imports"
        )


def import_code(recipe: Recipe, *, allow_code: bool) -> None:
    """Import the modules that the recipe names, those beside the recipe first.

    Raises:
        LanguageError: that is not allowed, or a module cannot be imported.
    """
    require_permission(recipe, allow_code=allow_code)
    if recipe.imports:
        from modelrecipe.live.session import run_imports

        run_imports(recipe.imports, recipe.folder)


def unknown_classes(checkpoint: Checkpoint) -> list[LanguageError]:
    """Registered classes that a build would need and that nothing has registered, one error for each."""
    registry = sys.modules["keras"].saving.get_registered_object if "keras" in sys.modules else lambda name: None
    found: dict[str, str] = {}
    for located in walk(checkpoint.model):
        name = located.layer.registered_name or ""
        if ">" in name and registry(name) is None:
            found.setdefault(name, located.path)
    lambdas = [located.path for located in walk(checkpoint.model) if _is_python_lambda(located.layer)]
    classes = [
        LanguageError(
            f"the class '{name}' of '{path}' is none of Keras' own, and the recipe imports nothing that registers it",
            hint="name its module under imports, and pass --allow-code",
        )
        for name, path in found.items()
    ]
    return [*classes, *(_lambda_error(path) for path in lambdas)]


def _is_python_lambda(layer: Layer) -> bool:
    """Whether the layer holds Python bytecode, as Keras writes it today or wrote it into old files."""
    function = layer.config.get("function")
    marked = isinstance(function, dict) and function.get("class_name") == "__lambda__"
    return layer.class_name == "Lambda" and (marked or layer.config.get("function_type") == "lambda")


def _lambda_error(path: str) -> LanguageError:
    return LanguageError(
        f"'{path}' is a Lambda of Python code, which is not executed",
        hint="replace it by a layer, or register its function in a module named under imports",
    )
