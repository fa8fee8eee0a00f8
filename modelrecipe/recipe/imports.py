"""Python modules that a recipe names: nothing of them runs unless the user says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe.errors import LanguageError

if TYPE_CHECKING:
    from modelrecipe.recipe import Recipe


def require_permission(recipe: Recipe, *, allow_code: bool) -> None:
    """Refuse a recipe that names Python modules unless it may run code.

    Raises:
        LanguageError: it does, and may not.
    """
    if recipe.imports and not allow_code:
        names = ", ".join(f"'{name}'" for name in recipe.imports)
        error = LanguageError(
            f"the recipe runs Python code: it imports {names}", hint="pass --allow-code if you trust it"
        )
        raise _placed(error, recipe, recipe.imports[0])


def import_code(recipe: Recipe, *, allow_code: bool) -> None:
    """Import the modules that the recipe names: those beside the recipe, then those on Python's own path.

    Raises:
        LanguageError: that is not allowed, or a module cannot be imported.
    """
    require_permission(recipe, allow_code=allow_code)
    if not recipe.imports:
        return
    from modelrecipe.live.session import run_imports

    for name in recipe.imports:
        origin = recipe.origins.get(name)
        try:
            run_imports([name], recipe.folder if origin is None else origin.folder)
        except LanguageError as error:
            _placed(error, recipe, name)
            raise


def _placed(error: LanguageError, recipe: Recipe, name: str) -> LanguageError:
    """The error with the place where the recipe names the module."""
    origin = recipe.origins.get(name)
    error.key = error.key or "imports"
    error.place = error.place or (None if origin is None else origin.place)
    return error
